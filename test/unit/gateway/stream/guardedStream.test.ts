/** Streams that are hostile or odd: what leaves, what is judged, and that the work stays linear. */
import { describe, expect, it } from 'vitest';
import type { Policy } from '../../../../config/schema.ts';
import { chatDialect } from '../../../../gateway/stream/chatDialect.ts';
import type { StreamDialect } from '../../../../gateway/stream/dialect.ts';
import { GuardedStream } from '../../../../gateway/stream/guardedStream.ts';
import { messagesDialect } from '../../../../gateway/stream/messagesDialect.ts';
import { responsesDialect } from '../../../../gateway/stream/responsesDialect.ts';
import { SseParser } from '../../../../gateway/stream/sse.ts';
import { testEngine } from '../../../helpers/engine.ts';
import { chunk, contentEvents, frameEvents } from '../../../helpers/mockAnswers.ts';
import { messageEvents, textBlock, toolUseBlock } from '../../../helpers/mockMessages.ts';

const { open, config, policy } = testEngine();
const token = '3f9c1a7be25d48069b7e0c5af1d2864b';

function withTools(tools: Partial<Policy['tools']>): Policy {
  return { ...policy, tools: { ...policy.tools, ...tools } };
}

interface Out {
  readonly state: string;
  readonly text: string;
}

function run(
  events: readonly string[],
  {
    dialect = chatDialect,
    own = policy,
    pauses = false,
    done = true,
    limits = config.limits,
  }: {
    dialect?: StreamDialect;
    own?: Policy;
    pauses?: boolean;
    done?: boolean;
    limits?: typeof config.limits;
  } = {},
): Out {
  const format = { dialect, restore: (text: string) => text, onBorder: null };
  const stream = new GuardedStream(open(token, own), format, limits);
  const parser = new SseParser({ eventBytesMax: 1 << 26 }, (frame) => stream.onFrame(frame));
  let text = '';
  for (const bytes of frameEvents({ events, done, ...(dialect.namedEvents && { named: true, done: false }) })) {
    parser.push(bytes);
    if (pauses) stream.onPause();
    text += Buffer.concat(stream.take()).toString('utf8');
  }
  if (stream.state === 'open') stream.onEnd();
  text += Buffer.concat(stream.take()).toString('utf8');
  return { state: stream.state, text };
}

function contentOf(text: string): string {
  return [...text.matchAll(/"content":("(?:[^"\\]|\\.)*"|\[.*?\])/g)]
    .map(([, json]) => JSON.parse(json as string) as string | { text: string }[])
    .map((value) => (typeof value === 'string' ? value : value.map((part) => part.text).join('')))
    .join('');
}

const call = (fields: object, index = 0) => chunk({ tool_calls: [{ index, ...fields }] });

describe('the name of a tool call', () => {
  const own = withTools({ allowed: ['delete_draft', 'get_weather'] });
  const named = (...parts: object[]) => run([...parts.map((part) => call(part)), chunk({}, 0, 'tool_calls')], { own });

  it('is every one that a client may take it for', () => {
    expect(named({ id: 'c1', function: { name: 'delete' } }, { function: { name: '_draft' } }).state).toBe('blocked');
    expect(named({ id: 'c1', function: { name: 'delete_draft', arguments: '{}' } }).state).toBe('done');
  });

  it('may be repeated in every chunk', () => {
    const again = { function: { name: 'get_weather', arguments: '' } };
    expect(named({ id: 'c1', function: { name: 'get_weather', arguments: '{}' } }, again, again).state).toBe('done');
  });

  it.each([
    ['empty ids behind the first', { id: '', function: { name: '', arguments: '{"a"' } }],
    ['another id in every chunk', { id: 'x1', function: { arguments: '{"a"' } }],
    ['the word null for an id', { id: 'null', function: { arguments: '{"a"' } }],
  ])('is given once by providers with %s', (_, part) => {
    const end = { id: 'x2', function: { arguments: ':1}' } };
    expect(named({ id: 'c1', function: { name: 'get_weather', arguments: '' } }, part, end).state).toBe('done');
  });

  it('begins another call behind arguments that are complete', () => {
    const whole = (name: string) => ({ function: { name, arguments: '{"a":1}' } });
    expect(named(whole('get_weather'), whole('delete_draft')).state).toBe('done');
    expect(named(whole('get_weather'), whole('wipe')).state).toBe('blocked');
  });

  it('belongs to another call once the id is another one', () => {
    const first = { id: 'c1', function: { name: 'get_weather', arguments: '{"a":1}' } };
    const second = { id: 'c2', function: { name: 'get_weather', arguments: '{"b":2}' } };
    expect(named(first, second).state).toBe('done');
    expect(named(first, { ...second, function: { name: 'wipe', arguments: '{}' } }).state).toBe('blocked');
  });

  it('begins another call with another block of the same index', () => {
    const block = (name: string, id: string) =>
      JSON.stringify({
        type: 'content_block_start',
        index: 0,
        content_block: { type: 'tool_use', id, name, input: {} },
      });
    const [start = '', ...rest] = messageEvents([toolUseBlock('delete_draft', {}, 'toolu_1')], 5);
    const events = (name: string) => [start, block('delete_draft', 'toolu_0'), block(name, 'toolu_2'), ...rest];
    expect(run(events('get_weather'), { dialect: messagesDialect, own }).state).toBe('done');
    expect(run(events('_all'), { dialect: messagesDialect, own }).state).toBe('blocked');
  });
});

describe('a frame that is cut', () => {
  it('keeps the order of two pieces of one channel', () => {
    const parts = (...texts: string[]) => chunk({ content: texts.map((text) => ({ type: 'text', text })) });
    for (const [a, b, c] of [
      ['hello 3f9c', '1a7', ' xx done'],
      ['hello <|im', '_sta', ' yy'],
    ] as const) {
      const { state, text } = run([parts(a, b), parts(c), chunk({}, 0, 'stop')], { pauses: true });
      expect({ state, text: contentOf(text) }).toEqual({ state: 'done', text: a + b + c });
    }
  });

  it('is never one that begins a block, so that no event comes twice', () => {
    const begins = {
      type: 'content_block_start',
      index: 0,
      content_block: { type: 'text', text: `it is ${token.slice(0, 5)}` },
    };
    const [start = '', , ...rest] = messageEvents([textBlock('and so on')], 4);
    const { state, text } = run([start, JSON.stringify(begins), ...rest], { dialect: messagesDialect, pauses: true });
    expect(state).toBe('done');
    expect(text.match(/content_block_start/g)).toHaveLength(2);
  });
});

describe('an error of the provider', () => {
  it('in one chunk with half a tool call does not end the answer as if it were complete', () => {
    const error = JSON.stringify({
      error: { message: 'broken' },
      choices: [{ index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: '}' } }] } }],
    });
    const { state, text } = run([call({ id: 'c', function: { name: 'f', arguments: '{' } }), error]);
    expect(state).toBe('failed');
    expect(text).not.toContain('[DONE]');
  });

  it('without a type is called an error where events have names', () => {
    const frame = Buffer.from('event: error\ndata: {"error":{"type":"api_error","message":"broken"}}\n\n');
    const format = { dialect: messagesDialect, restore: (text: string) => text, onBorder: null };
    const stream = new GuardedStream(open(token), format, config.limits);
    const parser = new SseParser({ eventBytesMax: 1 << 20 }, (one) => stream.onFrame(one));
    for (const bytes of frameEvents({
      events: messageEvents([textBlock('hi')], 4).slice(0, 3),
      named: true,
      done: false,
    }))
      parser.push(bytes);
    parser.push(frame);
    expect(Buffer.concat(stream.take()).toString('utf8')).toContain(frame.toString('utf8'));
  });
});

describe('the work is linear', () => {
  const own = withTools({ allowed: ['f'] });

  it('for an answer that is held whole', () => {
    const numbers = Array.from({ length: 60_000 }, (_, index) => `${index}, `);
    const limits = { ...config.limits, sseHeldBytesMax: 1 << 28 };
    const { state } = run(contentEvents(['[', ...numbers, '0]']), { own, limits });
    expect(state).toBe('done');
  });

  it('for calls without a text', () => {
    const empty = Array.from({ length: 900 }, (_, index) => call({ function: {} }, index));
    const filler = contentEvents(
      Array.from({ length: 20_000 }, () => 'word '),
      1,
    );
    expect(run([...empty, ...filler, chunk({}, 0, 'stop')], { own }).state).toBe('blocked');
  });

  it('and ends where there are more calls than an answer may have channels', () => {
    const limits = { ...config.limits, outputChannelsMax: 64 };
    const calls = Array.from({ length: 66 }, (_, index) => call({ function: {} }, index));
    expect(run(calls, { done: false, limits }).state).toBe('held_too_much');
  });

  it('for an item of 300,000 parts', () => {
    const content = Array.from({ length: 300_000 }, () => ({ type: 'output_text', text: 'a' }));
    const item = { id: 'm', type: 'message', role: 'assistant', content };
    const event = JSON.stringify({ type: 'response.output_item.done', output_index: 0, sequence_number: 1, item });
    expect(run([event], { dialect: responsesDialect }).state).toBe('blocked');
  });

  it('for log-probabilities of 300,000 parts without a token', () => {
    const content = Array.from({ length: 300_000 }, () => ({ type: 'output_text', text: '', logprobs: [{}] }));
    const item = { id: 'm', type: 'message', role: 'assistant', content };
    const event = JSON.stringify({ type: 'response.output_item.done', output_index: 0, sequence_number: 1, item });
    expect(run([event], { dialect: responsesDialect, done: false }).state).toBe('failed');
  });
});
