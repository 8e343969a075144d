/** Responses with a leak in each of their places: the answer to a call, and one that is asked for again. */
import {
  customCallItem,
  functionCallItem,
  type Reply,
  type ResponseFields,
  type ResponseItem,
  reasoningItem,
  refusalItem,
  responseEvents,
  responseObject,
  textItem,
} from '../../helpers/mockUpstream.ts';
import {
  absent,
  escaped,
  type Filled,
  filled,
  HEADER,
  OPENAI_ERRORS,
  one,
  type Position,
  type Positions,
} from './positions.ts';

/** The id of every answer here, under which it is asked for again. */
export const RESPONSE_ID = 'resp_matrix';

const whole = (output: readonly (string | ResponseItem)[], fields: ResponseFields = {}): Reply => ({
  json: responseObject({ id: RESPONSE_ID, ...fields, output }),
});
const stream = (output: readonly (string | ResponseItem)[], fields: ResponseFields = {}): Reply => ({
  stream: { events: responseEvents(output, 3, { id: RESPONSE_ID, ...fields }), named: true },
});

function items(reads: Filled['reads'], of: (secret: string) => readonly (string | ResponseItem)[]): Position {
  return filled(
    reads,
    (secret) => whole(of(secret)),
    (secret) => stream(of(secret)),
  );
}

const item = (reads: Filled['reads'], of: (secret: string) => ResponseItem): Position =>
  items(reads, (secret) => ['Well 你好', of(secret)]);

/** In the response object, which a stream repeats in its first and last events. */
function inResponse(of: (secret: string) => ResponseFields): Position {
  return filled(
    'leaf',
    (secret) => whole(['Well.'], of(secret)),
    (secret) => stream(['Well.'], of(secret)),
  );
}

/** The only part of a message. */
const inPart = (of: (secret: string) => object) => (secret: string) => {
  const text = textItem('Well.', { id: 'msg_part' });
  return { ...text, content: [{ ...(text.content as object[])[0], ...of(secret) }] };
};

const logprob = (token: string) => ({ token, bytes: [...Buffer.from(token)], logprob: -0.25, top_logprobs: [] });
const plain = { stream: stream(['Well.']).stream as NonNullable<Reply['stream']> };

/** Before the last event of a harmless answer. */
function event(payload: object): Reply {
  const events = [...plain.stream.events];
  events.splice(-1, 0, JSON.stringify(payload));
  return { stream: { ...plain.stream, events } };
}

const CALL = (secret: string) => JSON.stringify({ note: secret });

export const RESPONSES_POSITIONS: Positions = {
  content: items('shown', (secret) => [secret]),
  'content in parts': item('shown', (secret) => {
    const text = textItem('Well.', { id: 'msg_parts' });
    return {
      ...text,
      content: [...(text.content as object[]), { type: 'output_text', annotations: [], text: secret }],
    };
  }),
  'second choice': items('shown', (secret) => ['Well 你好', secret]),
  refusal: items('shown', (secret) => [refusalItem(secret)]),
  reasoning: item('shown', (secret) => reasoningItem([], { content: [secret] })),
  'reasoning, second form': item('shown', (secret) => reasoningItem([secret])),
  'reasoning, third form': item('leaf', (secret) => reasoningItem(['Well.'], { encrypted: secret })),
  'tool name': item('shown', (secret) => functionCallItem(secret, '{}')),
  'tool arguments': item('shown', (secret) => functionCallItem('look_up', CALL(secret))),
  'tool arguments, escaped': item('shown', (secret) => functionCallItem('look_up', `{"note":"${escaped(secret)}"}`)),
  'tool argument key': item('shown', (secret) => functionCallItem('look_up', JSON.stringify({ [secret]: 1 }))),
  'custom tool input': item('shown', (secret) => customCallItem('run', secret)),
  'older tool form, name': absent('has one form of calls with a name'),
  'other tool form, arguments': item('shown', (secret) => ({
    id: 'lsh_0',
    type: 'local_shell_call',
    status: 'completed',
    call_id: 'call_0',
    action: { type: 'exec', command: ['echo', secret], env: {} },
  })),
  'log-probabilities': item(
    'spelled',
    inPart((secret) => ({ logprobs: [logprob(secret)] })),
  ),
  'log-probability alternative': item(
    'leaf',
    inPart((secret) => ({ logprobs: [{ ...logprob('Well.'), top_logprobs: [logprob(secret)] }] })),
  ),
  annotations: item(
    'leaf',
    inPart((secret) => ({
      annotations: [
        { type: 'url_citation', start_index: 0, end_index: 4, url: `https://x.test/${secret}`, title: 'A page' },
      ],
    })),
  ),
  'finish reason': inResponse((reason) => ({ status: 'incomplete', incomplete_details: { reason } })),
  id: inResponse((id) => ({ previous_response_id: id })),
  model: inResponse((model) => ({ model })),
  'unknown field of the message': item(
    'shown',
    inPart((x_note) => ({ x_note })),
  ),
  'nested unknown field of the message': item(
    'leaf',
    inPart((text) => ({ x_more: { deep: [{ text }] } })),
  ),
  'unknown field of the choice': item('shown', (x_note) => ({ ...textItem('Well.', { id: 'msg_note' }), x_note })),
  'unknown field of the answer': inResponse((secret) => ({ x_debug: { prompt: [`system: ${secret}`] } })),
  'unknown event': {
    whole: { absent: 'a whole answer has no events' },
    stream: one('shown', (delta) => event({ type: 'response.x_thought.delta', sequence_number: 99, delta })),
  },
  'object key': inResponse((secret) => ({ x_debug: { [secret]: 1 } })),
  'key within the message': item(
    'leaf',
    inPart((secret) => ({ x_map: { [secret]: 1 } })),
  ),
  'response header': filled(
    'leaf',
    (secret) => ({ ...whole(['Well.']), headers: HEADER(secret) }),
    (secret) => ({ ...plain, headers: HEADER(secret) }),
  ),
  ...OPENAI_ERRORS,
  'error in a 200': {
    whole: one('dropped', (secret) => ({ json: { error: { message: secret } } })),
    stream: one('leaf', (message) => {
      const events = plain.stream.events.slice(0, 4);
      const error = { type: 'error', sequence_number: 4, code: 'server_error', message, param: null };
      return { stream: { named: true, events: [...events, JSON.stringify(error)] } };
    }),
  },
  'error of the answer': inResponse((message) => ({ status: 'failed', error: { code: 'server_error', message } })),
  'echoed instructions': filled(
    'echo',
    (_, instructions) => whole(['Well.'], { instructions }),
    (_, instructions) => stream(['Well.'], { instructions }),
  ),
  'echo beside a leak': filled(
    'shown',
    (secret, instructions) => whole([secret], { instructions }),
    (secret, instructions) => stream([secret], { instructions }),
  ),
  'retrieved response': absent('is a surface of its own'),
};

/** The answer when it is asked for again, in every place. */
export const RETRIEVED_POSITIONS: Positions = {
  ...RESPONSES_POSITIONS,
  'retrieved response': items('shown', (secret) => ['Well 你好', `It is ${secret}, you see.`]),
};

/** Without the streams. */
export const CANCELLED_POSITIONS: Positions = Object.fromEntries(
  Object.entries(RETRIEVED_POSITIONS).map(([name, position]) => [
    name,
    { whole: position.whole, stream: { absent: 'has no streams' } },
  ]),
) as unknown as Positions;
