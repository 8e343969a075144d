import type { NeedleSet } from './compile.ts';
import { CanaryStream } from './stream.ts';

/** Reads one whole text for the canaries of the given sets. */
export function holdsCanary(sets: readonly NeedleSet[], text: string, rawHoldMax: number): boolean {
  let found = false;
  const stream = new CanaryStream({
    sets,
    rawHoldMax,
    onHit: () => {
      found = true;
    },
    onPiece: () => {},
  });
  stream.push(text);
  stream.end();
  return found;
}
