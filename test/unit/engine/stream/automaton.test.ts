import { expect, it } from 'vitest';
import { AutomatonCursor, SubstringAutomaton } from '../../../../engine/stream/automaton.ts';
import { seeded } from '../../../helpers/random.ts';

const random = seeded('automaton');
const WIDTH = 3;
const symbols = (length: number): number[] => Array.from({ length }, () => random.int(WIDTH));
const text = (list: readonly number[]): string => list.join('');

it('knows the longest suffix that occurs in a needle, and every completed window, like a search by hand', () => {
  for (let round = 0; round < 300; round++) {
    const needles = Array.from({ length: 1 + random.int(4) }, () => {
      const list = symbols(1 + random.int(12));
      return { list, window: 1 + random.int(list.length) };
    });
    const automaton = new SubstringAutomaton(
      needles.map(({ list, window }) => ({ symbols: Uint8Array.from(list), window })),
      WIDTH,
    );
    const cursor = new AutomatonCursor(automaton);
    const read: number[] = [];
    for (const symbol of symbols(60)) {
      read.push(symbol);
      const hit = cursor.step(symbol);
      const suffixes = read.map((_, i) => text(read.slice(i)));
      const longest = suffixes.find((suffix) => needles.some(({ list }) => text(list).includes(suffix)));
      expect(cursor.matched).toBe(longest?.length ?? 0);
      const windows = suffixes.filter((suffix) =>
        needles.some(({ list, window }) => suffix.length >= window && text(list).includes(suffix)),
      );
      expect(hit).toBe(windows[0]?.length ?? 0);
      if (hit > 0) {
        const owner = needles[cursor.hitNeedle] as (typeof needles)[number];
        expect(text(owner.list)).toContain(windows[0]);
        expect(hit).toBeGreaterThanOrEqual(owner.window);
      }
    }
  }
});

it('needs at most twice as many states as the needles have symbols', () => {
  const list = symbols(500);
  const automaton = new SubstringAutomaton([{ symbols: Uint8Array.from(list), window: 10 }], WIDTH);
  expect(automaton.states).toBeLessThanOrEqual(2 * 500 + 2);
});
