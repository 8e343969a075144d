import Anthropic from '@anthropic-ai/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../gateway/errors.ts';
import { messagesDialect } from '../../../../gateway/stream/messagesDialect.ts';
import type { AnswerPart } from '../../../../gateway/wire/answer.ts';
import { readMessagesAnswer } from '../../../../gateway/wire/messagesAnswer.ts';
import { channelsOf, coveredBy, parse, stringsOf } from '../wire/coverage.ts';

const read = (event: unknown): AnswerPart => {
  const part = messagesDialect.read(parse(event));
  if (part === null) throw new Error('was refused');
  return part;
};

const start = (content_block: object, index = 0) => ({ type: 'content_block_start', index, content_block });
const delta = (given: unknown, index = 0) => ({ type: 'content_block_delta', index, delta: given });
const stop = (index = 0) => ({ type: 'content_block_stop', index });
const MESSAGE = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude',
  content: [],
  stop_reason: null,
  stop_sequence: null,
  container: { id: 'c_1', expires_at: 'soon', skills: [{ skill_id: 's_1', type: 'custom', version: '1' }] },
  usage: { input_tokens: 9, output_tokens: 1, service_tier: 'standard' },
};

/** Every kind of event that the SDK knows, and some that it does not. */
const EVENTS: [string, Record<string, unknown>][] = [
  ['a start', { type: 'message_start', message: MESSAGE }],
  ['a start with content', { type: 'message_start', message: { ...MESSAGE, content: [{ type: 'text', text: 'a' }] } }],
  ['a start that is a string', { type: 'message_start', message: 'odd' }],
  ['a text block', start({ type: 'text', text: '', citations: null })],
  ['a text block that says something', start({ type: 'text', text: 'hi', citations: [{ cited_text: 'a' }] })],
  ['a thinking block', start({ type: 'thinking', thinking: 'hm', signature: 'c2ln' })],
  ['a redacted block', start({ type: 'redacted_thinking', data: 'ZGF0YQ==' })],
  ['a call', start({ type: 'tool_use', id: 'tu_1', name: 'get', input: {}, caller: { type: 'direct' } })],
  ['a whole call', start({ type: 'tool_use', id: 'tu_1', name: 'get', input: { a: ['b', { c: 'd' }] } })],
  ['a call of a server', start({ type: 'server_tool_use', id: 'tu_1', name: 'web_search', input: {} })],
  [
    'a search',
    start({
      type: 'web_search_tool_result',
      tool_use_id: 'tu_1',
      content: [{ type: 'web_search_result', title: 't', url: 'u', encrypted_content: 'e', page_age: 'p' }],
    }),
  ],
  ['a run', start({ type: 'bash_code_execution_tool_result', content: { type: 'x', stdout: 'o', stderr: 'e' } })],
  ['an upload', start({ type: 'container_upload', file_id: 'f_1' })],
  ['a block that is a string', { type: 'content_block_start', index: 0, content_block: 'odd' }],
  ['text', delta({ type: 'text_delta', text: 'hi' })],
  ['thinking', delta({ type: 'thinking_delta', thinking: 'hm', estimated_tokens: 3 })],
  ['a signature', delta({ type: 'signature_delta', signature: 'c2ln' })],
  ['a piece of input', delta({ type: 'input_json_delta', partial_json: '{"a' })],
  ['a citation', delta({ type: 'citations_delta', citation: { type: 'char_location', cited_text: 'a', title: 'b' } })],
  ['a summary', delta({ type: 'compaction_delta', content: 'so far', encrypted_content: 'RUE=' })],
  ['a delta nobody knows', delta({ type: 'smell_delta', smell: 'sweet', notes: [{ a: 'b' }], text: 'c' })],
  ['a known delta with more in it', delta({ type: 'text_delta', text: 'a', aside: 'b', signature: 'c' })],
  ['a delta of the wrong type', delta({ type: 'text_delta', text: { a: 'b' } })],
  ['a delta that is a string', delta('odd')],
  ['the end of a block', stop()],
  [
    'the end of the text',
    {
      type: 'message_delta',
      delta: {
        stop_reason: 'refusal',
        stop_sequence: 'END',
        stop_details: { type: 'refusal', category: 'cyber', explanation: 'no' },
      },
      usage: { output_tokens: 5, input_tokens: null },
    },
  ],
  ['the end', { type: 'message_stop' }],
  ['a ping', { type: 'ping' }],
  ['an error', { type: 'error', error: { type: 'overloaded_error', message: 'busy' }, request_id: 'r' }],
  [
    'an error beside another event',
    { type: 'content_block_delta', error: 'busy', delta: { type: 'text_delta', text: 'a' } },
  ],
  ['an event nobody knows', { type: 'weather', text: 'rain', delta: { text: 'more' }, message: [{ a: 'b' }] }],
];

describe('an event of a message', () => {
  it.each(EVENTS)('hands on every string exactly once: %s', (_name, event) => {
    expect(coveredBy(read(event))).toEqual(stringsOf(event));
  });

  it.each([[[]], ['text'], [1], [{}], [{ type: 1 }], [{ choices: [] }]])('is not %j', (value) => {
    expect(messagesDialect.read(parse(value))).toBeNull();
  });

  it('continues the channel of its block', () => {
    const parts = [
      start({ type: 'thinking', thinking: 'a', signature: '' }, 0),
      delta({ type: 'thinking_delta', thinking: 'b' }, 0),
      start({ type: 'text', text: 'c' }, 1),
      delta({ type: 'text_delta', text: 'd' }, 1),
      delta({ type: 'smell_delta', smell: 'e' }, 1),
      delta({ type: 'smell_delta', smell: 'f' }, 1),
    ].map(read);
    expect(channelsOf(parts)).toEqual({ '0/thinking': 'ab', '1/text': 'cd', '1/smell_delta/smell': 'ef' });
  });

  it('opens a block and ends it', () => {
    expect(read(start({ type: 'text', text: '' }, 3)).groups).toMatchObject([{ index: 3, finished: false }]);
    expect(read(delta({ type: 'text_delta', text: 'a' }, 3)).groups).toMatchObject([{ index: 3, finished: false }]);
    expect(read(stop(3)).groups).toMatchObject([{ index: 3, finished: true }]);
    expect(read({ type: 'ping' }).groups).toEqual([]);
  });

  it('tells a call piece by piece', () => {
    const parts = [
      start({ type: 'tool_use', id: 'tu_1', name: 'get', input: {} }, 1),
      delta({ type: 'input_json_delta', partial_json: '' }, 1),
      delta({ type: 'input_json_delta', partial_json: '{"a":' }, 1),
      delta({ type: 'input_json_delta', partial_json: '1}' }, 1),
    ].map(read);
    expect(parts.flatMap(({ calls }) => calls)).toEqual([
      { key: '1', id: 'tu_1', name: 'get', arguments: null },
      { key: '1', name: null, arguments: '' },
      { key: '1', name: null, arguments: '{"a":' },
      { key: '1', name: null, arguments: '1}' },
    ]);
    expect(parts.map(({ groups }) => groups[0]?.toolCalls)).toEqual([['1'], ['1'], ['1'], ['1']]);
    expect(parts.flatMap(({ pieces }) => pieces.map(({ kind }) => kind))).toEqual(['tool', 'tool', 'tool', 'tool']);
  });

  it('ends the answer only at its stop', () => {
    expect(EVENTS.filter(([, event]) => read(event).ends).map(([name]) => name)).toEqual(['the end']);
    expect(messagesDialect).toMatchObject({ doneMark: null, namedEvents: true, endsWithGroups: false });
  });

  it('is an error where it says so', () => {
    const errors = EVENTS.filter(([, event]) => read(event).isError).map(([name]) => name);
    expect(errors).toEqual(['an error']);
    expect(read({ error: { message: 'busy' } })).toMatchObject({ isError: true });
  });

  it('counts tokens at the start and at the end', () => {
    expect(read({ type: 'message_start', message: MESSAGE }).usage).toEqual({ inputTokens: 9, outputTokens: 1 });
    const end = { type: 'message_delta', delta: {}, usage: { input_tokens: null, output_tokens: 5 } };
    expect(read(end).usage).toEqual({ inputTokens: null, outputTokens: 5 });
  });
});

describe('a stream of a message', () => {
  const text = fc.string({ unit: 'binary', maxLength: 30 });
  const block = fc.oneof(
    fc.record({ type: fc.constant('text' as const), text }),
    fc.record({ type: fc.constant('thinking' as const), thinking: text }),
    fc.record({
      type: fc.constant('tool_use' as const),
      name: fc.string({ minLength: 1, maxLength: 8 }),
      input: fc.dictionary(fc.string({ maxLength: 6 }), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3 }),
    }),
  );
  type Block = typeof block extends fc.Arbitrary<infer T> ? T : never;

  /** Between none and all of the text is in the start; the rest follows in pieces of any size. */
  function stream(content: Block, index: number, sizes: readonly number[]): object[] {
    const pieces = (whole: string): string[] => {
      const out: string[] = [];
      let rest = whole;
      for (let i = 0; rest !== ''; i++) {
        const size = sizes[i % sizes.length] as number;
        out.push(rest.slice(0, size));
        rest = rest.slice(size);
      }
      return out;
    };
    switch (content.type) {
      case 'text': {
        const [first = '', ...rest] = pieces(content.text);
        const deltas = rest.map((piece) => delta({ type: 'text_delta', text: piece }, index));
        return [start({ type: 'text', text: first }, index), ...deltas, stop(index)];
      }
      case 'thinking': {
        const deltas = pieces(content.thinking).map((thinking) => delta({ type: 'thinking_delta', thinking }, index));
        const signature = delta({ type: 'signature_delta', signature: 'c2ln' }, index);
        return [start({ type: 'thinking', thinking: '', signature: '' }, index), ...deltas, signature, stop(index)];
      }
      case 'tool_use': {
        const json = JSON.stringify(content.input);
        const deltas = pieces(json).map((piece) => delta({ type: 'input_json_delta', partial_json: piece }, index));
        return [start({ type: 'tool_use', name: content.name, input: {} }, index), ...deltas, stop(index)];
      }
    }
  }

  it('says, channel by channel and call by call, what the whole message says', () => {
    fc.assert(
      fc.property(
        fc.array(block, { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 }),
        (content, sizes) => {
          const streamed = content.flatMap((each, index) => stream(each, index, sizes)).map(read);
          const whole = readMessagesAnswer(parse({ type: 'message', content })) as AnswerPart;
          const spoken = (parts: readonly AnswerPart[]) =>
            Object.entries(channelsOf(parts)).filter(([name, said]) => !/^\d+\/input/.test(name) && said !== '');
          expect(spoken(streamed)).toEqual(spoken([whole]));
          const called = (parts: readonly AnswerPart[]) => {
            const calls = new Map<string, { name: string; args: string }>();
            for (const { key, name, arguments: args } of parts.flatMap(({ calls: all }) => all)) {
              const known = calls.get(key) ?? { name: '', args: '' };
              calls.set(key, { name: known.name + (name ?? ''), args: known.args + (args ?? '') });
            }
            return [...calls].map(([key, { name, args }]) => [key, name, JSON.parse(args)]);
          };
          expect(called(streamed)).toEqual(called([whole]));
          const finished = (parts: readonly AnswerPart[]) =>
            parts.flatMap(({ groups }) => groups.filter((group) => group.finished).map(({ index }) => index));
          expect(finished(streamed)).toEqual(finished([whole]));
        },
      ),
    );
  });
});

describe('a message that is ended before its time', () => {
  const released = parse({ type: 'message_start', message: MESSAGE });
  const stopped = (error: GatewayError) => ({ first: released, last: released, openGroups: [0, 2], error });
  const sent = (frames: readonly Buffer[]): string => Buffer.concat(frames).toString('utf8');

  it('gets one error and nothing after it', () => {
    expect(sent(messagesDialect.stopped(stopped(new GatewayError('content_filter'))))).toBe(
      'event: error\ndata: {"type":"error","error":{"type":"invalid_request_error","message":"The request or the ' +
        'answer was stopped by a content policy.","code":"content_filter"}}\n\n',
    );
  });

  it.each([
    ['upstream_error', 'api_error'],
    ['guardrail_unavailable', 'api_error'],
    ['upstream_timeout', 'timeout_error'],
    ['overloaded', 'overloaded_error'],
  ] as const)('says %s in the terms of the API', (code, type) => {
    const frames = messagesDialect.failed(stopped(new GatewayError(code, { message: 'sorry' })));
    expect(sent(frames)).toBe(
      `event: error\ndata: {"type":"error","error":{"type":"${type}","message":"sorry","code":"${code}"}}\n\n`,
    );
  });

  it('ends quietly as a refusal, every open block closed', () => {
    expect(sent(messagesDialect.finished(stopped(new GatewayError('content_filter'))))).toBe(
      'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n' +
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":2}\n\n' +
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null},' +
        '"usage":{"output_tokens":0}}\n\n' +
        'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    );
  });

  it('begins before it ends quietly, when nothing of it was released', () => {
    const error = new GatewayError('content_filter');
    const frames = messagesDialect.finished({ first: null, last: null, openGroups: [], error });
    const events = frames.map((frame) => /^event: (.*)$/m.exec(frame.toString('utf8'))?.[1]);
    expect(events).toEqual(['message_start', 'message_delta', 'message_stop']);
  });

  const begun = [
    { type: 'message_start', message: MESSAGE },
    start({ type: 'text', text: '' }),
    delta({ type: 'text_delta', text: 'it ra' }),
  ].map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);

  /** What the SDK makes of a beginning and these frames. */
  function answer(frames: readonly Buffer[], beginning: readonly string[] = begun) {
    const headers = { 'content-type': 'text/event-stream' };
    const fetch = async () => new Response(beginning.join('') + sent(frames), { headers });
    const client = new Anthropic({ apiKey: 'k', baseURL: 'http://gateway.test', fetch, maxRetries: 0 });
    const messages = [{ role: 'user' as const, content: 'hi' }];
    return client.messages.stream({ model: 'm', max_tokens: 9, messages }).finalMessage();
  }

  it('raises an error of the SDK with a code that tells a block', async () => {
    const frames = messagesDialect.stopped({ ...stopped(new GatewayError('content_filter')), openGroups: [0] });
    const error = await answer(frames).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(Anthropic.APIError);
    expect(error).toMatchObject({ type: 'invalid_request_error', error: { error: { code: 'content_filter' } } });
  });

  it('is a refusal to the SDK where it ends quietly', async () => {
    const frames = messagesDialect.finished({ ...stopped(new GatewayError('content_filter')), openGroups: [0] });
    const message = await answer(frames);
    expect(message).toMatchObject({ stop_reason: 'refusal', content: [{ type: 'text', text: 'it ra' }] });
  });

  it('is an empty refusal to the SDK where nothing was released', async () => {
    const error = new GatewayError('content_filter');
    const frames = messagesDialect.finished({ first: null, last: null, openGroups: [], error });
    expect(await answer(frames, [])).toMatchObject({ stop_reason: 'refusal', content: [] });
  });
});
