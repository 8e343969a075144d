/** Anthropic messages with a leak in each of their places. */
import {
  anthropicError,
  anthropicMessage,
  type MessageBlock,
  type MessageFields,
  messageEvents,
  pieces,
  type Reply,
  textBlock,
  thinkingBlock,
  toolUseBlock,
} from '../../helpers/mockUpstream.ts';
import { absent, type Filled, filled, HEADER, one, type Position, type Positions } from './positions.ts';

const whole = (blocks: readonly (string | MessageBlock)[], fields: MessageFields = {}): Reply => ({
  json: anthropicMessage(blocks, fields),
});
const stream = (blocks: readonly (string | MessageBlock)[], fields: MessageFields = {}): Reply => ({
  stream: { events: messageEvents(blocks, 3, fields), named: true },
});
/** These events in place of the ping of a harmless answer. */
const among = (...events: readonly object[]): Reply => {
  const list = messageEvents(['Well 你好'], 50);
  return {
    stream: {
      named: true,
      events: list.flatMap((event, at) => (at === 2 ? events.map((one) => JSON.stringify(one)) : [event])),
    },
  };
};

function blocks(reads: Filled['reads'], of: (secret: string) => readonly (string | MessageBlock)[]): Position {
  return filled(
    reads,
    (secret) => whole(of(secret)),
    (secret) => stream(of(secret)),
  );
}

const block = (reads: Filled['reads'], of: (secret: string) => MessageBlock): Position =>
  blocks(reads, (secret) => ['Well 你好', of(secret)]);

/** In the message, which a stream begins with, or in the delta that ends it. */
function inMessage(of: (secret: string) => MessageFields): Position {
  return filled(
    'leaf',
    (secret) => whole(['Well.'], of(secret)),
    (secret) => stream(['Well.'], of(secret)),
  );
}

const input = (reads: Filled['reads'], of: (secret: string) => object) =>
  block(reads, (secret) => toolUseBlock('look_up', of(secret)));

/** A call whose arguments are written with JSON escapes, in pieces that split them. */
function escapedInput(secret: string): Reply {
  const json = `{"note":"${[...secret].map((char) => `\\u00${char.charCodeAt(0).toString(16).padStart(2, '0')}`).join('')}"}`;
  const events = messageEvents([toolUseBlock('look_up', {})]).map((event) => JSON.parse(event) as { type: string });
  const at = events.findIndex(({ type }) => type === 'content_block_stop');
  const deltas = pieces(json, 4).map((partial_json) => ({
    type: 'content_block_delta',
    index: 0,
    delta: { type: 'input_json_delta', partial_json },
  }));
  return {
    stream: { named: true, events: events.toSpliced(at, 0, ...deltas).map((event) => JSON.stringify(event)) },
  };
}

function escapedWhole(secret: string): Reply {
  const body = JSON.stringify(anthropicMessage([toolUseBlock('look_up', { note: 'NOTE' })]));
  const note = [...secret].map((char) => `\\u00${char.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');
  return { headers: { 'content-type': 'application/json' }, body: body.replace('NOTE', note) };
}

const unknownDelta = (delta: object) => ({ type: 'content_block_delta', index: 0, delta });
const error = (status: number, type: 'invalid_request_error' | 'api_error') => (secret: string) => ({
  status,
  json: anthropicError(type, `No: ${secret}`),
});
const citation = (secret: string) => ({
  type: 'char_location',
  cited_text: `Page ${secret}`,
  document_index: 0,
  document_title: null,
  start_char_index: 0,
  end_char_index: 4,
});
const NO_LOGPROBS = absent('has no log-probabilities');
const NO_ECHO = absent('the answer does not repeat the prompt');

export const MESSAGES_POSITIONS: Positions = {
  content: blocks('shown', (secret) => [secret]),
  'content in parts': absent('blocks are the parts'),
  'second choice': blocks('shown', (secret) => ['Well 你好', secret]),
  refusal: absent('a refusal is a stop reason'),
  reasoning: block('shown', (secret) => thinkingBlock(secret)),
  'reasoning, second form': block('leaf', (secret) => thinkingBlock('Well.', secret)),
  'reasoning, third form': block('leaf', (data) => ({ type: 'redacted_thinking', data })),
  'tool name': block('shown', (secret) => toolUseBlock(secret, { a: 1 })),
  'tool arguments': input('shown', (secret) => ({ note: secret })),
  'tool arguments, escaped': filled('shown', escapedWhole, escapedInput),
  'tool argument key': {
    // The whole input is an object, whose keys are never rewritten; streamed it is a text.
    whole: one('leaf', (secret) => whole([toolUseBlock('look_up', { [secret]: 1 })])),
    stream: one('shown', (secret) => stream([toolUseBlock('look_up', { [secret]: 1 })])),
  },
  'custom tool input': absent('every tool has an object as input'),
  'older tool form, name': absent('has one form of calls with a name'),
  'other tool form, arguments': block('shown', (secret) => ({
    type: 'server_tool_use',
    id: 'srvtoolu_0',
    name: 'web_search',
    input: { query: secret },
  })),
  'log-probabilities': NO_LOGPROBS,
  'log-probability alternative': NO_LOGPROBS,
  annotations: block('shown', (secret) => textBlock('Well.', [citation(secret)])),
  'finish reason': inMessage((secret) => ({ stop_reason: 'stop_sequence', stop_sequence: secret })),
  id: inMessage((id) => ({ id })),
  model: inMessage((model) => ({ model })),
  'unknown field of the message': {
    whole: one('shown', (x_note) => whole([{ ...textBlock('Well.'), x_note }])),
    stream: one('shown', (secret) =>
      among(...pieces(secret, 3).map((x_note) => unknownDelta({ type: 'x_note_delta', x_note }))),
    ),
  },
  'nested unknown field of the message': {
    whole: one('shown', (text) => whole([{ ...textBlock('Well.'), x_more: { deep: [{ text }] } }])),
    stream: one('shown', (text) => among(unknownDelta({ type: 'x_more_delta', x_more: { deep: [{ text }] } }))),
  },
  'unknown field of the choice': block('shown', (secret) => ({ type: 'x_block', x_note: secret })),
  'unknown field of the answer': inMessage((secret) => ({ x_debug: { prompt: [`system: ${secret}`] } })),
  'unknown event': {
    whole: { absent: 'a whole answer has no events' },
    stream: one('leaf', (x_note) => among({ type: 'x_event', x_note })),
  },
  'object key': inMessage((secret) => ({ x_debug: { [secret]: 1 } })),
  'key within the message': block('leaf', (secret) => ({ ...textBlock('Well.'), x_map: { [secret]: 1 } })),
  'response header': filled(
    'leaf',
    (secret) => ({ ...whole(['Well.']), headers: HEADER(secret) }),
    (secret) => ({ ...stream(['Well.']), headers: HEADER(secret) }),
  ),
  'error body, 400': filled('leaf', error(400, 'invalid_request_error'), error(400, 'invalid_request_error')),
  'error body, 500': filled('leaf', error(500, 'api_error'), error(500, 'api_error')),
  'error as a string': filled(
    'leaf',
    (secret) => ({ status: 400, json: { error: secret } }),
    (secret) => ({ status: 400, json: { error: secret } }),
  ),
  'error in a 200': {
    whole: one('dropped', (secret) => ({ json: anthropicError('api_error', secret) })),
    stream: one('leaf', (secret) => {
      const events = messageEvents(['Well 你好'], 50).slice(0, 4);
      return { stream: { named: true, events: [...events, JSON.stringify(anthropicError('api_error', secret))] } };
    }),
  },
  'error of the answer': absent('an answer carries no error'),
  'echoed instructions': NO_ECHO,
  'echo beside a leak': NO_ECHO,
  'retrieved response': absent('nothing is stored'),
};
