/**
 * Reads one output channel for canaries. Everything before `safeEnd` can be released: no match, found or still
 * possible, begins before it. The raw text is read as it stands and, from the first escape on, also as percent
 * escapes, entities and backslash escapes decode it, twice at most.
 */
import type { NeedleSet } from './compile.ts';
import { Lane, type LaneHit, type LanePiece } from './lane.ts';
import type { CanaryEncoding } from './needles.ts';
import { asciiBase64, asciiSkeleton, BREAK, foldCodePoint, SKIP } from './symbols.ts';
import { InlineUnescaper, opensEscape } from './unescape.ts';

export interface CanaryHit {
  readonly tokenId: string;
  readonly kind: 'exact' | 'fragment';
  readonly encoding: CanaryEncoding | 'scattered' | 'padded' | 'decoded';
  /** Raw range in the channel; null when the leak has no one place. */
  readonly start: number | null;
  readonly end: number | null;
}

export interface CanaryStreamOptions {
  readonly sets: readonly NeedleSet[];
  /** Most raw characters held for a possible match; see `#overCap`. */
  readonly rawHoldMax: number;
  readonly onHit: (hit: CanaryHit) => void;
  readonly onPiece: (piece: LanePiece) => void;
}

/** Decoding levels beside the raw one. */
const LEVELS_MAX = 2;
/** With this many needle characters in hand, padding beyond the cap is itself a leak attempt. */
const PADDED_CHARS_MIN = 4;

const ESCAPE = /[%&\\]/; // linear: one class

class Level {
  readonly skeleton: Lane;
  readonly base64: Lane;
  readonly depth: number;
  next: Level | null = null;
  unescaper: InlineUnescaper | null = null;
  active: boolean;
  readonly #make: () => Level;

  constructor(depth: number, options: CanaryStreamOptions, onHit: (hit: LaneHit) => void) {
    this.depth = depth;
    this.active = depth === 0;
    this.skeleton = new Lane('skeleton', options.sets, onHit, depth === 0 ? options.onPiece : () => {});
    this.base64 = new Lane('base64', options.sets, onHit, () => {});
    this.#make = () => new Level(depth + 1, options, onHit);
  }

  /** Reads a character and hands it to the decoding level above, if there is one. */
  feed(code: number, start: number, end: number): void {
    if (this.next?.active) this.next.unescape(code, start, end);
    else if (this.depth < LEVELS_MAX && opensEscape(code)) this.#openNext().unescape(code, start, end);
    this.read(code, start, end);
  }

  read(code: number, start: number, end: number): void {
    if (code < 128) {
      const symbol = asciiSkeleton(code);
      if (symbol >= 0) {
        this.skeleton.feed(symbol, start, end);
        this.base64.feed(asciiBase64(code), start, end);
      }
      return;
    }
    const folded = foldCodePoint(code);
    if (folded === SKIP) return;
    if (folded === BREAK) {
      this.skeleton.breakRun();
      this.base64.breakRun();
      return;
    }
    for (let i = 0; i < folded.length; i++) {
      const ascii = folded.charCodeAt(i);
      this.skeleton.feed(asciiSkeleton(ascii), start, end);
      this.base64.feed(asciiBase64(ascii), start, end);
    }
  }

  unescape(code: number, start: number, end: number): void {
    (this.unescaper as InlineUnescaper).feed(code, start, end);
  }

  /** Ends every level that would read on exactly like the one below it. */
  settle(): void {
    const next = this.next;
    if (next === null || !next.active) return;
    next.settle();
    if (next.next?.active || (next.unescaper as InlineUnescaper).pendingStart !== -1) return;
    if (next.skeleton.agreesWith(this.skeleton) && next.base64.agreesWith(this.base64)) next.active = false;
  }

  end(): void {
    this.skeleton.breakRun();
    this.base64.breakRun();
    const next = this.next;
    if (next === null || !next.active) return;
    next.unescaper?.end();
    next.end();
  }

  holdFrom(): number {
    let from = Math.min(this.skeleton.holdFrom(), this.base64.holdFrom());
    if (this.depth > 0) {
      const pending = (this.unescaper as InlineUnescaper).pendingStart;
      if (pending !== -1) from = Math.min(from, pending);
    }
    return this.next?.active ? Math.min(from, this.next.holdFrom()) : from;
  }

  deepest(): number {
    const here = Math.max(this.skeleton.deepest(), this.base64.deepest());
    return this.next?.active ? Math.max(here, this.next.deepest()) : here;
  }

  hasOpenHit(): boolean {
    const here = this.skeleton.open.some((hit) => hit !== null) || this.base64.open.some((hit) => hit !== null);
    return here || (this.next?.active === true && this.next.hasOpenHit());
  }

  #openNext(): Level {
    let next = this.next;
    if (next === null) {
      next = this.#make();
      this.next = next;
    }
    const level = next;
    level.unescaper = new InlineUnescaper((code, start, end) => level.feed(code, start, end));
    level.skeleton.copyFrom(this.skeleton);
    level.base64.copyFrom(this.base64);
    level.active = true;
    return level;
  }
}

export class CanaryStream {
  readonly #options: CanaryStreamOptions;
  readonly #level: Level;
  #length = 0;
  #floor = 0;
  #highSurrogate = 0;

  constructor(options: CanaryStreamOptions) {
    this.#options = options;
    this.#level = new Level(0, options, (hit) => options.onHit(this.#describe(hit)));
  }

  /** Reads the next piece of the channel; pieces may split anything, surrogate pairs included. */
  push(text: string): void {
    const level = this.#level;
    const base = this.#length;
    this.#length += text.length;
    const plain = !level.next?.active && !ESCAPE.test(text);
    for (let i = 0; i < text.length; i++) {
      let code = text.charCodeAt(i);
      let start = base + i;
      if (code >= 0xd800 && code <= 0xdbff) {
        this.#highSurrogate = code;
        continue;
      }
      if (code >= 0xdc00 && code <= 0xdfff && this.#highSurrogate !== 0) {
        code = (this.#highSurrogate - 0xd800) * 0x400 + (code - 0xdc00) + 0x10000;
        start--;
      }
      this.#highSurrogate = 0;
      if (plain) level.read(code, start, base + i + 1);
      else level.feed(code, start, base + i + 1);
    }
    level.settle();
    if (this.#length - this.safeEnd > this.#options.rawHoldMax) this.#overCap();
  }

  /** Releases what is held without forgetting it: text that follows still completes a match, which then blocks. */
  flush(): void {
    if (this.#level.hasOpenHit()) this.#level.end();
    this.#floor = this.#length;
  }

  /** No more text comes: what was only possible is no longer. */
  end(): void {
    this.#level.end();
    this.#floor = this.#length;
  }

  /** Raw offset before which nothing can belong to a match. */
  get safeEnd(): number {
    const hold = Math.min(this.#level.holdFrom(), this.#highSurrogate === 0 ? this.#length : this.#length - 1);
    return Math.max(this.#floor, hold);
  }

  /** True while a complete window is still growing. */
  get hasOpenHit(): boolean {
    return this.#level.hasOpenHit();
  }

  /**
   * Raw characters beyond the cap stand between needle characters. A few by chance (a letter before a long ruler) are
   * released, matching goes on; with more in hand the padding is an attempt to outwait the guard and counts as a leak.
   */
  #overCap(): void {
    if (this.#level.hasOpenHit()) return;
    if (this.#level.deepest() >= PADDED_CHARS_MIN) {
      this.#options.onHit({ tokenId: '', kind: 'fragment', encoding: 'padded', start: null, end: null });
    }
    this.#floor = this.#length;
  }

  #describe(hit: LaneHit): CanaryHit {
    const token = this.#options.sets[hit.set]?.tokens[hit.tokenIndex];
    const released = hit.start < this.#floor;
    return {
      tokenId: token?.id ?? '',
      kind: hit.matched >= hit.needleLength ? 'exact' : 'fragment',
      encoding: hit.encoding,
      start: released ? null : hit.start,
      end: released ? null : hit.end,
    };
  }
}
