/** Where a waiting frame may be cut, so that the text before a possible match need not wait for what comes after it. */
import type { HeldFrame, HeldPiece } from './heldFrame.ts';

/**
 * `stalled` cuts only for channels that have gone quiet, so that others can go on; on a `pause` something has to be
 * gained by it.
 */
export type CutReason = 'stalled' | 'pause';

export interface Cut {
  readonly piece: HeldPiece;
  /** Up to here it leaves. */
  readonly safe: number;
  /** The waiting piece that the rest goes on with; null when there is none. */
  readonly heir: HeldPiece | null;
}

/** The cuts of the first frame; null when it stays whole. */
export function planCut(
  queue: readonly HeldFrame[],
  safeEnd: (channel: string) => number,
  reason: CutReason,
): readonly Cut[] | null {
  const frame = queue[0];
  if (frame === undefined || !frame.isDelta) return null;
  const held = frame.pieces
    .map((piece) => ({ piece, safe: Math.max(piece.from, safeEnd(piece.channel)) }))
    .filter(({ piece, safe }) => piece.to > safe);
  if (held.length === 0 || held.some(({ piece }) => piece.kind !== 'text' || piece.whole)) return null;
  // Two pieces of one channel in a frame have one place between them where the text goes on.
  if (new Set(frame.pieces.map(({ channel }) => channel)).size < frame.pieces.length) return null;
  const cuts = held.map((cut) => ({ ...cut, heir: pieceBehind(queue, cut.piece.channel) }));
  const useless =
    reason === 'stalled'
      ? cuts.some(({ heir }) => heir !== null)
      : held.every(({ piece, safe }) => safe === piece.from);
  return useless ? null : cuts;
}

/** The first piece of a channel in the frames behind the first. */
function pieceBehind(frames: readonly HeldFrame[], channel: string): HeldPiece | null {
  for (let at = 1; at < frames.length; at++) {
    const piece = frames[at]?.pieces.find((candidate) => candidate.channel === channel);
    if (piece !== undefined) return piece;
  }
  return null;
}
