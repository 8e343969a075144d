/** The exact frames in which each format, chat apart, says that an answer was stopped or broken. */
import {
  completionEvents,
  customCallItem,
  frameEvents,
  functionCallItem,
  messageEvents,
  type Reply,
  responseEvents,
  type StreamReply,
  toolUseBlock,
} from '../../helpers/mockUpstream.ts';
import { payloads } from '../chat/support.ts';
import { ANTHROPIC_BLOCK, BLOCK } from './judge.ts';
import { RESPONSES_BODY, SYSTEM } from './surfaces.ts';

export const UNAVAILABLE = {
  message: 'A configured guard could not run.',
  type: 'server_error',
  param: null,
  code: 'guardrail_unavailable',
};
const BROKEN = {
  message: 'The provider ended the answer before it was complete.',
  type: 'server_error',
  param: null,
  code: 'upstream_error',
};

type ErrorObject = typeof BLOCK;

/** The tool whose call carries the leak. */
export const LEAKING_TOOL = 'keep_note';

export interface Format {
  readonly name: string;
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** What the user says, in place of `Hello`. */
  readonly saying: (text: string) => Readonly<Record<string, unknown>>;
  readonly blockBody: object;
  readonly unavailableBody: object;
  /** A stream that says this text in so large pieces. */
  readonly stream: (text: string, size: number) => StreamReply;
  readonly whole: (text: string) => Reply;
  /** Number of its events up to the first that carries text. */
  readonly textEnds: number;
  /** Behind what was released, by the setting. */
  readonly stopped: (released: string) => { readonly error: string; readonly finish: string };
  readonly broken: (released: string) => string;
  /** Text and then a call, open when the provider goes on to leak; null where no calls are known. */
  readonly openCall: ((leak: string) => StreamReply) | null;
  /** What the provider counted before it was stopped; null where it counts at the end. */
  readonly counted: { readonly inputTokens: number; readonly outputTokens: number } | null;
}

const data = (payload: object) => `data: ${JSON.stringify(payload)}\n\n`;
const named = (event: string, payload: object) => `event: ${event}\n${data(payload)}`;
const DONE = 'data: [DONE]\n\n';

const finishChunk = {
  id: 'cmpl-mock',
  object: 'text_completion',
  created: 1_767_225_600,
  model: 'mock-model',
  choices: [{ index: 0, text: '', logprobs: null, finish_reason: 'content_filter' }],
};

const completions: Format = {
  name: 'completions',
  path: '/v1/completions',
  body: { model: 'mock-model', prompt: 'Hello' },
  saying: (prompt) => ({ model: 'mock-model', prompt }),
  blockBody: { error: BLOCK },
  unavailableBody: { error: UNAVAILABLE },
  stream: (text, size) => ({ events: completionEvents([text], size) }),
  whole: (text) => ({ json: { choices: [{ index: 0, text, logprobs: null, finish_reason: 'stop' }] } }),
  textEnds: 1,
  stopped: () => ({
    error: data(finishChunk) + data({ error: BLOCK }) + DONE,
    finish: data(finishChunk) + DONE,
  }),
  broken: () => data({ error: BROKEN }) + DONE,
  openCall: null,
  counted: null,
};

/** The number that goes on behind the events that are out. */
const nextNumber = (released: string) => payloads(released).length;

function responsesError(released: string, error: ErrorObject): string {
  const { message, param, code } = error;
  return named('error', { type: 'error', sequence_number: nextNumber(released), code, message, param, error });
}

const responses: Format = {
  name: 'responses',
  path: '/v1/responses',
  body: RESPONSES_BODY,
  saying: (input) => ({ ...RESPONSES_BODY, input }),
  blockBody: { error: BLOCK },
  unavailableBody: { error: UNAVAILABLE },
  stream: (text, size) => ({ events: responseEvents([text], size), named: true }),
  whole: (text) => ({
    json: { id: 'resp_1', object: 'response', output: [{ type: 'message', content: [{ type: 'output_text', text }] }] },
  }),
  textEnds: 5,
  stopped: (released) => ({
    error: responsesError(released, BLOCK),
    finish: named('response.incomplete', {
      type: 'response.incomplete',
      sequence_number: nextNumber(released),
      response: {
        id: 'resp_mock_0',
        object: 'response',
        created_at: 1_767_225_600,
        model: 'mock-model',
        parallel_tool_calls: true,
        temperature: 1,
        top_p: 1,
        status: 'incomplete',
        error: null,
        incomplete_details: { reason: 'content_filter' },
        instructions: null,
        metadata: {},
        output: [],
        tool_choice: 'auto',
        tools: [],
        usage: null,
      },
    }),
  }),
  broken: (released) => responsesError(released, BROKEN),
  openCall: (leak) => ({
    events: responseEvents(
      ['Well 你好', functionCallItem('send', JSON.stringify({ to: 'a' })), customCallItem(LEAKING_TOOL, leak, 1)],
      4,
    ),
    named: true,
  }),
  counted: null,
};

const SAID = { model: 'mock-model', max_tokens: 100, system: SYSTEM };
const messages: Format = {
  name: 'messages',
  path: '/v1/messages',
  body: { ...SAID, messages: [{ role: 'user', content: 'Hello' }] },
  saying: (content) => ({ ...SAID, messages: [{ role: 'user', content }] }),
  blockBody: ANTHROPIC_BLOCK,
  unavailableBody: {
    type: 'error',
    error: { type: 'api_error', message: UNAVAILABLE.message, code: UNAVAILABLE.code },
  },
  stream: (text, size) => ({ events: messageEvents([text], size), named: true }),
  whole: (text) => ({ json: { id: 'msg_1', type: 'message', role: 'assistant', content: [{ type: 'text', text }] } }),
  textEnds: 4,
  stopped: () => ({
    error: named('error', ANTHROPIC_BLOCK),
    finish:
      named('content_block_stop', { type: 'content_block_stop', index: 0 }) +
      named('message_delta', {
        type: 'message_delta',
        delta: { stop_reason: 'refusal', stop_sequence: null },
        usage: { output_tokens: 0 },
      }) +
      named('message_stop', { type: 'message_stop' }),
  }),
  broken: () =>
    named('error', { type: 'error', error: { type: 'api_error', message: BROKEN.message, code: BROKEN.code } }),
  openCall: (leak) => ({
    events: messageEvents(['Well 你好', toolUseBlock(LEAKING_TOOL, { to: 'a', note: leak })], 4),
    named: true,
  }),
  // Of `message_start`.
  counted: { inputTokens: 10, outputTokens: 1 },
};

export const FORMATS: readonly Format[] = [responses, completions, messages];

/** The bytes of the frames up to this one, and of those after it. */
export function bytesAround(stream: StreamReply, at: number): readonly [Buffer, Buffer] {
  const frames = frameEvents(stream);
  return [Buffer.concat(frames.slice(0, at)), Buffer.concat(frames.slice(at))];
}
