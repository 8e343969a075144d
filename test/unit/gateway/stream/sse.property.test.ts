/** The push parser against the standard's algorithm written down naively on the whole text. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type SseFrame, SseParser } from '../../../../gateway/stream/sse.ts';

interface Plain {
  data: string | null;
  event: string | null;
}

/** Line by line over the decoded text; a last block without its blank line counts, as it does for clients. */
function reference(text: string): Plain[] {
  const lines = text.replace(/^\u{feff}/u, '').split(/\r\n|\r|\n/);
  const last = lines.pop() ?? '';
  const out: Plain[] = [];
  let block: string[] = [];
  const close = () => {
    const data: string[] = [];
    let event: string | null = null;
    for (const line of block) {
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const name = colon === -1 ? line : line.slice(0, colon);
      const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (name === 'data') data.push(value);
      if (name === 'event') event = value === '' ? null : value;
    }
    out.push({ data: data.length === 0 ? null : data.join('\n'), event });
    block = [];
  };
  for (const line of lines) {
    if (line === '') close();
    else block.push(line);
  }
  if (last !== '') block.push(last);
  if (block.length > 0) close();
  return out.filter((frame) => frame.data !== null || frame.event !== null);
}

const piece = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('\n', '\r', '\r\n', '\n\n', '\r\r', '\r\n\r\n') },
  { weight: 5, arbitrary: fc.constantFrom('data:', 'data: ', 'data', 'event: ', 'id: ', 'retry: 5', ':', ': c') },
  { weight: 3, arbitrary: fc.constantFrom('{"a":"b"}', '[DONE]', 'x', ' ', 'é', '漢', '👍', '\u{feff}', '\u0000') },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 8 }) },
);

it('agrees with the reference on any stream and any split', () => {
  const seed = Number(process.env.FC_SEED ?? Date.now() % 2 ** 31);
  process.stdout.write(`fast-check seed ${seed}\n`);
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join('')),
      fc.array(fc.nat({ max: 300 }), { maxLength: 12 }),
      (text, cuts) => {
        const bytes = Buffer.from(text);
        const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const frames: SseFrame[] = [];
        const parser = new SseParser({ eventBytesMax: 1 << 16 }, (frame) => frames.push(frame));
        for (let i = 1; i < at.length; i += 1) parser.push(bytes.subarray(at[i - 1], at[i]));
        parser.end();

        const plain = frames.map(({ data, event }) => ({ data, event }));
        expect(plain.filter((frame) => frame.data !== null || frame.event !== null)).toEqual(reference(text));
        for (const frame of frames) {
          // What is relayed untouched reads the same to a client that knows nothing but LF and CRLF.
          if (frame.needsReframing || frame.data === null) continue;
          const lines = frame.raw.toString().split(/\r?\n/);
          expect(lines.filter((line) => !line.startsWith('data') && !line.startsWith(':')).join('')).toBe('');
          expect(frame.raw.toString()).not.toMatch(/\r(?!\n)/);
        }
        const raw = Buffer.concat(frames.map((frame) => frame.raw)).toString();
        if (!/\r(?!\n)/.test(text)) expect(raw).toBe(text);
      },
    ),
    { numRuns: 3000, seed },
  );
});
