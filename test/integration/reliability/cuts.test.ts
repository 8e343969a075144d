/** A stream of every format cut at every byte: no sockets, so that a cut is exactly where the test puts it. */
import { describe, expect, it } from 'vitest';
import type { StreamDialect } from '../../../gateway/stream/dialect.ts';
import { GuardedStream } from '../../../gateway/stream/guardedStream.ts';
import { SseParser } from '../../../gateway/stream/sse.ts';
import { chatSurface } from '../../../gateway/surface/chat.ts';
import { completionsSurface } from '../../../gateway/surface/completions.ts';
import { messagesSurface } from '../../../gateway/surface/messages.ts';
import { responsesSurface } from '../../../gateway/surface/responses.ts';
import { testEngine } from '../../helpers/engine.ts';
import { type Framing, frameEvents } from '../../helpers/mockUpstream.ts';
import { DONE, payloads } from '../chat/support.ts';
import { ROWS, type StreamSurface, said } from './streams.ts';

const { open, config } = testEngine();
const DIALECTS: Readonly<Record<string, StreamDialect | null>> = {
  chat: chatSurface.stream,
  responses: responsesSurface.stream,
  messages: messagesSurface.stream,
  completions: completionsSurface.stream,
};

/** The gateway's way from bytes to bytes. */
function through(on: StreamSurface, reads: readonly Buffer[]): string {
  const format = { dialect: DIALECTS[on.name] as StreamDialect, restore: (text: string) => text, onBorder: null };
  const guarded = new GuardedStream(open(null), format, config.limits);
  const parser = new SseParser({ eventBytesMax: config.limits.sseEventBytesMax }, (frame) => guarded.onFrame(frame));
  for (const read of reads) parser.push(read);
  parser.end();
  guarded.onEnd();
  if (guarded.state !== 'done') throw new Error(`ended as ${guarded.state}`);
  return Buffer.concat(guarded.take()).toString();
}

const bytesOf = (on: StreamSurface, events: readonly string[], framing: Framing = 'lf') =>
  Buffer.concat(frameEvents({ events, named: on.named, framing }));

/** Just the border of an answer, so that every pair of cuts can be tried. */
const SHORT = 'ü🙂';
const SHORT_EVENTS: Readonly<Record<string, readonly string[]>> = {
  chat: [`{"choices":[{"index":0,"delta":{"content":"${SHORT}"},"finish_reason":"stop"}]}`],
  completions: [`{"choices":[{"index":0,"text":"${SHORT}","finish_reason":"stop"}]}`],
  responses: [
    `{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"${SHORT}"}`,
    '{"type":"response.completed","response":{}}',
  ],
  messages: [
    `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"${SHORT}"}}`,
    '{"type":"message_stop"}',
  ],
};

describe('U1 cuts', () => {
  it.each(ROWS)('%s: at every byte of a stream change nothing', (_, on) => {
    const events = on.events('Köln 🙂: 你好', 6);
    for (const framing of ['lf', 'crlf', 'cr'] as const) {
      const bytes = bytesOf(on, events, framing);
      const expected = payloads(through(on, [bytes]));
      expect(expected.filter((data) => data !== DONE)).toEqual(events);
      // Framing is the same for every format; a response is long.
      const step = framing === 'lf' || on.name !== 'responses' ? 1 : 7;
      for (let at = 1; at < bytes.length; at += step) {
        const got = payloads(through(on, [bytes.subarray(0, at), bytes.subarray(at)]));
        if (got.join('\n') !== expected.join('\n')) expect.unreachable(`${framing}, cut at ${at}`);
      }
    }
  });

  it.each(ROWS)('%s: at every pair of bytes of a short stream change nothing', (_, on) => {
    const bytes = bytesOf(on, SHORT_EVENTS[on.name] ?? []);
    const expected = through(on, [bytes]);
    expect(said(on, expected)).toBe(SHORT);
    for (let first = 1; first < bytes.length; first++) {
      for (let second = first + 1; second < bytes.length; second++) {
        const reads = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)];
        if (through(on, reads) !== expected) expect.unreachable(`cut at ${first} and ${second}`);
      }
    }
  });
});
