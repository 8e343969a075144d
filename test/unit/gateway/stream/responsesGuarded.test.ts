/** Streams of Responses events through the real output door: the format and the state machine together. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Policy } from '../../../../config/schema.ts';
import { GuardedStream } from '../../../../gateway/stream/guardedStream.ts';
import { namedFrame } from '../../../../gateway/stream/namedFrame.ts';
import { responsesDialect } from '../../../../gateway/stream/responsesDialect.ts';
import { SseParser } from '../../../../gateway/stream/sse.ts';
import { testEngine, withOutput } from '../../../helpers/engine.ts';
import { seeded } from '../../../helpers/random.ts';

const { open, config, policy } = testEngine();
const random = seeded('responsesGuarded');
const token = random.hex(32);
const sanitizing: Policy = withOutput(policy, {
  canary: { ...policy.output.canary, action: 'sanitize' },
  controlTokens: { ...policy.output.controlTokens, action: 'sanitize' },
});

type Event = Record<string, unknown> & { type: string };
interface Out {
  readonly state: string;
  readonly bytes: string;
  readonly events: Event[];
}

const frames = (events: readonly Event[]): Buffer[] => events.map((event) => namedFrame(event.type, event));

function run(events: readonly Event[], own: Policy = policy): Out {
  return runBytes(frames(events), own);
}

function runBytes(reads: readonly Buffer[], own: Policy): Out {
  const restore = (text: string): string => text.replace(` ref ${token}`, '');
  const format = { dialect: responsesDialect, restore, onBorder: null };
  const stream = new GuardedStream(open(token, own), format, config.limits);
  const parser = new SseParser({ eventBytesMax: config.limits.sseEventBytesMax }, (frame) => stream.onFrame(frame));
  const out: Buffer[] = [];
  const state = (): string => stream.state;
  for (const read of reads) {
    parser.push(read);
    if (state() === 'blocked') break;
    out.push(...stream.take());
  }
  if (state() === 'open') {
    parser.end();
    stream.onEnd();
  }
  if (state() === 'done') out.push(...stream.take());
  const bytes = Buffer.concat(out).toString('utf8');
  const data = bytes.split('\n').filter((line) => line.startsWith('data: '));
  return { state: state(), bytes, events: data.map((line) => JSON.parse(line.slice('data: '.length)) as Event) };
}

/** A message as a provider streams it. */
function message(deltas: readonly string[], text: string = deltas.join('')): Event[] {
  const head = { id: 'resp_1', object: 'response', model: 'm', instructions: `Be kind. ref ${token}` };
  const place = { item_id: 'msg_1', output_index: 0, content_index: 0 };
  const part = (said: string) => ({ type: 'output_text', text: said, annotations: [] });
  const item = { id: 'msg_1', type: 'message', role: 'assistant', status: 'in_progress' };
  const events: Event[] = [
    { type: 'response.created', response: { ...head, status: 'in_progress', output: [] } },
    { type: 'response.output_item.added', output_index: 0, item: { ...item, content: [] } },
    { type: 'response.content_part.added', ...place, part: part('') },
    ...deltas.map((delta) => ({ type: 'response.output_text.delta', ...place, delta, logprobs: [] })),
    { type: 'response.output_text.done', ...place, text, logprobs: [] },
    { type: 'response.content_part.done', ...place, part: part(text) },
    {
      type: 'response.output_item.done',
      output_index: 0,
      item: { ...item, status: 'completed', content: [part(text)] },
    },
    {
      type: 'response.completed',
      response: { ...head, status: 'completed', output: [{ ...item, status: 'completed', content: [part(text)] }] },
    },
  ];
  return events.map((event, sequence_number) => ({ ...event, sequence_number }));
}

const restored = (bytes: string): string => bytes.replaceAll(` ref ${token}`, '');
const wire = (events: readonly Event[]): string => Buffer.concat(frames(events)).toString('utf8');

/** The text as deltas and as each copy says it. */
function texts({ events }: Out): string[] {
  const deltas = events.filter(({ type }) => type === 'response.output_text.delta').map(({ delta }) => delta as string);
  const copies = events.flatMap((event): unknown[] => {
    if (event.type === 'response.output_text.done') return [event.text];
    if (event.type === 'response.content_part.done') return [(event.part as { text: string }).text];
    const of = (item: unknown): string => (item as { content: { text: string }[] }).content[0]?.text ?? '';
    if (event.type === 'response.output_item.done') return [of(event.item)];
    return event.type === 'response.completed' ? (event.response as { output: unknown[] }).output.map(of) : [];
  });
  return [deltas.join(''), ...(copies as string[])];
}

describe('a streamed response', () => {
  it('leaves as it came, but for the instructions, which are the client’s own again', () => {
    const events = message(['Hel', 'lo', ', world.']);
    const out = run(events);
    expect(out.state).toBe('done');
    expect(out.bytes).toBe(restored(wire(events)));
  });

  it('is blocked when deltas spell the canary, and releases none of it', () => {
    const out = run(message(['It is ', ...Array.from(token), '.']));
    expect(out.state).toBe('blocked');
    for (let at = 0; at + 10 <= token.length; at++) expect(out.bytes).not.toContain(token.slice(at, at + 10));
  });

  it.each([
    ['a text', (events: Event[]) => ({ ...(events[4] as Event), text: token })],
    ['a part', (events: Event[]) => ({ ...(events[5] as Event), part: { type: 'output_text', text: token } })],
    [
      'an item',
      (events: Event[]) => ({ ...(events[6] as Event), item: { type: 'message', content: [{ text: token }] } }),
    ],
    ['a response', (events: Event[]) => ({ ...(events[7] as Event), response: { output: [{ text: token }] } })],
  ])('is blocked when only %s that is repeated holds the canary', (_name, leak) => {
    const events = message(['Hello']);
    const leaking = leak(events);
    const out = run(events.map((event) => (event.type === leaking.type ? leaking : event)));
    expect(out.state).toBe('blocked');
    expect(out.bytes).not.toContain(token);
  });

  it('says the same in deltas and in all copies once it is rewritten, wherever the deltas are cut', () => {
    const text = `It is ${token}, <|im_start|>system`;
    for (let round = 0; round < 40; round++) {
      const deltas: string[] = [];
      for (let at = 0; at < text.length; ) {
        const to = at + 1 + random.int(12);
        deltas.push(text.slice(at, to));
        at = to;
      }
      const out = run(message(deltas), sanitizing);
      expect(out.state).toBe('done');
      expect(out.bytes).not.toContain(token);
      const said = texts(out);
      expect(said).toHaveLength(5);
      expect(said[0]).toContain('[redacted]');
      expect(said[0]).not.toContain('<|im_start|>');
      expect(new Set(said).size).toBe(1);
    }
  });

  it('is a provider fault when it ends without its last event', () => {
    expect(run(message(['Hello']).slice(0, -1)).state).toBe('failed');
  });
});

describe('a recorded stream', () => {
  const folder = new URL('../../../fixtures/responses/', import.meta.url);
  const names = readdirSync(folder).filter((name) => name.endsWith('.sse'));

  it('is there', () => expect(names.length).toBeGreaterThan(0));

  it.each(names)('%s leaves as it came', (name) => {
    const recorded = readFileSync(new URL(name, folder));
    const out = runBytes([recorded], policy);
    expect([out.state, out.bytes]).toEqual(['done', recorded.toString('utf8')]);
  });
});

describe('a streamed tool call', () => {
  const item = { id: 'fc_1', type: 'function_call', call_id: 'c1', name: 'send', arguments: '' };
  const events: Event[] = [
    { type: 'response.created', response: { object: 'response', output: [] } },
    { type: 'response.output_item.added', output_index: 0, item },
    { type: 'response.function_call_arguments.delta', output_index: 0, delta: '{"to":' },
    { type: 'response.function_call_arguments.delta', output_index: 0, delta: '"a"}' },
    { type: 'response.function_call_arguments.done', output_index: 0, arguments: '{"to":"a"}' },
    { type: 'response.output_item.done', output_index: 0, item: { ...item, arguments: '{"to":"a"}' } },
    { type: 'response.completed', response: { object: 'response', output: [{ ...item, arguments: '{"to":"a"}' }] } },
  ];

  it('is held until its item is done, and then leaves as it came', () => {
    expect(run(events.slice(0, 5)).events.map(({ type }) => type)).toEqual(['response.created']);
    const out = run(events);
    expect([out.state, out.bytes]).toEqual(['done', wire(events)]);
  });

  it.each([
    ['is allowed', ['send'], 'done'],
    ['is not allowed', ['read'], 'blocked'],
  ])('that %s by the policy', (_name, allowed, state) => {
    const own = { ...policy, tools: { ...policy.tools, allowed } };
    const out = run(events, own);
    expect(out.state).toBe(state);
    if (state === 'blocked') expect(out.bytes).not.toContain('function_call');
  });
});
