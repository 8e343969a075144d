import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteOffsets } from '../../../../engine/rules/offsets.ts';

function offsetsOf(text: string): ByteOffsets {
  return new ByteOffsets(text, Buffer.from(text));
}

describe('ByteOffsets', () => {
  test('is the identity on ASCII', () => {
    const offsets = offsetsOf('plain text');
    expect([0, 5, 10].map((offset) => offsets.toUtf16(offset))).toEqual([0, 5, 10]);
  });

  test('counts a surrogate pair as two units and a combining mark as one', () => {
    const text = 'a\u{1f600}e\u0301b';
    const offsets = offsetsOf(text);
    expect([1, 5, 6, 8, 9].map((offset) => offsets.toUtf16(offset))).toEqual([1, 3, 4, 5, 6]);
  });

  test('counts a lone surrogate, encoded as U+FFFD, as one', () => {
    expect(offsetsOf('\ud800x').toUtf16(3)).toBe(1);
  });

  test('agrees with encoding every prefix', () => {
    const seed = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
    process.stdout.write(`offsets seed ${seed}\n`);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        const offsets = offsetsOf(text);
        let at = 0;
        for (const char of text) {
          expect(offsets.toUtf16(Buffer.byteLength(text.slice(0, at)))).toBe(at);
          at += char.length;
        }
        expect(offsets.toUtf16(Buffer.byteLength(text))).toBe(text.length);
      }),
      { seed },
    );
  });
});
