/**
 * Rule records as one scanner. Compiled once at load; a scan encodes each view once, asks the shared prefilter which
 * patterns may match, and confirms only those. Request text meets RE2 and nothing else. What RE2 throws is not caught:
 * a scan that could not run must not look clean.
 */
import { createHash } from 'node:crypto';
import RE2 from 're2';
import type { Lexicon, RuleRecord } from '../../config/schema.ts';
import type { Provenance, Span } from '../types.ts';
import { toOriginal, type View } from '../views/view.ts';
import { expandPattern } from './lexicon.ts';
import { ByteOffsets } from './offsets.ts';
import { Prefilter } from './prefilter.ts';

/** One match of a rule. `span` is in the segment's original text. */
export interface RuleHit {
  readonly rule: RuleRecord;
  readonly view: View;
  readonly span: Span;
}

export interface RuleSet {
  /** Hash of everything that decides a match; examples do not. */
  readonly version: string;
  readonly size: number;
  /** Every distinct match of every rule that reads `provenance` and has `level` or a lower one. */
  scan(views: readonly View[], provenance: Provenance, level: number): RuleHit[];
}

/** More matches of one pattern in one view add nothing to a verdict and would only cost time. */
const MATCHES_MAX = 64;

/** `u`: RE2 reads UTF-8 either way; without it re2 warns. */
const EXACT_FLAGS = 'giu';

interface Exact {
  readonly rule: RuleRecord;
  readonly regex: RE2;
  /** Matches that begin inside one of these are dropped. */
  readonly except: readonly RE2[];
}

/** Expands, relaxes and compiles. Throws with the rule's id when a pattern cannot be used. */
export function compileRules(records: readonly RuleRecord[], lexicon: Lexicon): RuleSet {
  const prefilter = new Prefilter<Exact>();
  // Many rules share their exceptions; one object each lets a scan look for them once.
  const exceptions = new Map<string, RE2>();
  const exception = (source: string): RE2 => {
    const regex = exceptions.get(source) ?? exact(source);
    exceptions.set(source, regex);
    return regex;
  };
  for (const rule of records) {
    try {
      const except = (rule.except ?? []).map((pattern) => exception(expandPattern(pattern, lexicon)));
      for (const pattern of rule.patterns) {
        const expanded = expandPattern(pattern, lexicon);
        prefilter.add(expanded, { rule, regex: exact(expanded), except });
      }
    } catch (error) {
      throw new Error(`rule ${rule.id}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
  prefilter.seal();
  return {
    version: hashOf(records, lexicon),
    size: records.length,
    scan: (views, provenance, level) => scan(prefilter, views, provenance, level),
  };
}

function exact(source: string): RE2 {
  const regex = new RE2(source, EXACT_FLAGS);
  if (regex.test('')) throw new Error(`/${source}/ matches the empty text`);
  return regex;
}

function scan(prefilter: Prefilter<Exact>, views: readonly View[], provenance: Provenance, level: number): RuleHit[] {
  const hits: RuleHit[] = [];
  const known = new Set<string>();
  for (const view of views) {
    const bytes = Buffer.from(view.text, 'utf8');
    const candidates = prefilter.candidates(view.text, bytes);
    if (candidates.length === 0) continue;
    const offsets = new ByteOffsets(view.text, bytes);
    const mentions = new Map<RE2, readonly Span[]>();
    for (const { value, from, to } of candidates) {
      const { rule, regex, except } = value;
      if (rule.level > level || !rule.provenance.includes(provenance)) continue;
      // A part may match where the whole does not (`^`), never the other way round, and most parts are short.
      if (!occurs(regex, bytes.subarray(from, to))) continue;
      const found = matches(regex, bytes).map((span) => trim(bytes, span));
      for (const { start, end } of withoutMentions(found, except, bytes, mentions)) {
        const span = toOriginal(view, { start: offsets.toUtf16(start), end: offsets.toUtf16(end) });
        const key = `${span.start},${span.end},${rule.id}`;
        if (known.has(key)) continue;
        known.add(key);
        hits.push({ rule, view, span });
      }
    }
  }
  return hits;
}

/** The bound on matches of an exception errs towards a hit. `known` keeps them for the other rules. */
function withoutMentions(
  found: readonly Span[],
  except: readonly RE2[],
  bytes: Buffer,
  known: Map<RE2, readonly Span[]>,
): readonly Span[] {
  let left = found;
  for (const regex of except) {
    if (left.length === 0) break;
    const mentions = known.get(regex) ?? matches(regex, bytes);
    known.set(regex, mentions);
    left = left.filter(({ start }) => !mentions.some((mention) => mention.start <= start && start < mention.end));
  }
  return left;
}

function occurs(regex: RE2, bytes: Buffer): boolean {
  regex.lastIndex = 0;
  return regex.test(bytes);
}

/** Byte ranges. */
function matches(regex: RE2, bytes: Buffer): Span[] {
  const spans: Span[] = [];
  regex.lastIndex = 0;
  while (spans.length < MATCHES_MAX) {
    const found = regex.exec(bytes);
    if (found === null) break;
    spans.push({ start: found.index, end: found.index + found[0].length });
  }
  return spans;
}

/** Patterns may consume the blank or full stop before a clause, RE2 having no look-behind; a span begins with the clause. */
function trim(bytes: Buffer, span: Span): Span {
  let from = span.start;
  let to = span.end;
  while (from < to - 1 && isFiller(bytes[from] as number)) from++;
  while (to - 1 > from && isFiller(bytes[to - 1] as number)) to--;
  return { start: from, end: to };
}

const FILLER = new Set(Buffer.from(' \t\r\n.,;:!?'));

function isFiller(byte: number): boolean {
  return FILLER.has(byte);
}

function hashOf(records: readonly RuleRecord[], lexicon: Lexicon): string {
  const rules = records
    .map((rule) => [
      rule.id,
      rule.family,
      rule.level,
      rule.score,
      rule.action ?? null,
      rule.provenance,
      rule.patterns,
      rule.except ?? [],
    ])
    .sort((a, b) => ((a[0] as string) < (b[0] as string) ? -1 : 1));
  const words = Object.entries(lexicon).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([rules, words]))
    .digest('hex')
    .slice(0, 12);
}
