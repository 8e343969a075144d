/**
 * Cuts risky spans out of the original text. Spans grow to word and grapheme borders, overlaps are merged, and a
 * marker stays behind, since plain deletion can join the neighbours into a new attack. The result is inspected again
 * until nothing is left to cut.
 */
import type { Edit, Span } from './types.ts';

/** What stands where a span was cut. */
export const REMOVED = '[removed]';
/** More than this share cut, and what is left is not the prompt any more. */
const REMOVED_SHARE_MAX = 0.6;
const ROUNDS_MAX = 3;

export interface Findings {
  /** Risky spans to cut. */
  readonly cuts: readonly Span[];
  /** Exact replacements that neutralise in place. */
  readonly edits: readonly Edit[];
}

/** A text to forward, or `null` when no sanitised form exists and the source has to be blocked. */
export type Sanitised = string | null;

/**
 * @param inspect what is still to be changed in a text
 */
export function sanitize(original: string, first: Findings, inspect: (text: string) => Findings): Sanitised {
  let text = original;
  let findings = first;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const edits = plan(text, findings);
    if (edits.length === 0) return text;
    if (round === 0 && removedShare(text, edits) > REMOVED_SHARE_MAX) return null;
    text = applyEdits(text, edits);
    findings = inspect(text);
  }
  return findings.cuts.length === 0 && findings.edits.length === 0 ? text : null;
}

/** Replaces ranges that do not overlap, in ascending order. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  let result = '';
  let at = 0;
  for (const edit of edits) {
    result += text.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return result + text.slice(at);
}

/** Cuts win over edits inside them. */
function plan(text: string, { cuts, edits }: Findings): Edit[] {
  const merged: Edit[] = [];
  const grown = cuts.map((span) => grow(text, span)).sort((a, b) => a.start - b.start);
  for (const span of grown) {
    const last = merged[merged.length - 1];
    if (last !== undefined && span.start <= last.end) {
      merged[merged.length - 1] = { start: last.start, end: Math.max(last.end, span.end), text: REMOVED };
    } else {
      merged.push({ ...span, text: REMOVED });
    }
  }
  // Both lists are in order, so one walk over the cuts serves all edits.
  let next = 0;
  const kept = [...edits]
    .sort((a, b) => a.start - b.start)
    .filter((edit) => {
      while (next < merged.length && (merged[next] as Edit).end <= edit.start) next++;
      const cut = merged[next];
      return cut === undefined || cut.start >= edit.end;
    });
  return [...merged, ...kept].sort((a, b) => a.start - b.start);
}

const WORD = /[\p{L}\p{N}\p{M}_]/u;
/** Words longer than this are not grown over, so that a cut inside one endless run stays a cut. */
const GROW_CHARS_MAX = 40;

function grow(text: string, span: Span): Span {
  let { start, end } = span;
  for (let i = 0; i < GROW_CHARS_MAX && start > 0 && joins(text, start); i++) start--;
  for (let i = 0; i < GROW_CHARS_MAX && end < text.length && joins(text, end); i++) end++;
  return { start, end };
}

/** True when the border before `at` would tear a word, a surrogate pair or a grapheme. */
function joins(text: string, at: number): boolean {
  const after = text.charCodeAt(at);
  if (after >= 0xdc00 && after <= 0xdfff) return true;
  const next = String.fromCodePoint(text.codePointAt(at) as number);
  if (/\p{M}|\u200d|\ufe0f/u.test(next)) return true;
  const before = text.charCodeAt(at - 1);
  const previous = before >= 0xdc00 && before <= 0xdfff && at >= 2 ? text.slice(at - 2, at) : (text[at - 1] as string);
  return previous === '\u200d' || (WORD.test(previous) && WORD.test(next));
}

function removedShare(text: string, edits: readonly Edit[]): number {
  const visible = (part: string): number => part.replace(/\s/g, '').length;
  const total = visible(text);
  const removed = edits
    .filter((edit) => edit.text === REMOVED)
    .reduce((sum, edit) => sum + visible(text.slice(edit.start, edit.end)), 0);
  return total === 0 ? 0 : removed / total;
}
