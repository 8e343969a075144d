/** What was removed and why, or would be, in a form that is safe to log. */
import { atLeast } from '../../../engine/types.ts';
import type { Judged } from './judge.ts';
import { maskPointer, quote } from './mask.ts';

export interface Redaction {
  readonly rule: string;
  readonly excerpt: string;
  readonly source: 'prompt' | 'attachment';
  /** Only attachments are numbered. */
  readonly index?: number;
  readonly start: number;
  readonly end: number;
  readonly pointer?: string;
  readonly decodedFrom?: readonly string[];
}

const EXCERPT_CHARS_MAX = 200;
/** More explain nothing that these do not. */
const REDACTIONS_MAX = 256;

/** Findings of every source that is cut or refused, and every control token that is escaped. */
export function redactionsOf({ action, sources }: Judged, known: readonly string[]): Redaction[] {
  if (!atLeast(action, 'sanitize')) return [];
  const redactions: Redaction[] = [];
  for (const { source, action: own, located } of sources) {
    for (const { finding, start, end, pointer } of located) {
      if (redactions.length === REDACTIONS_MAX) return redactions;
      if (!atLeast(own, 'sanitize') && finding.scanner !== 'control-tokens') continue;
      redactions.push({
        rule: finding.ruleId,
        excerpt: quote(source.text, { start, end }, known, EXCERPT_CHARS_MAX),
        source: source.source,
        ...(source.source === 'attachment' && { index: source.index }),
        start,
        end,
        ...(pointer !== null && {
          pointer: maskPointer(pointer, known),
        }),
        ...(finding.decodedFrom !== undefined && { decodedFrom: finding.decodedFrom }),
      });
    }
  }
  return redactions;
}
