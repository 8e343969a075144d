/** Whether a hit is to be neutralised where it stands, as a readable table. */
import type { Provenance, Span } from '../types.ts';
import type { ControlHit } from './matcher.ts';

export { isBeforeRoleWord } from './context.ts';

export interface HitContext {
  /** Who wrote the text; `output` is the model's own answer. */
  readonly provenance: Provenance | 'output';
  readonly inCodeFence: boolean;
  /** From `pairedNames` over the same text. */
  readonly pairedNames: ReadonlySet<string>;
  /** A role word follows (`isBeforeRoleWord`); leave out where the following text is not known yet. */
  readonly beforeRoleWord?: boolean;
}

/** Reasoning belongs in an answer: its tags are never touched there. */
const REASONING = /^[<[]\/?(?:seed:)?(?:think|thinking|reasoning|reflection)[>\]]$/;

/** True when the hit must be neutralised. Trusted text is not asked about. */
export function isActive(hit: ControlHit, context: HitContext): boolean {
  if (hit.tier === 'a') return true;
  if (hit.tier === 'c') return false;
  const atTurn = hit.lineStart || hit.afterRoleWord;
  switch (context.provenance) {
    case 'document':
    case 'tool':
      return true;
    case 'output':
      // Linear: anchored at both ends, no quantifier over a group.
      return atTurn && !context.inCodeFence && !REASONING.test(hit.name);
    case 'user':
      if (context.pairedNames.has(hit.name)) return true;
      return !context.inCodeFence && (atTurn || context.beforeRoleWord === true);
    default:
      return context.provenance satisfies never;
  }
}

/**
 * Names of which both the opening and the closing form stand in the text. Only square brackets count:
 * in angle brackets a pair is how every HTML and XML element is written.
 */
export function pairedNames(hits: readonly ControlHit[]): ReadonlySet<string> {
  const names = new Set(hits.map((hit) => hit.name));
  const paired = new Set<string>();
  for (const name of names) {
    if (!name.startsWith('[') || name.startsWith('[/')) continue;
    const closing = `[/${name.slice(1)}`;
    if (names.has(closing)) paired.add(name).add(closing);
  }
  return paired;
}

interface Fence {
  readonly char: string;
  readonly length: number;
  readonly start: number;
}

/** The fence that the line `[from, to)` opens, or null: up to three blanks, then three or more of one mark. */
function fenceAt(text: string, from: number, to: number): (Fence & { readonly bare: boolean }) | null {
  let at = from;
  while (at < to && at - from < 3 && text[at] === ' ') at++;
  const char = text[at];
  if (char !== '`' && char !== '~') return null;
  const start = at;
  while (at < to && text[at] === char) at++;
  if (at - start < 3) return null;
  return { char, length: at - start, start: from, bare: text.slice(at, to).trim() === '' };
}

/** Fenced code blocks with their fences, CommonMark 4.5; one left open reaches to the end. */
export function codeFenceRanges(text: string): Span[] {
  const ranges: Span[] = [];
  let open: Fence | null = null;
  for (let from = 0; from < text.length; ) {
    const newline = text.indexOf('\n', from);
    const to = newline < 0 ? text.length : newline;
    const fence = fenceAt(text, from, to);
    if (fence !== null && open === null) open = fence;
    else if (fence?.bare && open !== null && fence.char === open.char && fence.length >= open.length) {
      ranges.push({ start: open.start, end: to });
      open = null;
    }
    from = to + 1;
  }
  if (open !== null) ranges.push({ start: open.start, end: text.length });
  return ranges;
}
