/** Every place of an answer that could carry a canary, whole and streamed: all of them stop the answer. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startGateway, type TestGateway } from '../../helpers/gateway.ts';
import {
  chunk,
  completion,
  contentEvents,
  interleave,
  MockUpstream,
  pieces,
  type Reply,
  rawChunk,
  toolCallEvents,
} from '../../helpers/mockUpstream.ts';
import { type Answer, ask, canaryOf, chatBody, chunks, errorCode, errorOf, expectNoneOf, payloads } from './support.ts';

let mock: MockUpstream;
let gateway: TestGateway;
const table: string[] = [];
beforeAll(async () => {
  mock = await MockUpstream.start();
  gateway = await startGateway({ upstream: mock.url });
});
afterAll(async () => {
  process.stdout.write(`position of the leak                       whole  streamed\n${table.join('\n')}\n`);
  await gateway.close();
  await mock.close();
});
beforeEach(() => mock.clear());

interface Position {
  readonly whole: (token: string) => Reply;
  readonly streamed: (token: string) => Reply;
}

/** In a message, and as pieces of three characters in deltas. */
function field(name: string, wrap: (text: string) => unknown = (text) => text): Position {
  return {
    whole: (token) => ({ json: completion({ content: 'Well.', [name]: wrap(token) }) }),
    streamed: (token) =>
      events([
        chunk({ role: 'assistant', content: '' }),
        ...pieces(token, 3).map((piece) => chunk({ [name]: wrap(piece) })),
        chunk({}, 0, 'stop'),
      ]),
  };
}

/** In one place of the body or of one chunk after harmless ones. */
function extra(of: (token: string) => object): Position {
  return {
    whole: (token) => ({ json: { ...completion('Well.'), ...of(token) } }),
    streamed: (token) =>
      events([...contentEvents(['Well, ', '你好 ']).slice(0, -1), rawChunk([], of(token)), chunk({}, 0, 'stop')]),
  };
}

/** In a choice beside its message or delta. */
function inChoice(of: (token: string) => object): Position {
  const choice = (token: string) => ({ index: 0, finish_reason: 'stop', ...of(token) });
  return {
    whole: (token) => ({
      json: {
        ...completion('Well.'),
        choices: [{ message: { role: 'assistant', content: 'Well.' }, ...choice(token) }],
      },
    }),
    streamed: (token) =>
      events([chunk({ content: 'Well 你好' }), rawChunk([{ delta: {}, ...choice(token) }]), chunk({}, 0, 'stop')]),
  };
}

function tool(call: (token: string) => { name?: string; arguments?: string }): Position {
  const full = (token: string) => ({ id: 'call_1', name: 'look_up', arguments: '{}', ...call(token) });
  return {
    whole: (token) => ({ json: completion({ content: null, tool_calls: [full(token)] }) }),
    streamed: (token) => events(toolCallEvents([full(token)], 3)),
  };
}

function functionCall(of: (text: string) => object): Position {
  return {
    whole: (token) => ({
      json: completion({ content: null, function_call: { name: 'f', arguments: '', ...of(token) } }),
    }),
    streamed: (token) =>
      events([
        chunk({ role: 'assistant', content: null, function_call: { name: 'f', arguments: '' } }),
        ...pieces(token, 3).map((piece) => chunk({ function_call: of(piece) })),
        chunk({}, 0, 'function_call'),
      ]),
  };
}

const events = (list: readonly string[]): Reply => ({ stream: { events: list } });
const escaped = (text: string) =>
  [...text].map((char) => `\\u00${char.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');
const logprob = (text: string) => ({ token: text, logprob: -0.1, bytes: null, top_logprobs: [] });
const header = (token: string) => ({ 'x-ratelimit-note': `limit ${token}` });
const error = (token: string) => ({ status: 500, json: { error: { message: `No: ${token}`, type: 'server_error' } } });

const POSITIONS: Record<string, Position> = {
  content: field('content'),
  'content as parts': field('content', (text) => [{ type: 'text', text }]),
  refusal: field('refusal'),
  reasoning_content: field('reasoning_content'),
  reasoning: field('reasoning'),
  reasoning_details: field('reasoning_details', (text) => [{ type: 'reasoning.text', text, index: 0 }]),
  'a field nobody knows': field('x_thoughts'),
  'a nested field nobody knows': field('x_more', (text) => ({ deep: [{ text }] })),
  'second choice': {
    whole: (token) => ({ json: completion('Well.', token) }),
    streamed: (token) => events(interleave(contentEvents(pieces('Well. 你好', 3)), contentEvents(pieces(token, 3), 1))),
  },
  'tool name': tool((name) => ({ name })),
  'tool arguments': tool((token) => ({ arguments: JSON.stringify({ note: token }) })),
  'tool arguments, escaped': tool((token) => ({ arguments: `{"note":"${escaped(token)}"}` })),
  'tool argument key': tool((token) => ({ arguments: JSON.stringify({ [token]: 1 }) })),
  'custom tool input': {
    whole: (token) => ({ json: completion({ content: null, x: 1, custom: { name: 'c', input: token } }) }),
    streamed: (token) =>
      events([
        ...pieces(token, 3).map((input) => chunk({ tool_calls: [{ index: 0, type: 'custom', custom: { input } }] })),
        chunk({}, 0, 'tool_calls'),
      ]),
  },
  'function_call name': functionCall((name) => ({ name })),
  'function_call arguments': functionCall((text) => ({ arguments: text })),
  'log-probabilities': {
    whole: (token) => ({
      json: {
        ...completion('Well.'),
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: 'Well.' },
            logprobs: { content: pieces(token, 3).map(logprob) },
            finish_reason: 'stop',
          },
        ],
      },
    }),
    streamed: (token) =>
      events([
        chunk({ content: 'Well 你好' }),
        ...pieces(token, 3).map((piece) =>
          rawChunk([{ index: 0, delta: {}, logprobs: { content: [logprob(piece)] }, finish_reason: null }]),
        ),
        chunk({}, 0, 'stop'),
      ]),
  },
  'log-probability alternative': inChoice((token) => ({
    logprobs: { content: [{ token: 'Well', logprob: -1, bytes: null, top_logprobs: [logprob(token)] }] },
  })),
  annotations: field('annotations', (text) => [
    { type: 'url_citation', url_citation: { url: `https://x.test/${text}` } },
  ]),
  'choice field nobody knows': inChoice((token) => ({ content_filter_results: { note: token } })),
  'finish reason': inChoice((token) => ({ finish_reason: token })),
  id: extra((id) => ({ id })),
  model: extra((model) => ({ model })),
  'service tier': extra((service_tier) => ({ service_tier })),
  'body field nobody knows': extra((token) => ({ x_debug: { prompt: [`system: ${token}`] } })),
  'object key': extra((token) => ({ x_debug: { [token]: 1 } })),
  'key within a message': field('x_map', (text) => ({ [text]: 1 })),
  'response header': {
    whole: (token) => ({ json: completion('Well.'), headers: header(token) }),
    streamed: (token) => ({ ...events(contentEvents(['Well.'])), headers: header(token) }),
  },
  'provider error body': { whole: error, streamed: error },
  'provider error string': {
    whole: (token) => ({ status: 400, json: { error: token } }),
    streamed: (token) => ({ status: 400, json: { error: token } }),
  },
  'error event': {
    whole: (token) => ({ json: { error: { message: token } } }),
    streamed: (token) => events([chunk({ content: 'Well 你好' }), JSON.stringify({ error: { message: token } })]),
  },
};

/** Providers send these in one piece, and pieces of three characters would be nothing to find. */
const inOneChunk = (delta: (token: string) => object) => (token: string) =>
  events([chunk({ content: 'Well 你好' }), chunk(delta(token)), chunk({}, 0, 'stop')]);
const IN_ONE_CHUNK: Partial<Record<string, (token: string) => Reply>> = {
  'key within a message': inOneChunk((token) => ({ x_map: { [token]: 1 } })),
  annotations: inOneChunk((token) => ({
    annotations: [{ type: 'url_citation', url_citation: { url: `https://x.test/${token}` } }],
  })),
};
/** What is replaced by an error of ours before anybody asks what it says. */
const NO_ANSWER = new Set(['error event']);

describe('every position', () => {
  it.each(Object.entries(POSITIONS))('%s', async (name, position) => {
    const cells: string[] = [];
    for (const stream of [false, true]) {
      mock.next((request) => {
        const token = canaryOf(request.systemText);
        return stream ? (IN_ONE_CHUNK[name] ?? position.streamed)(token) : position.whole(token);
      });
      const answer = await ask(gateway, chatBody({ stream, n: 2 }));
      cells.push(stream || !NO_ANSWER.has(name) ? outcome(answer) : (errorCode(answer.text) as string));
      for (const [header, value] of answer.headers) {
        // Our own ids and hashes are hexadecimal too.
        if (!/request-id|telemetry-id|receipt/.test(header)) expectNoneOf(canaryOf(mock.last.systemText), value);
      }
      expectNoneOf(canaryOf(mock.last.systemText), answer.text);
    }
    table.push(`${name.padEnd(42)} ${cells.join('  ')}`);
    expect(cells).toEqual([NO_ANSWER.has(name) ? 'bad_upstream' : 'blocked', 'blocked']);
  });
});

/** `blocked` when the client is told so in the way of its request, else what came instead. */
function outcome(answer: Answer): string {
  const code = errorCode(answer.text);
  if (code !== 'content_filter') return `${answer.status} ${String(code)}`;
  if (answer.status === 400) return answer.headers.get('content-type') === 'application/json' ? 'blocked' : 'no JSON';
  const finished = chunks(answer.text).some((part) => part.choices?.[0]?.finish_reason === 'content_filter');
  return finished && payloads(answer.text).at(-1) === '[DONE]' ? 'blocked' : 'not ended';
}

describe('split', () => {
  const leaking = async (list: (token: string) => readonly string[]): Promise<Answer & { token: string }> => {
    mock.next((request) => events(list(canaryOf(request.systemText))));
    const answer = await ask(gateway, chatBody({ stream: true, n: 2 }));
    return { ...answer, token: canaryOf(mock.last.systemText) };
  };

  it('over frames of one character after 6 kB of text', async () => {
    const before = 'All of this is quite harmless, 你好 is it not? '.repeat(130);
    const answer = await leaking((token) => contentEvents([...pieces(before, 40), ...token, ' and more']));
    expect(outcome(answer)).toBe('blocked');
    expectNoneOf(answer.token, answer.text);
  });

  it('over two channels of one choice, half in each', async () => {
    const answer = await leaking((token) => [
      chunk({ role: 'assistant', content: '' }),
      ...pieces(token.slice(0, 16), 4).map((piece) => chunk({ reasoning_content: piece })),
      ...pieces(token.slice(16), 4).map((piece) => chunk({ content: piece })),
      chunk({}, 0, 'stop'),
    ]);
    expect(outcome(answer)).toBe('blocked');
    expectNoneOf(answer.token, answer.text);
  });

  it('over two choices, half in each', async () => {
    const answer = await leaking((token) =>
      interleave(contentEvents(pieces(token.slice(0, 16), 4)), contentEvents(pieces(token.slice(16), 4), 1)),
    );
    expect(outcome(answer)).toBe('blocked');
    expectNoneOf(answer.token, answer.text);
  });

  it('over a finish and what follows it', async () => {
    const answer = await leaking((token) => [
      ...contentEvents(['Well 你好']),
      chunk({ content: token }),
      chunk({}, 0, 'stop'),
    ]);
    expect(outcome(answer)).toBe('blocked');
    expectNoneOf(answer.token, answer.text);
  });

  it('over text and tool call, half in each', async () => {
    const answer = await leaking((token) => [
      ...pieces(token.slice(0, 16), 4).map((content) => chunk({ content })),
      ...toolCallEvents([{ id: 'call_1', name: 'send', arguments: JSON.stringify({ text: token.slice(16) }) }]),
    ]);
    expect(outcome(answer)).toBe('blocked');
    expectNoneOf(answer.token, answer.text);
  });
});

describe('the list of models', () => {
  it.each([
    ['an id', (token: string) => [token]],
    ['a part of an id', (token: string) => [`model-${token}-large`]],
  ])('is stopped for a canary in %s', async (_, models) => {
    mock.next((request) => ({ json: completion(request.systemText.slice(0, 5)) }));
    await ask(gateway, chatBody());
    const token = canaryOf(mock.last.systemText);
    // The registry's own copy is at most a second old.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    mock.models = models(token);
    try {
      const response = await fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${gateway.key}` } });
      const text = await response.text();
      expect({ status: response.status, code: errorOf(text).code }).toEqual({ status: 400, code: 'content_filter' });
      expectNoneOf(token, text);
    } finally {
      mock.models = ['mock-model'];
    }
  });
});
