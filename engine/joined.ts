/**
 * The untrusted texts of a request in order, as one text, for payloads that are split over several of them. A long
 * text takes part with its two ends only: its inside was read alone, and a rule's match is shorter than an end.
 */
import type { Segment, Span } from './types.ts';

/** Longer than any match that a rule can have across a border. */
const END_CHARS = 512;
/** Stands for the left-out inside of a text; nothing matches across it. */
const ELIDED = `\n\n${'\u0000'.repeat(8)}\n\n`;

interface Piece {
  readonly segment: number;
  /** Range in the joined text. */
  readonly start: number;
  readonly end: number;
  /** Where the piece begins in its segment. */
  readonly offset: number;
}

export interface JoinedText {
  readonly text: string;
  /** The parts of a joined range by segment; empty unless it crosses a border between segments. */
  crossing(span: Span): { segment: number; span: Span }[];
}

/** Null when there is nothing to join. `indexes` are the untrusted segments in order. */
export function joinUntrusted(segments: readonly Segment[], indexes: readonly number[]): JoinedText | null {
  if (indexes.length < 2) return null;
  const pieces: Piece[] = [];
  let text = '';
  let previous: Segment | null = null;
  const add = (segment: number, from: number, to: number): void => {
    const part = (segments[segment] as Segment).text.slice(from, to);
    pieces.push({ segment, start: text.length, end: text.length + part.length, offset: from });
    text += part;
  };
  for (const index of indexes) {
    const segment = segments[index] as Segment;
    if (segment.text.length === 0) continue;
    // Parts of one message are put together by templates without anything between them.
    if (previous !== null && !samePlace(previous.path, segment.path)) text += '\n';
    if (segment.text.length <= 2 * END_CHARS) add(index, 0, segment.text.length);
    else {
      add(index, 0, END_CHARS);
      text += ELIDED;
      add(index, segment.text.length - END_CHARS, segment.text.length);
    }
    previous = segment;
  }
  return {
    text,
    crossing: ({ start, end }) => {
      const parts = pieces
        .filter((piece) => piece.start < end && piece.end > start)
        .map((piece) => ({
          segment: piece.segment,
          span: {
            start: Math.max(start, piece.start) - piece.start + piece.offset,
            end: Math.min(end, piece.end) - piece.start + piece.offset,
          },
        }));
      return new Set(parts.map((part) => part.segment)).size > 1 ? parts : [];
    },
  };
}

/** True for two parts of one content list: pointers that differ only below their `content`. */
function samePlace(a: string, b: string): boolean {
  const end = a.lastIndexOf('/content/');
  return end !== -1 && b.startsWith(a.slice(0, end + 9));
}
