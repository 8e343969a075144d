import { describe, expect, it } from 'vitest';
import { matchesName } from '../../../../engine/tools/constraints.ts';

describe('a pattern', () => {
  it.each([
    ['search', 'search', true],
    ['search', 'searches', false],
    ['*', '', true],
    ['*', 'anything', true],
    ['db.*', 'db.read', true],
    ['db.*', 'dbxread', false],
    ['*.read', 'db.read', true],
    ['a*a', 'a', false],
    ['a*b*c', 'a--b--c', true],
    ['a*b*c', 'a--c--b', false],
    ['a**c', 'ac', true],
    ['(a+)+$', 'aaaa', false],
    ['[a-z]', 'a', false],
  ])('%s on %s: %s', (pattern, name, expected) => {
    expect(matchesName(pattern, name)).toBe(expected);
  });

  it('costs no more than its length', () => {
    const started = performance.now();
    expect(matchesName(`${'*a'.repeat(20_000)}*b`, 'a'.repeat(100_000))).toBe(false);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
