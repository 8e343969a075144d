/** Every endpoint of a model API that answers with something a provider said. */
import { CHAT_POSITIONS, COMPLETIONS_POSITIONS } from './chat.ts';
import {
  COUNT_TOKENS_POSITIONS,
  DELETED_POSITIONS,
  EMBEDDINGS_POSITIONS,
  INPUT_ITEMS_POSITIONS,
  MODEL_POSITIONS,
  MODELS_POSITIONS,
  MODERATIONS_POSITIONS,
} from './data.ts';
import { MESSAGES_POSITIONS } from './messages.ts';
import type { Mode, Positions } from './positions.ts';
import { CANCELLED_POSITIONS, RESPONSE_ID, RESPONSES_POSITIONS, RETRIEVED_POSITIONS } from './responses.ts';

/** What the client wrote, and must get back where the answer repeats it. */
export const SYSTEM = 'You are a helpful assistant.';

export type Ending = 'chat' | 'completions' | 'responses' | 'messages';

export interface MatrixSurface {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: (mode: Mode) => string;
  /** Null where nothing is sent. */
  readonly body: Readonly<Record<string, unknown>> | null;
  /** How a stream of it ends, and how its errors are written. */
  readonly ending: Ending;
  /** Each call uses up the stored response. */
  readonly consumes?: true;
  readonly positions: Positions;
}

const SAID = { model: 'mock-model', messages: [{ role: 'user', content: 'Hello' }] };
const SYSTEM_SAID = { ...SAID, messages: [{ role: 'system', content: SYSTEM }, ...SAID.messages] };
export const RESPONSES_BODY = { model: 'mock-model', instructions: SYSTEM, input: 'Hello' };
const RESPONSE = `/v1/responses/${RESPONSE_ID}`;

const post = (
  name: string,
  path: string,
  ending: Ending,
  body: Readonly<Record<string, unknown>>,
  positions: Positions,
): MatrixSurface => ({ name, method: 'POST', path: () => path, body, ending, positions });

export const SURFACES: readonly MatrixSurface[] = [
  post('chat', '/v1/chat/completions', 'chat', { ...SYSTEM_SAID, n: 2 }, CHAT_POSITIONS),
  post('responses', '/v1/responses', 'responses', RESPONSES_BODY, RESPONSES_POSITIONS),
  {
    name: 'responses, retrieved',
    method: 'GET',
    path: (mode) => (mode === 'stream' ? `${RESPONSE}?stream=true` : RESPONSE),
    body: null,
    ending: 'responses',
    positions: RETRIEVED_POSITIONS,
  },
  {
    name: 'responses, cancelled',
    method: 'POST',
    path: () => `${RESPONSE}/cancel`,
    body: null,
    ending: 'responses',
    positions: CANCELLED_POSITIONS,
  },
  {
    name: 'responses, input items',
    method: 'GET',
    path: () => `${RESPONSE}/input_items`,
    body: null,
    ending: 'responses',
    positions: INPUT_ITEMS_POSITIONS,
  },
  {
    name: 'responses, deleted',
    method: 'DELETE',
    path: () => RESPONSE,
    body: null,
    ending: 'responses',
    consumes: true,
    positions: DELETED_POSITIONS,
  },
  post('messages', '/v1/messages', 'messages', { ...SAID, max_tokens: 100, system: SYSTEM }, MESSAGES_POSITIONS),
  post(
    'messages, count tokens',
    '/v1/messages/count_tokens',
    'messages',
    { ...SAID, system: SYSTEM },
    COUNT_TOKENS_POSITIONS,
  ),
  post(
    'completions',
    '/v1/completions',
    'completions',
    { model: 'mock-model', prompt: 'Hello' },
    COMPLETIONS_POSITIONS,
  ),
  post('embeddings', '/v1/embeddings', 'chat', { model: 'mock-model', input: 'Hello' }, EMBEDDINGS_POSITIONS),
  post('moderations', '/v1/moderations', 'chat', { model: 'mock-model', input: 'Hello' }, MODERATIONS_POSITIONS),
  { name: 'models', method: 'GET', path: () => '/v1/models', body: null, ending: 'chat', positions: MODELS_POSITIONS },
  {
    name: 'model by id',
    method: 'GET',
    path: () => '/v1/models/mock-model',
    body: null,
    ending: 'chat',
    positions: MODEL_POSITIONS,
  },
];
