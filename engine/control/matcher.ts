/**
 * Finds control tokens of language models in whole texts and in streams, with one recogniser for both.
 * Owns the folding of offsets and what a stream must hold back; what a hit means is decided elsewhere.
 *
 * Known gap: a token split over two fields that a chat template joins is seen only by a caller that
 * feeds both as one text.
 */
import type { ControlTokenTable } from '../../config/schema.ts';
import { Candidate, type Literals } from './candidate.ts';
import { CONTEXT_UNITS, findRoleMarkers, isAfterRoleWord, isLineStart } from './context.ts';
import { foldCharacter, foldText, OPENER } from './fold.ts';
import { JsonEscapedStream } from './jsonEscapes.ts';
import { type QuickMiss, quickMiss } from './quick.ts';
import { type Entry, insert, newNode, type TrieNode } from './trie.ts';

export { CONTROL_HOLD_CHARS_MAX } from './candidate.ts';

export interface ControlHit {
  /** Half-open range of UTF-16 units in the channel's original text. */
  readonly start: number;
  readonly end: number;
  readonly tier: 'a' | 'b' | 'c';
  /** Id of the family that lists it, or `shape`. */
  readonly family: string;
  /** Canonical folded literal, `<|im_start|>`; for a shape, the folded text without blanks. */
  readonly name: string;
  readonly lineStart: boolean;
  readonly afterRoleWord: boolean;
}

/** One channel being read. Pieces may be split anywhere. */
export interface ControlStream {
  push(text: string): void;
  /** Gives the hits of a text that ended here, and reads on: what is open may yet become a longer hit. */
  flush(): void;
  end(): void;
  /** Offset up to which all is final: no pending or future hit starts before it, whatever was flushed. */
  readonly safeEnd: number;
  /** Hits found since the last call, in order, never overlapping. */
  takeHits(): ControlHit[];
}

export interface ControlTokens {
  /** A candidate that spans more than `rawHoldMax` units (padding between its characters) is dropped. */
  open(rawHoldMax?: number): ControlStream;
  /** For text in JSON strings, which is read through its escapes; up to six times as much is held. */
  openEscaped(rawHoldMax?: number): ControlStream;
  /** Role lines without brackets, tier c; whole texts only. */
  findRoles(text: string): ControlHit[];
}

/** The family whose names match under any namespace prefix. */
const TOOL_TAGS_FAMILY = 'xml-tools';

const RAW_HOLD_UNITS = 2048;

class Stream implements ControlStream {
  readonly #literals: Literals;
  readonly #quickMiss: QuickMiss;
  readonly #rawHoldMax: number;
  #hits: ControlHit[] = [];
  /** The text from 64 units before the candidate, or before what is to come. */
  #text = '';
  /** Channel offset of `#text[0]`. */
  #base = 0;
  /** Channel offset up to which characters were read; behind the end only for half a surrogate pair. */
  #read = 0;
  #candidate: Candidate | null = null;
  // Folded characters of the candidate with the original range of each.
  #chars: string[] = [];
  #starts: number[] = [];
  #ends: number[] = [];
  /** End of the last hit that stood at a line start: what follows it stands there too. */
  #lineHitEnd = -1;
  /** Where the last flush was: what follows may be a text of its own, so a line starts there. */
  #flushed = -1;

  constructor(literals: Literals, quick: QuickMiss, rawHoldMax: number) {
    this.#literals = literals;
    this.#quickMiss = quick;
    this.#rawHoldMax = rawHoldMax;
  }

  get safeEnd(): number {
    return this.#candidate === null ? this.#read : (this.#starts[0] as number);
  }

  takeHits(): ControlHit[] {
    if (this.#hits.length === 0) return [];
    const hits = this.#hits;
    this.#hits = [];
    return hits;
  }

  push(text: string): void {
    const length = this.#base + this.#text.length;
    if (this.#candidate === null && this.#read === length && nextOpener(text, 0) < 0) {
      this.#pass(text);
      return;
    }
    this.#text += text;
    this.#readOn(false);
    this.#trim();
  }

  flush(): void {
    if (this.#candidate !== null || this.#read < this.#base + this.#text.length) {
      const ended = new Stream(this.#literals, this.#quickMiss, this.#rawHoldMax);
      ended.#text = this.#text;
      ended.#base = this.#base;
      ended.#read = this.safeEnd;
      ended.#lineHitEnd = this.#lineHitEnd;
      ended.#flushed = this.#flushed;
      ended.end();
      for (const hit of ended.takeHits()) this.#hits.push(hit);
    }
    this.#flushed = this.#base + this.#text.length;
  }

  end(): void {
    this.#readOn(true);
    while (this.#candidate !== null) {
      this.#candidate.end();
      this.#resolve();
    }
  }

  /** Text that can start nothing. */
  #pass(text: string): void {
    const last = text.charCodeAt(text.length - 1);
    const whole = last >= 0xd800 && last <= 0xdbff ? text.length - 1 : text.length;
    this.#read += whole;
    const known = text.length >= CONTEXT_UNITS + 1 ? text : this.#text + text;
    const cut = Math.max(0, known.length - CONTEXT_UNITS - 1);
    this.#base += this.#text.length + text.length - (known.length - cut);
    this.#text = known.slice(cut);
  }

  #trim(): void {
    const needed = this.safeEnd - CONTEXT_UNITS;
    if (needed <= this.#base) return;
    this.#text = this.#text.slice(needed - this.#base);
    this.#base = needed;
  }

  #readOn(isLast: boolean): void {
    const text = this.#text;
    let i = this.#read - this.#base;
    while (i < text.length) {
      if (this.#candidate === null) {
        const opener = nextOpener(text, i);
        if (opener < 0) {
          const last = text.charCodeAt(text.length - 1);
          i = !isLast && last >= 0xd800 && last <= 0xdbff ? text.length - 1 : text.length;
          break;
        }
        i = opener;
        const missed = this.#quickMiss(text, opener);
        if (missed > 0) {
          i = missed;
          continue;
        }
      }
      const codePoint = text.codePointAt(i) as number;
      const isHalf = codePoint >= 0xd800 && codePoint <= 0xdbff && i === text.length - 1;
      if (isHalf && !isLast) break;
      const next = i + (codePoint > 0xffff ? 2 : 1);
      this.#character(foldCharacter(codePoint), this.#base + i, this.#base + next);
      i = next;
    }
    this.#read = this.#base + i;
  }

  #character(folded: string, start: number, end: number): void {
    if (this.#candidate !== null && end - (this.#starts[0] as number) > this.#rawHoldMax) this.#resolve();
    if (folded.length === 1) this.#feed(folded, start, end);
    else for (const char of folded) this.#feed(char, start, end);
  }

  #feed(char: string, start: number, end: number): void {
    if (this.#candidate === null) {
      if (char !== '<' && char !== '[' && char !== ']') return;
      this.#candidate = new Candidate(this.#literals, char);
      this.#chars = [char];
      this.#starts = [start];
      this.#ends = [end];
      return;
    }
    this.#chars.push(char);
    this.#starts.push(start);
    this.#ends.push(end);
    if (!this.#candidate.feed(char)) this.#resolve();
  }

  /** The candidate is over: its best match is a hit, and what follows the hit, or the opener, is read again. */
  #resolve(): void {
    const match = this.#candidate?.best ?? null;
    const done = match?.length ?? 1;
    if (match !== null) this.#hit(match.entry, this.#starts[0] as number, this.#ends[match.length - 1] as number);
    const chars = this.#chars;
    const starts = this.#starts;
    const ends = this.#ends;
    this.#candidate = null;
    // Few names hold an opener, so a character is read again a small number of times, not once per candidate.
    for (let i = done; i < chars.length; i++) this.#feed(chars[i] as string, starts[i] as number, ends[i] as number);
  }

  #hit(entry: Entry, start: number, end: number): void {
    const at = start - this.#base;
    const lineStart =
      isLineStart(this.#text, at, this.#lineHitEnd - this.#base) ||
      (this.#flushed >= 0 && isLineStart(this.#text, at, this.#flushed - this.#base));
    if (lineStart) this.#lineHitEnd = end;
    const { tier, family, name } = entry;
    this.#hits.push({ start, end, tier, family, name, lineStart, afterRoleWord: isAfterRoleWord(this.#text, at) });
  }
}

/** Index of the first opener from `from`, or -1. */
function nextOpener(text: string, from: number): number {
  OPENER.lastIndex = from;
  return OPENER.test(text) ? OPENER.lastIndex - 1 : -1;
}

function addTag(tags: Map<string, { open: Entry; close: Entry }>, entry: Entry): void {
  const local = entry.name.slice(1, -1);
  tags.set(local, { open: entry, close: { ...entry, name: `</${local}>` } });
}

/** Compiles the table once; every channel then opens its own stream. */
export function compileControlTokens(table: ControlTokenTable): ControlTokens {
  const bar = newNode();
  const plain = newNode();
  const roles = newNode();
  const tags = new Map<string, { open: Entry; close: Entry }>();
  for (const family of table.families) {
    for (const tier of ['a', 'b', 'c'] as const) {
      for (const literal of family[tier]) {
        const name = foldText(literal);
        const entry: Entry = { tier, family: family.id, name };
        if (family.id === TOOL_TAGS_FAMILY) addTag(tags, entry);
        else if (!'<[]'.includes(name[0] as string)) insert(roles, entry);
        else insert(name.includes('|') ? bar : plain, entry);
      }
    }
  }
  const literals: Literals = { bar, plain, tags };
  const quick = quickMiss(literals);
  return {
    open: (rawHoldMax = RAW_HOLD_UNITS) => new Stream(literals, quick, rawHoldMax),
    openEscaped: (rawHoldMax = RAW_HOLD_UNITS) => new JsonEscapedStream(new Stream(literals, quick, rawHoldMax)),
    findRoles: (text) => roleHits(roles, text),
  };
}

function roleHits(roles: TrieNode, text: string): ControlHit[] {
  return findRoleMarkers(roles, text).map(({ start, end, entry }) => ({
    start,
    end,
    tier: entry.tier,
    family: entry.family,
    name: entry.name,
    lineStart: true,
    afterRoleWord: isAfterRoleWord(text, start),
  }));
}

/** Every hit of a whole text: what a stream finds in it, and role lines, in order. */
export function findControlTokens(tokens: ControlTokens, text: string): ControlHit[] {
  const stream = tokens.open();
  stream.push(text);
  stream.end();
  const hits = stream.takeHits();
  const roles = tokens.findRoles(text);
  return roles.length === 0 ? hits : [...hits, ...roles].sort((a, b) => a.start - b.start);
}
