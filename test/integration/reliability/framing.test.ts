/** Event streams of every format, cut and framed in every way: what leaves is what came, once. */
import { describe, expect, it } from 'vitest';
import { chunk, FRAMINGS, frameEvents, rawChunk, USAGE_CHUNK } from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import { DONE, idleAfterEach, payloads } from '../chat/support.ts';
import {
  eventsOf,
  expectBroken,
  expectComplete,
  ROWS,
  request,
  STREAMS,
  type StreamSurface,
  said,
  stream,
  TEXT,
} from './streams.ts';

// A frame that waits for longer than `holdFlushMs` is cut in two, which a busy machine could make of any of these.
const rig = useGateway({
  config: (config) => ({ ...config, responses: { ...config.responses, holdFlushMs: 60_000 } }),
});
idleAfterEach(rig);

describe('U1 cuts through sockets', () => {
  it.each(ROWS)('%s: between all bytes change nothing', async (_, on) => {
    rig.mock.reply(stream(on, on.events(TEXT, 3), { bytesPerWrite: 1 }));
    const { text } = await request(rig.gateway, on, true);
    expect(text).not.toContain('\u{fffd}');
    expect(said(on, text)).toBe(TEXT);
    expectComplete(on, text);
  });
});

describe('U2 framings', () => {
  const cells = STREAMS.flatMap((on) => FRAMINGS.map((framing) => [on.name, framing, on] as const));
  it.each(cells)('%s: %s is read by the rules and leaves in one form', async (_name, framing, on) => {
    for (const bytesPerWrite of [1, undefined]) {
      const events = on.events(TEXT, 7);
      rig.mock.reply(stream(on, events, { framing, ...(bytesPerWrite && { bytesPerWrite }) }));
      const { text } = await request(rig.gateway, on, true);
      expect(eventsOf(text)).toEqual(events.map((data) => JSON.parse(data) as unknown));
      expect(text).not.toMatch(/\r(?!\n)/);
      expect(text).not.toMatch(on.named ? /^(?:id|retry):/m : /^(?:event|id|retry):/m);
      expect(text).not.toContain('\u{feff}');
      expectComplete(on, text);
    }
  });

  it.each(ROWS)('%s: fields nobody knows and a last event without its blank line', async (_, on) => {
    const bytes = Buffer.concat(frameEvents({ events: on.events(TEXT, 7), named: on.named }))
      .toString()
      .trimEnd();
    rig.mock.reply({
      headers: { 'content-type': 'text/event-stream' },
      body: bytes.replaceAll('data: {', 'x-new: y\ndata: {'),
    });
    const { text } = await request(rig.gateway, on, true);
    expect(said(on, text)).toBe(TEXT);
    expect(text).not.toContain('x-new');
    expectComplete(on, text);
  });
});

describe('U3 endings', () => {
  const late = (on: StreamSurface) => on.events('LATE TEXT', 4);
  it.each(ROWS)('%s: nothing after the end comes through, whatever follows it', async (_, on) => {
    const events = on.events(TEXT);
    const more: (readonly string[])[] = on.named
      ? [late(on), events.slice(-1)]
      : [[DONE], late(on), [DONE, ...late(on), DONE]];
    for (const afterDone of more) {
      rig.mock.reply(stream(on, on.named ? [...events, ...afterDone] : events, on.named ? {} : { afterDone }));
      const { text } = await request(rig.gateway, on, true);
      expect(said(on, text)).toBe(TEXT);
      expectComplete(on, text);
    }
  });

  it.each(ROWS.filter(([, on]) => !on.named))('%s: a missing [DONE] behind a finish is added', async (_, on) => {
    rig.mock.reply(stream(on, on.events(TEXT), { done: false }));
    const { text } = await request(rig.gateway, on, true);
    expect(said(on, text)).toBe(TEXT);
    expectComplete(on, text);
  });

  it.each(ROWS)('%s: a clean close without a finish is no end', async (_, on) => {
    rig.mock.reply(stream(on, on.events(TEXT).slice(0, -1), { done: false }));
    expectBroken(on, await request(rig.gateway, on, true), 'upstream_error', TEXT);
  });

  it.each(ROWS.filter(([, on]) => on.named))('%s: a [DONE] of another format is no end', async (_, on) => {
    rig.mock.reply(stream(on, on.events(TEXT).slice(0, -1), { done: true }));
    expectBroken(on, await request(rig.gateway, on, true), 'upstream_error', TEXT);
  });

  const chat = STREAMS[0] as StreamSurface;
  const odd: [string, string[]][] = [
    ['choices: []', [rawChunk([]), ...chat.events('Hi there'), USAGE_CHUNK]],
    ['a usage chunk before the finish', [chunk({ content: 'Hi there' }), USAGE_CHUNK, chunk({}, 0, 'stop')]],
    ['a late role', [chunk({ content: 'Hi ' }), chunk({ role: 'assistant', content: 'there' }), chunk({}, 0, 'stop')]],
    [
      'null content',
      [
        chunk({ role: 'assistant', content: null }),
        chunk({ content: 'Hi there' }),
        chunk({ content: null }, 0, 'stop'),
      ],
    ],
    [
      'extra fields',
      [rawChunk([{ index: 0, delta: { content: 'Hi there', x: 1 }, finish_reason: 'stop', y: [] }], { z: {} })],
    ],
  ];
  it.each(odd)('chat: %s stays as it is', async (_, events) => {
    rig.mock.reply(stream(chat, events));
    const { text } = await request(rig.gateway, chat, true);
    expect(payloads(text)).toEqual([...events, DONE]);
  });

  it.each(ROWS.filter(([, on]) => on.named))('%s: pings and events nobody knows stay where they are', async (_, on) => {
    const [ping, news] =
      on.name === 'messages'
        ? ['{"type":"ping"}', '{"type":"new_thing","x":1}']
        : ['{"type":"keepalive"}', '{"type":"response.new_thing","x":1}'];
    const events = on
      .events('Hi there')
      .flatMap((event, index, all) => (index === all.length - 1 ? [event] : [event, ping, news]));
    rig.mock.reply(stream(on, events));
    const { text } = await request(rig.gateway, on, true);
    expect(payloads(text)).toEqual(events);
  });
});
