/** Seeded randomness: a failing run prints its seed and can be run again with it. */
import { afterAll } from 'vitest';

export interface Random {
  /** Integer in `[0, below)`. */
  int(below: number): number;
  pick<T>(items: readonly T[]): T;
  /** Lower-case hex. */
  hex(length: number): string;
}

/** xorshift32 (Marsaglia 2003); `TEST_SEED` repeats a run. */
export function seeded(name: string): Random {
  const seed = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 0x7fffffff)) || 1;
  afterAll(() => process.stdout.write(`${name}: TEST_SEED=${seed}\n`));
  let state = seed;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x100000000;
  };
  const int = (below: number): number => Math.floor(next() * below);
  return {
    int,
    pick: (items) => items[int(items.length)] as (typeof items)[number],
    hex: (length) => Array.from({ length }, () => int(16).toString(16)).join(''),
  };
}
