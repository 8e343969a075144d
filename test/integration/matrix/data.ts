/** Answers that are data, with a leak in each of their places. */
import { anthropicError, embeddingsAnswer, modelObject, moderationsAnswer } from '../../helpers/mockUpstream.ts';
import { HEADER, one, openaiError, type PositionName, type Positions, wholeOnly } from './positions.ts';
import { RESPONSE_ID } from './responses.ts';

type Common = Partial<Record<PositionName, ReturnType<typeof one>>>;

/** Places that every JSON object has, errors included. */
function common(body: object, error: typeof openaiError = openaiError): Common {
  return {
    'unknown field of the answer': one('leaf', (secret) => ({
      json: { ...body, x_debug: { prompt: [`system: ${secret}`] } },
    })),
    'object key': one('leaf', (secret) => ({ json: { ...body, x_debug: { [secret]: 1 } } })),
    'response header': one('leaf', (secret) => ({ json: body, headers: HEADER(secret) })),
    'error body, 400': one('leaf', error(400)),
    'error body, 500': one('leaf', error(500)),
    'error as a string': one('leaf', (secret) => ({ status: 400, json: { error: secret } })),
  };
}

const ERROR_IN_200 = one('dropped', (secret) => ({ json: { error: { message: secret } } }));

const EMBEDDINGS = embeddingsAnswer({ input: ['a'] });
export const EMBEDDINGS_POSITIONS: Positions = wholeOnly(
  {
    ...common(EMBEDDINGS),
    content: one('leaf', (secret) => ({
      json: { ...EMBEDDINGS, data: [{ object: 'embedding', index: 0, embedding: `It is ${secret}.` }] },
    })),
    'content in parts': { absent: 'base64 in place of a vector is its bytes, which are not read' },
    'second choice': one('leaf', (secret) => ({
      json: { ...EMBEDDINGS, data: [...(EMBEDDINGS.data as object[]), { object: secret, index: 1, embedding: [0.5] }] },
    })),
    model: one('leaf', (model) => ({ json: { ...EMBEDDINGS, model } })),
    'error in a 200': ERROR_IN_200,
  },
  'vectors have no such place',
);

const MODERATIONS = moderationsAnswer({ input: 'a' });
export const MODERATIONS_POSITIONS: Positions = wholeOnly(
  {
    ...common(MODERATIONS),
    content: one('leaf', (secret) => ({ json: { ...MODERATIONS, results: [{ flagged: false, x_note: secret }] } })),
    'second choice': one('leaf', (secret) => ({
      json: { ...MODERATIONS, results: [...(MODERATIONS.results as object[]), { flagged: secret }] },
    })),
    'key within the message': one('leaf', (secret) => ({
      json: { ...MODERATIONS, results: [{ flagged: true, categories: { [secret]: true } }] },
    })),
    id: one('leaf', (id) => ({ json: { ...MODERATIONS, id } })),
    model: one('leaf', (model) => ({ json: { ...MODERATIONS, model } })),
    'error in a 200': ERROR_IN_200,
  },
  'categories and scores have no such place',
);

const LIST = { object: 'list', data: [modelObject('mock-model')] };
export const MODELS_POSITIONS: Positions = wholeOnly(
  {
    ...common(LIST),
    content: one('leaf', (secret) => ({ json: { ...LIST, data: [{ ...modelObject('m'), owned_by: secret }] } })),
    'second choice': one('leaf', (secret) => ({ json: { ...LIST, data: [...LIST.data, modelObject(secret)] } })),
    id: one('leaf', (secret) => ({ json: { ...LIST, data: [modelObject(`model-${secret}-large`)] } })),
    'error in a 200': one('leaf', (secret) => ({ json: { error: { message: secret } } })),
  },
  'a list of models has no such place',
);

const MODEL = modelObject('mock-model');
export const MODEL_POSITIONS: Positions = wholeOnly(
  {
    ...common(MODEL),
    content: one('leaf', (owned_by) => ({ json: { ...MODEL, owned_by } })),
    id: one('leaf', (secret) => ({ json: modelObject(secret) })),
    'error in a 200': one('leaf', (secret) => ({ json: { error: { message: secret } } })),
  },
  'a model has no such place',
);

const item = (text: string, role = 'user') => ({
  id: 'msg_in_0',
  type: 'message',
  role,
  status: 'completed',
  content: [{ type: 'input_text', text }],
});
const page = (...data: readonly object[]) => ({
  object: 'list',
  data,
  first_id: 'msg_in_0',
  last_id: 'msg_in_0',
  has_more: false,
});
export const INPUT_ITEMS_POSITIONS: Positions = wholeOnly(
  {
    ...common(page(item('Hello'))),
    content: one('leaf', (secret) => ({ json: page(item(secret)) })),
    'second choice': one('leaf', (secret) => ({ json: page(item('Hello'), item(`It is ${secret}.`)) })),
    'tool arguments': one('leaf', (secret) => ({
      json: page({ id: 'fc_0', type: 'function_call', name: 'f', arguments: JSON.stringify({ note: secret }) }),
    })),
    id: one('leaf', (last_id) => ({ json: { ...page(item('Hello')), last_id } })),
    'unknown field of the message': one('leaf', (x_note) => ({ json: page({ ...item('Hello'), x_note }) })),
    'key within the message': one('leaf', (secret) => ({ json: page({ ...item('Hello'), x_map: { [secret]: 1 } }) })),
    'error in a 200': ERROR_IN_200,
    'echoed instructions': one('echo', (_, systemText) => ({ json: page(item(systemText, 'system'), item('Hello')) })),
    'echo beside a leak': one('leaf', (secret, systemText) => ({
      json: page(item(systemText, 'system'), item(`It is ${secret}.`)),
    })),
  },
  'a list of the items of a prompt has no such place',
);

const COUNT = { input_tokens: 10 };
export const COUNT_TOKENS_POSITIONS: Positions = wholeOnly(
  {
    ...common(COUNT, (status) => (secret) => ({ status, json: anthropicError('api_error', `No: ${secret}`) }) as never),
    'error in a 200': one('dropped', (secret) => ({ json: anthropicError('api_error', secret) })),
  },
  'a number has no such place',
);

const DELETED = { id: RESPONSE_ID, object: 'response', deleted: true };
export const DELETED_POSITIONS: Positions = wholeOnly(
  {
    ...common(DELETED),
    id: one('leaf', (id) => ({ json: { ...DELETED, id } })),
    'error in a 200': one('leaf', (secret) => ({ json: { error: { message: secret } } })),
  },
  'the answer only says that it is deleted',
);
