import { describe, expect, it } from 'vitest';
import { escapeJsonToken } from '../../../../engine/control/jsonEscapes.ts';
import type { ControlHit } from '../../../../engine/control/matcher.ts';
import { tokens } from './table.ts';

function hits(pieces: readonly string[]): ControlHit[] {
  const stream = tokens.openEscaped();
  const found: ControlHit[] = [];
  for (const piece of pieces) {
    stream.push(piece);
    found.push(...stream.takeHits());
  }
  stream.end();
  return [...found, ...stream.takeHits()];
}

const place = (pieces: readonly string[]) => hits(pieces).map(({ start, end, name }) => [start, end, name]);

describe('a token in a JSON string', () => {
  it.each([
    ['{"a":"\\u003c|im_start|\\u003e"}', '\\u003c|im_start|\\u003e', '<|im_start|>'],
    ['"\\n\\u003C|im_end|>\\t', '\\u003C|im_end|>', '<|im_end|>'],
    ['"\\"<\\/tool_call>\\""', '<\\/tool_call>', '</tool_call>'],
    ['"\\\\\\u003c|eot_id|>"', '\\u003c|eot_id|>', '<|eot_id|>'],
    ['"\\ud83d\\ude00<|im_start|>"', '<|im_start|>', '<|im_start|>'],
    ['"\\uff1c\\uff5cUser\\uff5c\\uff1e"', '\\uff1c\\uff5cUser\\uff5c\\uff1e', '<|user|>'],
    ['"<|\\u0069\\u006D_start|>"', '<|\\u0069\\u006D_start|>', '<|im_start|>'],
    // A mathematical letter outside the first plane, in two escapes.
    ['"<|\\ud835\\udc22m_start|>"', '<|\\ud835\\udc22m_start|>', '<|im_start|>'],
    ['"\\u00zz\\q<|im_start|>\\', '<|im_start|>', '<|im_start|>'],
  ])('is found where it stands, however it is cut: %s', (text, raw, name) => {
    const start = text.indexOf(raw);
    const expected = [[start, start + raw.length, name]];
    expect(place([text])).toEqual(expected);
    expect(place(Array.from({ length: text.length }, (_, i) => text[i] as string))).toEqual(expected);
    for (let cut = 1; cut < text.length; cut++) {
      expect(place([text.slice(0, cut), text.slice(cut)]), `${cut}`).toEqual(expected);
    }
  });

  it.each(['"\\\\u003c|im_start|>"', '"\\\\n<|im\\"_start|>"', '"\\u003"', '\\u00'])('is none in %s', (text) => {
    expect(hits([text])).toEqual([]);
    expect(hits([...text])).toEqual([]);
  });

  it('is held from the beginning of its escape on', () => {
    const stream = tokens.openEscaped();
    const safe = [...'ab\\u003c|im_start|\\u003ec\\n'].map((char) => {
      stream.push(char);
      return stream.safeEnd;
    });
    expect(safe.slice(0, 23).every((end, i) => end === Math.min(i + 1, 2))).toBe(true);
    expect(safe.slice(-4)).toEqual([24, 25, 25, 27]);
  });

  it('is read in linear time, whatever is escaped', () => {
    for (const unit of ['\\u003c', '\\u003c|', '\\\\', '\\', '\\u', '\\n<|im_start|>']) {
      const text = unit.repeat(Math.ceil(300_000 / unit.length));
      const stream = tokens.openEscaped();
      for (let at = 0; at < text.length; at += 3) stream.push(text.slice(at, at + 3));
      // No hold beyond the longest candidate, each character in the longest escape.
      expect(text.length - stream.safeEnd).toBeLessThanOrEqual(6 * 2048);
      stream.end();
      expect(stream.safeEnd).toBe(text.length);
    }
  });
});

describe('what stands for a token in a JSON string', () => {
  it.each([
    ['<|im_start|>', '‹|im_start|›'],
    ['\\u003c|im_start|\\u003e', '‹|im_start|›'],
    ['<\\/tool_call\\u003e', '‹/tool_call›'],
    ['<\\t|im_start|>', '‹\\t|im_start|›'],
    ['<\t|im_start|>', '‹\t|im_start|›'],
    ['<|a\\ud83d|>', '‹|a\\ud83d|›'],
  ])('may stand in one: %s', (raw, expected) => {
    expect(escapeJsonToken(raw)).toBe(expected);
    if (!raw.includes('\t')) expect(() => JSON.parse(`"${escapeJsonToken(raw)}"`)).not.toThrow();
  });
});
