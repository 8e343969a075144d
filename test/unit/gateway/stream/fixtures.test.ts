/** Every recorded-style stream, split at every byte, reads and leaves as it came. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type SseFrame, SseParser } from '../../../../gateway/stream/sse.ts';

const folder = new URL('../../../fixtures/chat/', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.sse'));

/** Everything about the frames as one string, since thousands of results are compared. */
function summary(frames: readonly SseFrame[]): string {
  return JSON.stringify(frames.map((frame) => ({ ...frame, raw: frame.raw.toString('latin1') })));
}

function parse(parts: readonly Buffer[]): SseFrame[] {
  const frames: SseFrame[] = [];
  const parser = new SseParser({ eventBytesMax: 1 << 20 }, (frame) => frames.push(frame));
  for (const part of parts) parser.push(part);
  parser.end();
  return frames;
}

it.each(files)('%s', (name) => {
  const bytes = readFileSync(new URL(name, folder));
  const whole = parse([bytes]);
  expect(whole.some((frame) => frame.needsReframing)).toBe(false);
  expect(Buffer.concat(whole.map((frame) => frame.raw)).equals(bytes)).toBe(true);
  const data = whole.flatMap((frame) => (frame.data === null ? [] : [frame.data]));
  expect(data.pop()).toBe('[DONE]');
  for (const text of data) expect(JSON.parse(text)).toBeTypeOf('object');

  const expected = summary(whole);
  for (let i = 1; i < bytes.length; i += 1) {
    const split = summary(parse([bytes.subarray(0, i), bytes.subarray(i)]));
    if (split !== expected) expect(split, `cut at ${i}`).toBe(expected);
  }
  expect(summary(parse(Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))))).toBe(expected);
});
