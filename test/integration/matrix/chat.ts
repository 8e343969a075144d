/** Chat completions and legacy completions with a leak in each of their places. */
import {
  chunk,
  completion,
  completionAnswer,
  completionEvents,
  contentEvents,
  interleave,
  pieces,
  type Reply,
  rawChunk,
  toolCallEvents,
} from '../../helpers/mockUpstream.ts';
import {
  absent,
  customCallReply,
  escaped,
  filled,
  HEADER,
  OPENAI_ERRORS,
  one,
  type Position,
  type Positions,
} from './positions.ts';

const events = (list: readonly string[]): Reply => ({ stream: { events: list } });
const STOP = chunk({}, 0, 'stop');
/** Ends in letters that begin nothing, so that it leaves before what follows. */
const BEGUN = chunk({ role: 'assistant', content: 'Well 你好' });
const logprob = (token: string) => ({ token, logprob: -0.1, bytes: [...Buffer.from(token)], top_logprobs: [] });

/** In a message, and as pieces of three characters in deltas. */
function field(name: string, wrap: (text: string) => unknown = (text) => text): Position {
  return filled(
    'shown',
    (secret) => ({ json: completion({ content: 'Well.', [name]: wrap(secret) }) }),
    (secret) =>
      events([
        chunk({ role: 'assistant', content: '' }),
        ...pieces(secret, 3).map((piece) => chunk({ [name]: wrap(piece) })),
        STOP,
      ]),
  );
}

/** In a message, and in one delta: providers send these in one piece. */
function fieldAtOnce(reads: 'shown' | 'leaf', of: (secret: string) => object): Position {
  return filled(
    reads,
    (secret) => ({ json: completion({ content: 'Well.', ...of(secret) }) }),
    (secret) => events([BEGUN, chunk(of(secret)), STOP]),
  );
}

/** In the body, or in one chunk after harmless ones. */
function inBody(of: (secret: string) => object): Position {
  return filled(
    'leaf',
    (secret) => ({ json: { ...completion('Well.'), ...of(secret) } }),
    (secret) => events([BEGUN, rawChunk([], of(secret)), STOP]),
  );
}

/** In a choice beside its message or delta. */
function inChoice(reads: 'shown' | 'leaf', of: (secret: string) => object): Position {
  const choice = (secret: string) => ({ index: 0, finish_reason: 'stop', ...of(secret) });
  return filled(
    reads,
    (secret) => ({
      json: {
        ...completion('Well.'),
        choices: [{ message: { role: 'assistant', content: 'Well.' }, ...choice(secret) }],
      },
    }),
    (secret) => events([BEGUN, rawChunk([{ delta: {}, ...choice(secret) }])]),
  );
}

function tool(call: (secret: string) => { name?: string; arguments?: string }): Position {
  const full = (secret: string) => ({ id: 'call_1', name: 'look_up', arguments: '{}', ...call(secret) });
  return filled(
    'shown',
    (secret) => ({ json: completion({ content: null, tool_calls: [full(secret)] }) }),
    (secret) => events(toolCallEvents([full(secret)], 3)),
  );
}

function functionCall(of: (text: string) => object): Position {
  return filled(
    'shown',
    (secret) => ({ json: completion({ content: null, function_call: { name: 'f', arguments: '', ...of(secret) } }) }),
    (secret) =>
      events([
        chunk({ role: 'assistant', content: null, function_call: { name: 'f', arguments: '' } }),
        ...pieces(secret, 3).map((piece) => chunk({ function_call: of(piece) })),
        chunk({}, 0, 'function_call'),
      ]),
  );
}

const NO_ECHO = absent('the answer does not repeat the prompt');
const NOT_STORED = absent('nothing is stored');

/** What both formats have. */
const COMMON = {
  ...OPENAI_ERRORS,
  'error of the answer': absent('an answer carries no error'),
  'echoed instructions': NO_ECHO,
  'echo beside a leak': NO_ECHO,
  'retrieved response': NOT_STORED,
  'unknown event': absent('events have no type'),
} as const;

export const CHAT_POSITIONS: Positions = {
  ...COMMON,
  content: field('content'),
  'content in parts': field('content', (text) => [{ type: 'text', text }]),
  'second choice': filled(
    'shown',
    (secret) => ({ json: completion('Well.', secret) }),
    (secret) => events(interleave(contentEvents(pieces('Well. 你好', 3)), contentEvents(pieces(secret, 3), 1))),
  ),
  refusal: field('refusal'),
  reasoning: field('reasoning_content'),
  'reasoning, second form': field('reasoning'),
  'reasoning, third form': field('reasoning_details', (text) => [{ type: 'reasoning.text', text, index: 0 }]),
  'tool name': tool((name) => ({ name })),
  'tool arguments': tool((secret) => ({ arguments: JSON.stringify({ note: secret }) })),
  'tool arguments, escaped': tool((secret) => ({ arguments: `{"note":"${escaped(secret)}"}` })),
  'tool argument key': tool((secret) => ({ arguments: JSON.stringify({ [secret]: 1 }) })),
  'custom tool input': filled(
    'shown',
    (secret) => customCallReply('call_1', 'c', secret),
    (secret) =>
      events([
        chunk({ tool_calls: [{ index: 0, id: 'call_1', type: 'custom', custom: { name: 'c', input: '' } }] }),
        ...pieces(secret, 3).map((input) => chunk({ tool_calls: [{ index: 0, custom: { input } }] })),
        chunk({}, 0, 'tool_calls'),
      ]),
  ),
  'older tool form, name': functionCall((name) => ({ name })),
  'other tool form, arguments': functionCall((text) => ({ arguments: text })),
  'log-probabilities': filled(
    'spelled',
    (secret) => ({
      json: {
        ...completion('Well.'),
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: 'Well.' },
            logprobs: { content: pieces(secret, 3).map(logprob) },
            finish_reason: 'stop',
          },
        ],
      },
    }),
    (secret) =>
      events([
        BEGUN,
        ...pieces(secret, 3).map((piece) =>
          rawChunk([{ index: 0, delta: {}, logprobs: { content: [logprob(piece)] }, finish_reason: null }]),
        ),
        STOP,
      ]),
  ),
  'log-probability alternative': inChoice('leaf', (secret) => ({
    logprobs: { content: [{ token: 'Well', logprob: -1, bytes: null, top_logprobs: [logprob(secret)] }] },
  })),
  annotations: fieldAtOnce('shown', (secret) => ({
    annotations: [{ type: 'url_citation', url_citation: { url: `https://x.test/${secret}` } }],
  })),
  'finish reason': inChoice('leaf', (finish_reason) => ({ finish_reason })),
  id: inBody((id) => ({ id })),
  model: inBody((model) => ({ model })),
  'unknown field of the message': field('x_thoughts'),
  'nested unknown field of the message': field('x_more', (text) => ({ deep: [{ text }] })),
  'unknown field of the choice': inChoice('shown', (x_note) => ({ x_note })),
  'unknown field of the answer': inBody((secret) => ({ x_debug: { prompt: [`system: ${secret}`] } })),
  'object key': inBody((secret) => ({ x_debug: { [secret]: 1 } })),
  'key within the message': fieldAtOnce('leaf', (secret) => ({ x_map: { [secret]: 1 } })),
  'response header': filled(
    'leaf',
    (secret) => ({ json: completion('Well.'), headers: HEADER(secret) }),
    (secret) => ({ ...events(contentEvents(['Well.'])), headers: HEADER(secret) }),
  ),
  'error in a 200': {
    whole: one('dropped', (secret) => ({ json: { error: { message: secret } } })),
    stream: one('leaf', (secret) => events([BEGUN, JSON.stringify({ error: { message: secret } })])),
  },
};

const TEXT_STOP = (completionEvents([''], 3) as [string]).at(-1) as string;
const TEXT_BEGUN = completionEvents(['Well 你好'], 7)[0] as string;

function edited(json: string, change: (chunk: Record<string, unknown>) => void): string {
  const chunk = JSON.parse(json) as Record<string, unknown>;
  change(chunk);
  return JSON.stringify(chunk);
}

/** In the body, or in one chunk after harmless ones. */
function inCompletion(of: (secret: string) => object): Position {
  return filled(
    'leaf',
    (secret) => ({ json: { ...completionAnswer('Well.'), ...of(secret) } }),
    (secret) =>
      events([TEXT_BEGUN, edited(TEXT_STOP, (chunk) => Object.assign(chunk, { choices: [] }, of(secret))), TEXT_STOP]),
  );
}

/** In the choice, or in the choice of one chunk. */
function inTextChoice(reads: 'shown' | 'leaf' | 'spelled', of: (secret: string) => object, size = 1_000): Position {
  const withChoice = (json: object, secret: string) => {
    const choices = (json as { choices: object[] }).choices;
    return { ...json, choices: [{ ...choices[0], ...of(secret) }] };
  };
  return filled(
    reads,
    (secret) => ({ json: withChoice(completionAnswer('Well.'), secret) }),
    (secret) =>
      events([
        TEXT_BEGUN,
        ...pieces(secret, size).map((piece) =>
          JSON.stringify(withChoice(JSON.parse(edited(TEXT_BEGUN, emptied)) as object, piece)),
        ),
        TEXT_STOP,
      ]),
  );
}

function emptied(chunk: Record<string, unknown>): void {
  const [choice] = chunk.choices as [Record<string, unknown>];
  choice.text = '';
}

const tokens = (token: string) => ({
  logprobs: { tokens: [token], token_logprobs: [-0.25], top_logprobs: null, text_offset: [0] },
});
const NO_TOOLS = absent('knows no tools');
const NO_REASONING = absent('reasoning is not told apart');

export const COMPLETIONS_POSITIONS: Positions = {
  ...COMMON,
  content: filled(
    'shown',
    (secret) => ({ json: completionAnswer(secret) }),
    (secret) => events(completionEvents([secret], 3)),
  ),
  'content in parts': absent('content is one string'),
  'second choice': filled(
    'shown',
    (secret) => ({ json: completionAnswer('Well.', secret) }),
    (secret) => events(completionEvents(['Well. 你好', secret], 3)),
  ),
  refusal: absent('has no refusals'),
  reasoning: NO_REASONING,
  'reasoning, second form': NO_REASONING,
  'reasoning, third form': NO_REASONING,
  'tool name': NO_TOOLS,
  'tool arguments': NO_TOOLS,
  'tool arguments, escaped': NO_TOOLS,
  'tool argument key': NO_TOOLS,
  'custom tool input': NO_TOOLS,
  'older tool form, name': NO_TOOLS,
  'other tool form, arguments': NO_TOOLS,
  'log-probabilities': inTextChoice('spelled', tokens, 3),
  'log-probability alternative': inTextChoice('leaf', (secret) => ({
    logprobs: { tokens: ['Well'], token_logprobs: [-0.25], top_logprobs: [{ [secret]: -3 }], text_offset: [0] },
  })),
  annotations: absent('has no annotations'),
  'finish reason': inTextChoice('leaf', (finish_reason) => ({ finish_reason })),
  id: inCompletion((id) => ({ id })),
  model: inCompletion((model) => ({ model })),
  'unknown field of the message': absent('a choice is its own message'),
  'nested unknown field of the message': inTextChoice('shown', (text) => ({ x_more: { deep: [{ text }] } })),
  'unknown field of the choice': inTextChoice('shown', (x_note) => ({ x_note }), 3),
  'unknown field of the answer': inCompletion((secret) => ({ x_debug: { prompt: [`system: ${secret}`] } })),
  'object key': inCompletion((secret) => ({ x_debug: { [secret]: 1 } })),
  'key within the message': inTextChoice('leaf', (secret) => ({ x_map: { [secret]: 1 } })),
  'response header': filled(
    'leaf',
    (secret) => ({ json: completionAnswer('Well.'), headers: HEADER(secret) }),
    (secret) => ({ ...events(completionEvents(['Well.'])), headers: HEADER(secret) }),
  ),
  'error in a 200': {
    whole: one('dropped', (secret) => ({ json: { error: { message: secret } } })),
    stream: one('leaf', (secret) => events([TEXT_BEGUN, JSON.stringify({ error: { message: secret } })])),
  },
};
