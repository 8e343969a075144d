import { describe, expect, it } from 'vitest';
import { compileNeedles } from '../../../../engine/canary/compile.ts';
import { ForeignStream, ForeignWindows } from '../../../../engine/canary/foreign.ts';
import { ScatterTracker } from '../../../../engine/canary/scatter.ts';
import { seeded } from '../../../helpers/random.ts';

const random = seeded('foreign');

describe('the watch list of other tenants', () => {
  const tokens = Array.from({ length: 50 }, () => random.hex(32));
  const windows = new ForeignWindows(tokens);
  const read = (...parts: string[]): boolean => {
    const stream = new ForeignStream(windows);
    for (const part of parts) stream.push(part);
    return stream.hit;
  };

  it('sees any half of a token, spaced, in capitals and split', () => {
    for (const token of tokens) {
      expect(read(`x ${token} y`)).toBe(true);
      expect(read(token.slice(7, 23).toUpperCase())).toBe(true);
      expect(read([...token.slice(16)].join('-'))).toBe(true);
      const cut = 1 + random.int(30);
      expect(read(token.slice(0, cut), token.slice(cut))).toBe(true);
    }
  });

  it('sees nothing in shorter pieces and in other hashes', () => {
    expect(read((tokens[0] as string).slice(0, 15))).toBe(false);
    expect(read(Array.from({ length: 2000 }, () => random.hex(40)).join('\n'))).toBe(false);
  });
});

describe('scattered pieces', () => {
  const token = random.hex(32);
  const sets = [compileNeedles([{ id: 't', value: token }], 'full')];
  const parts = [0, 8, 16, 24].map((at) => token.slice(at, at + 8));

  it('add up to a token in order', () => {
    const tracker = new ScatterTracker(sets);
    expect(parts.map((text, i) => tracker.add({ set: 0, text }, i * 100))).toEqual([null, null, 't', 't']);
  });

  it('do not add up out of order, far apart or when few', () => {
    const reversed = new ScatterTracker(sets);
    expect([...parts].reverse().map((text, i) => reversed.add({ set: 0, text }, i))).toEqual([null, null, null, null]);
    const far = new ScatterTracker(sets);
    expect(parts.map((text, i) => far.add({ set: 0, text }, i * 9000))).toEqual([null, null, null, null]);
    const few = new ScatterTracker(sets);
    expect(few.add({ set: 0, text: parts[0] as string }, 0)).toBe(null);
    expect(few.add({ set: 0, text: parts[1] as string }, 1)).toBe(null);
  });
});
