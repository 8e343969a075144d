/**
 * A suffix automaton over all needles of a set: after each character it knows the longest suffix of the text that
 * occurs in any needle. That one number gives both answers a stream needs: whether some window of a needle has just
 * been completed, and how many characters may still become part of one.
 *
 * Source: Blumer et al., "The smallest automaton recognizing the subwords of a text" (1985), built online with a
 * fresh start per needle. Every step's fall-back along suffix links is worked out beforehand, so a step is one look-up
 * (measured: 1.6 times as fast on prose as following the links).
 */

export interface AutomatonNeedle {
  /** Symbols 0..width-1. */
  readonly symbols: Uint8Array;
  /** A run of this length is a hit. */
  readonly window: number;
}

/** Table entries: the state in the low bits, above them the matched length after a fall-back, 0 for one more than before. */
const STATE_BITS = 20;
const STATE_MASK = (1 << STATE_BITS) - 1;
const STATES_MAX = 1 << STATE_BITS;
const NEEDLE_CHARS_MAX = (1 << (32 - STATE_BITS)) - 2;
const ROOT = 1;

export class SubstringAutomaton {
  /** By `state * width + symbol`. */
  readonly table: Uint32Array;
  /** Longest text of each state. */
  readonly length: Uint32Array;
  /** Smallest window among the needles that hold the state's texts. */
  readonly window: Uint32Array;
  /** The needle that gave the smallest window. */
  readonly owner: Uint32Array;
  /** Nearest suffix-link ancestor whose whole text is a window, or 0: a shorter suffix may be a hit of its own. */
  readonly shorter: Uint32Array;
  readonly width: number;
  readonly states: number;

  /**
   * @param width number of symbols of the alphabet
   * Throws `RangeError` for needles beyond 4,094 symbols or half a million symbols together.
   */
  constructor(needles: readonly AutomatonNeedle[], width: number) {
    const builder = new Builder(needles, width);
    this.width = width;
    this.states = builder.count;
    this.length = builder.length.slice(0, builder.count);
    const order = Array.from({ length: builder.count - 2 }, (_, i) => i + 2).sort(
      (a, b) => (this.length[a] as number) - (this.length[b] as number),
    );
    this.table = table(builder, order);
    this.window = new Uint32Array(builder.count).fill(0xffffffff);
    this.owner = new Uint32Array(builder.count);
    this.shorter = new Uint32Array(builder.count);
    this.#mark(needles, builder);
    for (const state of order) {
      const parent = builder.link[state] as number;
      if (parent <= ROOT) continue;
      const whole = (this.window[parent] as number) <= (this.length[parent] as number);
      this.shorter[state] = whole ? parent : (this.shorter[parent] as number);
    }
  }

  /** A needle holds the texts of every state on its path and of their suffix links. */
  #mark(needles: readonly AutomatonNeedle[], { next, link }: Builder): void {
    needles.forEach((needle, index) => {
      let state = ROOT;
      for (const symbol of needle.symbols) {
        state = next[state * this.width + symbol] as number;
        for (let s = state; s > ROOT && (this.window[s] as number) > needle.window; s = link[s] as number) {
          this.window[s] = needle.window;
          this.owner[s] = index;
        }
      }
    });
  }
}

/** The online construction, generalised to several needles: an existing transition is reused or split. */
class Builder {
  /** By `state * width + symbol`; 0 where there is none. State 0 is nothing, 1 the root. */
  readonly next: Uint32Array;
  readonly link: Uint32Array;
  readonly length: Uint32Array;
  readonly width: number;
  count = 2;

  constructor(needles: readonly AutomatonNeedle[], width: number) {
    const total = needles.reduce((sum, needle) => sum + needle.symbols.length, 0);
    const statesMax = 2 * total + 2;
    if (statesMax > STATES_MAX || needles.some(({ symbols }) => symbols.length > NEEDLE_CHARS_MAX)) {
      throw new RangeError('too many or too long needles');
    }
    this.width = width;
    this.next = new Uint32Array(statesMax * width);
    this.link = new Uint32Array(statesMax);
    this.length = new Uint32Array(statesMax);
    for (const { symbols } of needles) {
      let last = ROOT;
      for (const symbol of symbols) last = this.#extend(last, symbol);
    }
  }

  #extend(last: number, symbol: number): number {
    const { next, link, length, width } = this;
    const existing = next[last * width + symbol] as number;
    if (existing !== 0) {
      return length[existing] === (length[last] as number) + 1 ? existing : this.#clone(last, symbol, existing);
    }
    const state = this.count++;
    length[state] = (length[last] as number) + 1;
    let p = last;
    while (p !== 0 && next[p * width + symbol] === 0) {
      next[p * width + symbol] = state;
      p = link[p] as number;
    }
    if (p === 0) {
      link[state] = ROOT;
      return state;
    }
    const q = next[p * width + symbol] as number;
    link[state] = length[q] === (length[p] as number) + 1 ? q : this.#clone(p, symbol, q);
    return state;
  }

  #clone(p: number, symbol: number, q: number): number {
    const { next, link, length, width } = this;
    const clone = this.count++;
    next.copyWithin(clone * width, q * width, (q + 1) * width);
    length[clone] = (length[p] as number) + 1;
    link[clone] = link[q] as number;
    link[q] = clone;
    for (let s = p; s !== 0 && next[s * width + symbol] === q; s = link[s] as number) {
      next[s * width + symbol] = clone;
    }
    return clone;
  }
}

/** Each state's row is its suffix link's row, falling back to the link's length, with its own transitions on top. */
function table({ next, link, length, width, count }: Builder, order: readonly number[]): Uint32Array {
  const rows = new Uint32Array(count * width).fill(ROOT, ROOT * width, (ROOT + 1) * width);
  for (const state of [ROOT, ...order]) {
    const row = state * width;
    const parent = (link[state] as number) * width;
    const fallback = ((length[link[state] as number] as number) + 1) << STATE_BITS;
    for (let symbol = 0; symbol < width; symbol++) {
      const own = next[row + symbol] as number;
      if (own !== 0) rows[row + symbol] = own;
      else if (state !== ROOT) {
        const inherited = rows[parent + symbol] as number;
        rows[row + symbol] = inherited === ROOT || inherited > STATE_MASK ? inherited : (inherited | fallback) >>> 0;
      }
    }
  }
  return rows;
}

/** A position in an automaton: the longest suffix read so far that occurs in a needle. */
export class AutomatonCursor {
  readonly automaton: SubstringAutomaton;
  state = ROOT;
  /** Length of that suffix. */
  matched = 0;
  // Copies of the automaton's tables: one indirection less per character.
  readonly #table: Uint32Array;
  readonly #window: Uint32Array;
  readonly #width: number;

  constructor(automaton: SubstringAutomaton) {
    this.automaton = automaton;
    this.#table = automaton.table;
    this.#window = automaton.window;
    this.#width = automaton.width;
  }

  /** Reads one symbol. Returns how many of the last symbols form a complete window, 0 for none. */
  step(symbol: number): number {
    const entry = this.#table[this.state * this.#width + symbol] as number;
    if (entry === ROOT) {
      this.state = ROOT;
      this.matched = 0;
      return 0;
    }
    const to = entry & STATE_MASK;
    const matched = entry <= STATE_MASK ? this.matched + 1 : entry >>> STATE_BITS;
    this.state = to;
    this.matched = matched;
    if (matched >= (this.#window[to] as number)) return matched;
    const suffix = this.automaton.shorter[to] as number;
    return suffix === 0 ? 0 : (this.automaton.length[suffix] as number);
  }

  /** The needle of the window that the last step completed. */
  get hitNeedle(): number {
    const { window, shorter, owner } = this.automaton;
    const whole = this.matched >= (window[this.state] as number);
    return owner[whole ? this.state : (shorter[this.state] as number)] as number;
  }

  reset(): void {
    this.state = ROOT;
    this.matched = 0;
  }

  copyFrom(other: AutomatonCursor): void {
    this.state = other.state;
    this.matched = other.matched;
  }
}
