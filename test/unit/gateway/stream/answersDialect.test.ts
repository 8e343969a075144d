/** Answers that say something in an unusual place, through the real output door: what a client may act on was judged. */
import { describe, expect, it } from 'vitest';
import type { Policy } from '../../../../config/schema.ts';
import { checkAnswer } from '../../../../gateway/api/model/whole.ts';
import { GatewayError } from '../../../../gateway/errors.ts';
import { chatDialect } from '../../../../gateway/stream/chatDialect.ts';
import type { StreamDialect } from '../../../../gateway/stream/dialect.ts';
import { GuardedStream } from '../../../../gateway/stream/guardedStream.ts';
import { messagesDialect } from '../../../../gateway/stream/messagesDialect.ts';
import { responsesDialect } from '../../../../gateway/stream/responsesDialect.ts';
import { SseParser } from '../../../../gateway/stream/sse.ts';
import { openaiErrors } from '../../../../gateway/surface/errorDialect.ts';
import type { AnswerPart } from '../../../../gateway/wire/answer.ts';
import { readChatAnswer } from '../../../../gateway/wire/chatAnswer.ts';
import type { JsonNode } from '../../../../gateway/wire/json.ts';
import { readMessagesAnswer } from '../../../../gateway/wire/messagesAnswer.ts';
import { readResponsesAnswer } from '../../../../gateway/wire/responsesAnswer.ts';
import { testEngine, withOutput } from '../../../helpers/engine.ts';
import { seeded } from '../../../helpers/random.ts';

const { open, config, policy } = testEngine();
const token = seeded('answersDialect').hex(32);
const tools = (spec: Partial<Policy['tools']>): Policy => ({ ...policy, tools: { ...policy.tools, ...spec } });
const SEND = tools({ allowed: ['send'] });
const same = (text: string): string => text;

interface Out {
  readonly state: string;
  readonly text: string;
}

function stream(dialect: StreamDialect, events: readonly object[], own: Policy = policy): Out {
  const guarded = new GuardedStream(open(token, own), { dialect, restore: same, onBorder: null }, config.limits);
  const parser = new SseParser({ eventBytesMax: config.limits.sseEventBytesMax }, (frame) => guarded.onFrame(frame));
  let text = '';
  const state = (): string => guarded.state;
  for (const event of events) {
    parser.push(Buffer.from(`data: ${JSON.stringify(event)}\n\n`));
    text += Buffer.concat(guarded.take()).toString('utf8');
  }
  if (state() === 'open') guarded.onEnd();
  return { state: state(), text: text + (state() === 'done' ? Buffer.concat(guarded.take()).toString('utf8') : '') };
}

/** What a whole answer becomes; null when it is stopped. */
function whole(read: (root: JsonNode) => AnswerPart | null, answer: object, own: Policy = policy): string | null {
  const head = { provider: 'p', status: 200, headers: new Map(), contentType: null };
  const format = { read, restore: same, depthMax: 64, errors: openaiErrors };
  try {
    const body = Buffer.from(JSON.stringify(answer));
    return checkAnswer(open(token, own), { head, body }, format).body.toString('utf8');
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'content_filter') return null;
    throw error;
  }
}

const cuts = (size: number): string[] =>
  Array.from({ length: Math.ceil(token.length / size) }, (_, n) => token.slice(n * size, (n + 1) * size));
const keys = (size: number): object => Object.fromEntries(cuts(size).map((key) => [key, 1]));

const chunk = (delta: object, finish_reason: string | null = null): object => ({
  id: 'x',
  choices: [{ index: 0, delta, finish_reason }],
});
const chat = (...events: object[]): object[] => [...events, chunk({}, 'tool_calls')];
const completion = (message: object): object => ({ id: 'x', choices: [{ index: 0, message, finish_reason: 'stop' }] });
const call = (name: string, id: string, args = '{}') => ({ id, type: 'function', function: { name, arguments: args } });

const messages = (...events: object[]): object[] => [
  { type: 'message_start', message: { id: 'm', content: [] } },
  ...events,
  { type: 'message_stop' },
];
const toolUse = (input: object, name = 'send', id = 't') => ({ type: 'tool_use', id, name, input });
const start = (content_block: object) => ({ type: 'content_block_start', index: 0, content_block });
const STOP = { type: 'content_block_stop', index: 0 };

const RESPONSE = { id: 'r', object: 'response', status: 'in_progress', output: [] as unknown[] };
const responses = (...events: object[]): object[] => [
  { type: 'response.created', response: RESPONSE },
  ...events,
  { type: 'response.completed', response: { ...RESPONSE, status: 'completed' } },
];
const functionCall = (name: string, args: string) => ({
  type: 'function_call',
  id: 'f',
  call_id: 'c',
  name,
  arguments: args,
});

describe('the calls of a chat answer', () => {
  it('with one number in a whole answer are judged one by one', () => {
    const both = (first: string, second: string): object =>
      completion({ tool_calls: [call(first, 'a'), call(second, 'b')].map((one) => ({ ...one, index: 0 })) });
    expect(whole(readChatAnswer, both('send', 'send'), SEND)).not.toBeNull();
    const halves = tools({ allowed: ['delete_draft'] });
    expect(whole(readChatAnswer, both('delete', '_draft'), halves)).toBeNull();
  });

  it('without numbers in a stream are judged one by one', () => {
    const one = (id: string, name: string) => chunk({ tool_calls: [call(name, id)] });
    expect(stream(chatDialect, chat(one('a', 'send'), one('b', 'send')), SEND).state).toBe('done');
    expect(stream(chatDialect, chat(one('a', 'send'), one('b', 'wipe')), SEND).state).toBe('blocked');
  });

  it.each<[string, object]>([
    ['an object in place of the list', chunk({ tool_calls: { index: 0, ...call('wipe', 'a') } })],
    ['no wrapper', chunk({ tool_calls: [{ index: 0, name: 'wipe', arguments: '{}' }] })],
    ['a text', chunk({ tool_calls: ['wipe'] })],
    ['members of the choice', { id: 'x', choices: [{ index: 0, delta: {}, tool_calls: [call('wipe', 'a')] }] }],
    ['the older member of the choice', { id: 'x', choices: [{ index: 0, function_call: { name: 'wipe' } }] }],
  ])('are judged as %s', (_name, event) => {
    const out = stream(chatDialect, chat(event), SEND);
    expect(out.state).toBe('blocked');
    expect(out.text).not.toContain('wipe');
    expect(stream(chatDialect, chat(event), policy).state).toBe('done');
  });
});

describe('the canary in a chat answer', () => {
  it('is found when parts of other types stand between its pieces', () => {
    const parts = cuts(4).flatMap((text) => [
      { type: 'text', text },
      { type: 'reference', text: 'zzzzqqqq' },
    ]);
    expect(whole(readChatAnswer, completion({ content: parts }))).toBeNull();
    const events = cuts(2).map((text) =>
      chunk({
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: ' zz' }] },
          { type: 'text', text },
        ],
      }),
    );
    const out = stream(chatDialect, chat(...events));
    expect(out.state).toBe('blocked');
  });
});

describe('the canary in the keys of an object', () => {
  it('is found in the input of a call, whole and in the start of its block', () => {
    expect(whole(readMessagesAnswer, { type: 'message', content: [toolUse(keys(8))] })).toBeNull();
    expect(stream(messagesDialect, messages(start(toolUse(keys(8))), STOP)).state).toBe('blocked');
  });

  it('is found in the action of a built-in tool', () => {
    const item = { type: 'computer_call', id: 'c', call_id: 'd', action: { type: 'type', ...keys(9) } };
    expect(whole(readResponsesAnswer, { object: 'response', output: [item] })).toBeNull();
    const done = { type: 'response.output_item.done', output_index: 0, item };
    expect(stream(responsesDialect, responses(done)).state).toBe('blocked');
  });

  it('is looked for in bounded channels, however many strings a tool is given', () => {
    const actions = Array.from({ length: 2000 }, (_, n) => ({ type: 'type', text: `row ${n}` }));
    const answer = (last: string): object => ({
      object: 'response',
      output: [{ type: 'computer_call', call_id: 'd', actions: [...actions, { type: 'type', text: last }] }],
    });
    expect(whole(readResponsesAnswer, answer('the end'))).toContain('row 1999');
    expect(whole(readResponsesAnswer, answer(token))).toBeNull();
  });

  it('and in short values beside them is found as well', () => {
    const [a, b, c, d, e, f, g, h] = cuts(4) as [string, string, string, string, string, string, string, string];
    expect(
      whole(readMessagesAnswer, { type: 'message', content: [toolUse({ [a]: b, [c]: d, [e]: f, [g]: h })] }),
    ).toBeNull();
  });

  it('leaves a value to be rewritten, where that is the policy', () => {
    const own = withOutput(policy, { canary: { ...policy.output.canary, action: 'sanitize' } });
    const body = whole(readMessagesAnswer, { type: 'message', content: [toolUse({ note: `It is ${token}.` })] }, own);
    expect(body).toContain('{"note":"It is [redacted]."}');
  });
});

describe('the calls of a message', () => {
  it('that begin at the same place are two', () => {
    const two = (first: string, second: string) =>
      messages(start(toolUse({ x: 1 }, first, 't')), start(toolUse({ x: 1 }, second, 'u')), STOP);
    expect(stream(messagesDialect, two('send', 'send'), SEND).state).toBe('done');
    expect(stream(messagesDialect, two('delete', '_draft'), tools({ allowed: ['delete_draft'] })).state).toBe(
      'blocked',
    );
  });

  const evil = toolUse({ x: 1 }, 'wipe');
  it.each<[string, object]>([
    ['a start beside an error', { ...start(evil), error: { a: 1 } }],
    ['the last delta', { type: 'message_delta', delta: { content: [evil], stop_reason: 'tool_use' } }],
    ['the last delta, as a message', { type: 'message_delta', message: { content: [evil] }, delta: {} }],
    ['the last delta itself', { type: 'message_delta', delta: evil }],
    ['the content of an event', { type: 'message_delta', content: [evil], delta: {} }],
    ['a block of another event', { type: 'content_block_stop', index: 0, content_block: evil }],
  ])('are judged in %s', (_name, event) => {
    const out = stream(messagesDialect, messages(event), SEND);
    expect(out.state).toBe('blocked');
    expect(out.text).not.toContain('wipe');
  });

  it('are no reason to stop a message whose last delta has allowed ones', () => {
    const event = { type: 'message_delta', delta: { content: [toolUse({ x: 1 })], stop_reason: 'tool_use' } };
    expect(stream(messagesDialect, messages(event), SEND).state).toBe('done');
  });
});

describe('control tokens in a message', () => {
  it.each<[string, object]>([
    [
      'a delta beside an error',
      { type: 'content_block_delta', index: 0, error: { a: 1 }, delta: { type: 'text_delta', text: '<|im_start|>' } },
    ],
    [
      'a citation',
      {
        type: 'content_block_delta',
        index: 0,
        delta: { type: 'citations_delta', citation: { title: '<|im_start|>', url: 'u' } },
      },
    ],
    ['a member nobody knows', start({ type: 'text', text: '', aside: { deep: ['<|im_start|>'] } })],
  ])('are rewritten in %s', (_name, event) => {
    const out = stream(messagesDialect, messages(event));
    expect(out.state).toBe('done');
    expect(out.text).not.toContain('<|im_start|>');
  });

  it('are rewritten in the citations of a whole one', () => {
    const citations = [
      { title: '<|im_start|>', url: 'u' },
      { title: 'b', cited_text: '<|im_start|>' },
    ];
    const body = whole(readMessagesAnswer, { type: 'message', content: [{ type: 'text', text: 'a', citations }] });
    expect(body).toContain('"title":"b"');
    expect(body).not.toContain('<|im_start|>');
  });
});

describe('the calls of a response', () => {
  const evil = functionCall('wipe', '{}');
  it.each(['created', 'queued', 'in_progress', 'updated'])('are judged in the response of response.%s', (name) => {
    const event = { type: `response.${name}`, response: { ...RESPONSE, output: [evil] } };
    const out = stream(responsesDialect, responses(event), SEND);
    expect(out.state).toBe('blocked');
    expect(out.text).not.toContain('wipe');
  });

  const shell = (command: string) => ({
    type: 'local_shell_call',
    id: 'f',
    call_id: 'c',
    action: { command: [command] },
  });
  const added = (item: object) => ({ type: 'response.output_item.added', output_index: 0, item });
  const done = (item: object) => ({ type: 'response.output_item.done', output_index: 0, item });

  it('that a built-in tool begins with are judged before they leave', () => {
    const own = tools({ arguments: [{ tool: 'local_shell', argument: '/command/0', oneOf: ['ls'] }] });
    const out = stream(responsesDialect, responses(added(shell('rm')), done(shell('ls'))), own);
    expect(out.state).toBe('blocked');
    expect(out.text).not.toContain('rm');
    expect(stream(responsesDialect, responses(added(shell('ls')), done(shell('ls'))), own).state).toBe('done');
    const begun = { ...shell(''), action: { command: [], env: {} } };
    expect(stream(responsesDialect, responses(added(begun), done(shell('ls'))), own).state).toBe('done');
  });

  it('that say what to do twice are judged twice', () => {
    const own = tools({ arguments: [{ tool: 'computer', argument: '/text', oneOf: ['ls'] }] });
    const item = { type: 'computer_call', call_id: 'c', action: { text: 'ls' }, operation: { text: 'rm' } };
    expect(stream(responsesDialect, responses(done(item)), own).state).toBe('blocked');
  });

  it('of a type nobody knows are judged by the name they give', () => {
    const item = { type: 'hosted_tool_call', id: 'h', name: 'wipe', arguments: '{}' };
    expect(stream(responsesDialect, responses(done(item)), SEND).state).toBe('blocked');
    expect(stream(responsesDialect, responses(done({ ...item, name: 'send' })), SEND).state).toBe('done');
  });

  it('are judged in the copy of their arguments that gives no name', () => {
    const own = tools({ arguments: [{ tool: 'send', argument: '/to', oneOf: ['a'] }] });
    const events = (copied: string): object[] =>
      responses(
        added(functionCall('send', '')),
        { type: 'response.function_call_arguments.delta', output_index: 0, item_id: 'f', delta: '{"to":"a"}' },
        { type: 'response.function_call_arguments.done', output_index: 0, item_id: 'f', arguments: copied },
        done(functionCall('send', '{"to":"a"}')),
      );
    expect(stream(responsesDialect, events('{"to":"a"}'), own).state).toBe('done');
    const out = stream(responsesDialect, events('{"to":"z"}'), own);
    expect(out.state).toBe('blocked');
    expect(out.text).not.toContain('"z');
  });
});

describe('the sources of a response', () => {
  const annotation = (title: string) => ({ type: 'url_citation', url: 'https://a.example/', title });
  const item = (title: string, count = 1) => ({
    type: 'message',
    content: [{ type: 'output_text', text: 'a', annotations: Array.from({ length: count }, () => annotation(title)) }],
  });

  it('are rewritten where they are shown', () => {
    const events = responses(
      { type: 'response.output_text.annotation.added', output_index: 0, annotation: annotation('<|im_start|>') },
      { type: 'response.output_item.done', output_index: 0, item: item('<|im_start|>') },
    );
    const out = stream(responsesDialect, events);
    expect(out.state).toBe('done');
    expect(out.text).toContain('https://a.example/');
    expect(out.text).not.toContain('<|im_start|>');
    expect(whole(readResponsesAnswer, { object: 'response', output: [item('<|im_start|>')] })).not.toContain('<|im');
  });

  it('may be many', () => {
    const output = Array.from({ length: 8 }, () => item('A title', 500));
    expect(whole(readResponsesAnswer, { object: 'response', output })).toContain('A title');
  });
});
