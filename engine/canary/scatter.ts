/**
 * Puts pieces of a token together that are too short to be a hit alone: spread over sentences, choices or channels.
 * Only pieces close to each other count, in their order, so that hashes in ordinary text do not add up.
 */

import type { NeedleSet } from './compile.ts';
import type { LanePiece } from './lane.ts';
import { tokenSkeleton } from './needles.ts';

/** Share of a token that its pieces must cover. */
const COVERED_SHARE = 0.7;
const PIECES_MIN = 3;
/** Pieces further apart than this are forgotten. Measured against lists of hashes: 5 random characters repeat once in a million. */
export const SCATTER_SPAN_CHARS_MAX = 8192;
const PIECES_KEPT_MAX = 32;

interface Kept {
  readonly set: number;
  readonly text: string;
  readonly at: number;
}

export class ScatterTracker {
  readonly #sets: readonly NeedleSet[];
  #pieces: Kept[] = [];

  constructor(sets: readonly NeedleSet[]) {
    this.#sets = sets;
  }

  /**
   * Adds a piece seen when `at` characters of the whole answer had been read.
   * Returns the id of the token that the pieces now cover, or null.
   */
  add(piece: LanePiece, at: number): string | null {
    this.#pieces = this.#pieces.filter((kept) => at - kept.at <= SCATTER_SPAN_CHARS_MAX).slice(-PIECES_KEPT_MAX + 1);
    this.#pieces.push({ ...piece, at });
    const texts = this.#pieces.filter((kept) => kept.set === piece.set).map((kept) => kept.text);
    if (texts.length < PIECES_MIN) return null;
    for (const token of this.#sets[piece.set]?.tokens ?? []) {
      if (coverage(tokenSkeleton(token.value), texts)) return token.id;
    }
    return null;
  }
}

/** Longest chain of disjoint pieces in token order; at most 32 pieces, so quadratic is fine. */
function coverage(token: string, pieces: readonly string[]): boolean {
  const chains: { end: number; covered: number; count: number }[] = [];
  for (const piece of pieces) {
    const position = token.indexOf(piece);
    if (position === -1) continue;
    let best = { end: position + piece.length, covered: piece.length, count: 1 };
    for (const chain of chains) {
      if (chain.end <= position && chain.covered + piece.length > best.covered) {
        best = { end: best.end, covered: chain.covered + piece.length, count: chain.count + 1 };
      }
    }
    if (best.count >= PIECES_MIN && best.covered >= token.length * COVERED_SHARE) return true;
    chains.push(best);
  }
  return false;
}
