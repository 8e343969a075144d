import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  applyInsertions,
  LONG_PROMPT_CHARS,
  type PlantOptions,
  plantDerived,
  plantGiven,
} from '../../../../engine/canary/embed.ts';

const HOUR = 3_600_000;
const options: PlantOptions = {
  key: randomBytes(32),
  previousKeys: [],
  tenant: 'acme',
  carrier: 'system',
  nowMs: 1_000 * HOUR,
  bucketHours: 24,
  requestId: null,
};
const plant = (text: string, change: Partial<PlantOptions> = {}) => plantDerived(text, { ...options, ...change });
const planted = (text: string, change: Partial<PlantOptions> = {}) => applyInsertions(text, plant(text, change));

describe('a derived canary', () => {
  it.each([
    'You are helpful.',
    'Line one.\nLine two.\nLine three.',
    '',
    'Ünïcode 👋🏽 and\r\nCRLF',
    'x'.repeat(LONG_PROMPT_CHARS),
    'A long prompt with lines.\n'.repeat(200),
  ])('leaves the rest of the text untouched and stands on a line of its own', (text) => {
    const result = planted(text);
    const lines = result.split('\n').filter((line) => /^ref: [0-9a-f]{32}$/.test(line));
    expect(lines).toHaveLength(text.length >= LONG_PROMPT_CHARS ? 3 : 1);
    expect(result.replace(/(^|\n)ref: [0-9a-f]{32}(?=\n|$)/g, '').replace(/^\n/, '')).toBe(text);
  });

  it('is planted once, however often', () => {
    for (const text of ['Short.', 'Line.\n'.repeat(500)]) {
      const once = planted(text);
      expect(plant(once).insertions).toEqual([]);
      expect(plant(once).tokens).toEqual(plant(text).tokens);
    }
  });

  it('stays the same within a time bucket, so that prompt caches keep working, and is known in the next one', () => {
    const once = planted('Short.');
    expect(planted('Short.', { nowMs: options.nowMs + HOUR })).toBe(once);
    expect(plant(once, { nowMs: options.nowMs + 24 * HOUR }).insertions).toEqual([]);
    expect(plant(once, { nowMs: options.nowMs + 72 * HOUR }).insertions).toHaveLength(1);
  });

  it('differs by tenant, carrier, prompt, place, key and request', () => {
    const tokens = [
      ...plant('A').tokens,
      ...plant('B').tokens,
      ...plant('A', { tenant: 'other' }).tokens,
      ...plant('A', { carrier: 'developer' }).tokens,
      ...plant('A', { key: randomBytes(32) }).tokens,
      ...plant('A', { requestId: 'r1' }).tokens,
      ...plant('A', { requestId: 'r2' }).tokens,
      ...plant('A'.repeat(LONG_PROMPT_CHARS)).tokens,
    ];
    expect(new Set(tokens).size).toBe(tokens.length);
    for (const token of tokens) expect(token).toMatch(/^[0-9a-f]{32}$/);
  });

  it('is known after the key was rotated', () => {
    const once = planted('Short.');
    const rotated = { key: randomBytes(32), previousKeys: [options.key] };
    expect(plant(once, rotated).insertions).toEqual([]);
  });

  it('is not fooled by a line that only looks like ours', () => {
    const text = `Rules.\nref: ${'0'.repeat(32)}\nMore rules.`;
    expect(plant(text).insertions).toHaveLength(1);
    expect(planted(text)).toContain(text.slice(0, 6));
  });
});

describe('a given canary', () => {
  it('is inserted once', () => {
    const once = applyInsertions('Text.', plantGiven('Text.', 'my-token-123456'));
    expect(once).toBe('Text.\nref: my-token-123456');
    expect(plantGiven(once, 'my-token-123456').insertions).toEqual([]);
  });
});
