/**
 * One alphabet's reading of a channel: remembers where each of the last symbols stood in the raw text and runs one
 * cursor per needle set over them.
 */
import { AutomatonCursor } from '../stream/automaton.ts';
import type { NeedleSet } from './compile.ts';
import type { CanaryEncoding, Needle, NeedleAlphabet } from './needles.ts';

/** A run of raw text in which every needle character belongs to a leak. */
export interface LaneHit {
  readonly set: number;
  readonly tokenIndex: number;
  readonly encoding: CanaryEncoding;
  readonly start: number;
  end: number;
  /** Most needle characters seen in a row. */
  matched: number;
  readonly needleLength: number;
}

/** Part of a token that ended before a window was complete; several in order are a scattered leak. */
export interface LanePiece {
  readonly set: number;
  /** The piece as skeleton characters. */
  readonly text: string;
}

/** Shorter pieces occur by chance in any list of hashes. */
export const PIECE_CHARS_MIN = 5;

const SKELETON_LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz';

export class Lane {
  readonly alphabet: NeedleAlphabet;
  readonly cursors: readonly AutomatonCursor[];
  /** The hit that is still growing, per set. */
  readonly open: (LaneHit | null)[];
  readonly #needles: readonly (readonly Needle[])[];
  readonly #starts: Int32Array;
  readonly #symbols: Uint8Array;
  readonly #mask: number;
  #count = 0;
  readonly #onHit: (hit: LaneHit) => void;
  readonly #onPiece: (piece: LanePiece) => void;

  constructor(
    alphabet: NeedleAlphabet,
    sets: readonly NeedleSet[],
    onHit: (hit: LaneHit) => void,
    onPiece: (piece: LanePiece) => void,
  ) {
    this.alphabet = alphabet;
    this.cursors = sets.map((set) => new AutomatonCursor(alphabet === 'skeleton' ? set.skeleton : set.base64));
    this.open = sets.map(() => null);
    this.#needles = sets.map((set) => (alphabet === 'skeleton' ? set.skeletonNeedles : set.base64Needles));
    let size = 64;
    const longest = Math.max(0, ...sets.map((set) => set.longest));
    while (size < longest + 2) size *= 2;
    this.#starts = new Int32Array(size);
    this.#symbols = new Uint8Array(size);
    this.#mask = size - 1;
    this.#onHit = onHit;
    this.#onPiece = onPiece;
  }

  /** Reads one symbol that stands at raw `[start, end)`. The hot loop of every answer. */
  feed(symbol: number, start: number, end: number): void {
    const slot = this.#count++ & this.#mask;
    this.#starts[slot] = start;
    this.#symbols[slot] = symbol;
    const cursors = this.cursors;
    for (let i = 0; i < cursors.length; i++) {
      const cursor = cursors[i] as AutomatonCursor;
      const before = cursor.matched;
      const hit = cursor.step(symbol);
      // Most characters of ordinary text neither complete nor end anything.
      if (hit === 0 && before < PIECE_CHARS_MIN && this.open[i] === null) continue;
      this.#settle(i, cursor, before, hit, end);
    }
  }

  #settle(set: number, cursor: AutomatonCursor, before: number, hit: number, end: number): void {
    if (hit !== 0) this.#grow(set, cursor, hit, end);
    else if (this.open[set] !== null) this.#close(set);
    else if (cursor.matched <= before) this.#piece(set, before, 1);
  }

  /** A character that no match can run across. */
  breakRun(): void {
    for (let i = 0; i < this.cursors.length; i++) {
      const cursor = this.cursors[i] as AutomatonCursor;
      if (cursor.matched === 0) continue;
      if (this.open[i] !== null) this.#close(i);
      else if (cursor.matched >= PIECE_CHARS_MIN) this.#piece(i, cursor.matched, 0);
      cursor.reset();
    }
  }

  /** Raw offset of the earliest symbol that may still become part of a match, or `Infinity`. */
  holdFrom(): number {
    let from = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.cursors.length; i++) {
      const matched = (this.cursors[i] as AutomatonCursor).matched;
      if (matched > 0) from = Math.min(from, this.#startOf(matched));
      const open = this.open[i];
      if (open !== null && open !== undefined) from = Math.min(from, open.start);
    }
    return from;
  }

  /** Most symbols that any cursor has matched. */
  deepest(): number {
    return this.cursors.reduce((max, cursor) => Math.max(max, cursor.matched), 0);
  }

  copyFrom(other: Lane): void {
    this.#starts.set(other.#starts);
    this.#symbols.set(other.#symbols);
    this.#count = other.#count;
    this.cursors.forEach((cursor, i) => {
      cursor.copyFrom(other.cursors[i] as AutomatonCursor);
      this.open[i] = null;
    });
  }

  /** True when both would go on alike. */
  agreesWith(other: Lane): boolean {
    return this.cursors.every((cursor, i) => {
      const twin = other.cursors[i] as AutomatonCursor;
      if (cursor.state !== twin.state || cursor.matched !== twin.matched || this.open[i] !== null) return false;
      return cursor.matched === 0 || this.#startOf(cursor.matched) === other.#startOf(twin.matched);
    });
  }

  #startOf(matched: number): number {
    return this.#starts[(this.#count - matched) & this.#mask] as number;
  }

  #grow(set: number, cursor: AutomatonCursor, matched: number, end: number): void {
    const open = this.open[set];
    if (open !== null && open !== undefined) {
      open.end = end;
      open.matched = Math.max(open.matched, matched);
      return;
    }
    const needle = (this.#needles[set] as readonly Needle[])[cursor.hitNeedle] as Needle;
    this.open[set] = {
      set,
      tokenIndex: needle.tokenIndex,
      encoding: needle.encoding,
      start: this.#startOf(matched),
      end,
      matched,
      needleLength: needle.text.length,
    };
  }

  #close(set: number): void {
    const open = this.open[set] as LaneHit;
    this.open[set] = null;
    this.#onHit(open);
  }

  #piece(set: number, length: number, back: number): void {
    if (this.alphabet !== 'skeleton') return;
    let text = '';
    for (let i = length; i >= 1; i--) {
      text += SKELETON_LETTERS[this.#symbols[(this.#count - back - i) & this.#mask] as number];
    }
    this.#onPiece({ set, text });
  }
}
