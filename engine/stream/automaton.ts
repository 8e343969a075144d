/**
 * A suffix automaton over all needles of a set: after each character it knows the longest suffix of the text that
 * occurs in any needle. That one number gives both answers a stream needs: whether some window of a needle has just
 * been completed, and how many characters may still become part of one.
 *
 * Source: Blumer et al., "The smallest automaton recognizing the subwords of a text" (1985), built online with a
 * fresh start per needle. States are at most twice the needle characters; a step is amortised constant.
 */

export interface AutomatonNeedle {
  /** Symbols 0..symbols-1. */
  readonly symbols: Uint8Array;
  /** A run of this length is a hit. */
  readonly window: number;
}

export class SubstringAutomaton {
  /** Next state by `state * width + symbol`; 0 where there is none. */
  readonly next: Uint16Array | Uint32Array;
  readonly link: Uint32Array;
  /** Longest text of each state. */
  readonly length: Uint32Array;
  /** Smallest window among the needles that hold the state's texts. */
  readonly window: Uint32Array;
  /** The needle that gave the smallest window. */
  readonly owner: Uint32Array;
  /** Nearest suffix-link ancestor whose whole text is a window, or 0: a shorter suffix may be a hit of its own. */
  readonly shorter: Uint32Array;
  readonly width: number;
  readonly needles: readonly AutomatonNeedle[];

  /** @param width number of symbols of the alphabet */
  constructor(needles: readonly AutomatonNeedle[], width: number) {
    const total = needles.reduce((sum, needle) => sum + needle.symbols.length, 0);
    const statesMax = 2 * total + 2;
    this.needles = needles;
    this.width = width;
    this.next = statesMax < 65536 ? new Uint16Array(statesMax * width) : new Uint32Array(statesMax * width);
    this.link = new Uint32Array(statesMax);
    this.length = new Uint32Array(statesMax);
    this.window = new Uint32Array(statesMax).fill(0xffffffff);
    this.owner = new Uint32Array(statesMax);
    this.shorter = new Uint32Array(statesMax);
    this.#build(needles);
  }

  #build(needles: readonly AutomatonNeedle[]): void {
    let count = 2; // 0 is "none", 1 is the root
    for (const { symbols } of needles) {
      let last = 1;
      for (const symbol of symbols) {
        const step = this.#extend(last, symbol, count);
        last = step.last;
        count = step.count;
      }
    }
    // A needle holds the texts of every state on its path and of their suffix links.
    needles.forEach((needle, index) => {
      let state = 1;
      for (const symbol of needle.symbols) {
        state = this.next[state * this.width + symbol] as number;
        for (let s = state; s > 1 && (this.window[s] as number) > needle.window; s = this.link[s] as number) {
          this.window[s] = needle.window;
          this.owner[s] = index;
        }
      }
    });
    const byLength = Array.from({ length: count - 2 }, (_, i) => i + 2).sort(
      (a, b) => (this.length[a] as number) - (this.length[b] as number),
    );
    for (const state of byLength) {
      const parent = this.link[state] as number;
      if (parent <= 1) continue;
      const whole = (this.window[parent] as number) <= (this.length[parent] as number);
      this.shorter[state] = whole ? parent : (this.shorter[parent] as number);
    }
  }

  /** One online step of the construction, generalised: an existing transition is reused or split. */
  #extend(last: number, symbol: number, count: number): { last: number; count: number } {
    const { next, link, length, width } = this;
    const existing = next[last * width + symbol] as number;
    if (existing !== 0) {
      if (length[existing] === (length[last] as number) + 1) return { last: existing, count };
      return { last: this.#clone(last, symbol, existing, count), count: count + 1 };
    }
    const state = count++;
    length[state] = (length[last] as number) + 1;
    let p = last;
    while (p !== 0 && next[p * width + symbol] === 0) {
      next[p * width + symbol] = state;
      p = link[p] as number;
    }
    if (p === 0) {
      link[state] = 1;
      return { last: state, count };
    }
    const q = next[p * width + symbol] as number;
    if (length[q] === (length[p] as number) + 1) {
      link[state] = q;
      return { last: state, count };
    }
    link[state] = this.#clone(p, symbol, q, count);
    return { last: state, count: count + 1 };
  }

  #clone(p: number, symbol: number, q: number, clone: number): number {
    const { next, link, length, width } = this;
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

/** A position in an automaton: the longest suffix read so far that occurs in a needle. */
export class AutomatonCursor {
  readonly automaton: SubstringAutomaton;
  state = 1;
  /** Length of that suffix. */
  matched = 0;
  // Copies of the automaton's tables: one indirection less per character.
  readonly #next: Uint16Array | Uint32Array;
  readonly #link: Uint32Array;
  readonly #length: Uint32Array;
  readonly #window: Uint32Array;
  readonly #shorter: Uint32Array;
  readonly #width: number;

  constructor(automaton: SubstringAutomaton) {
    this.automaton = automaton;
    this.#next = automaton.next;
    this.#link = automaton.link;
    this.#length = automaton.length;
    this.#window = automaton.window;
    this.#shorter = automaton.shorter;
    this.#width = automaton.width;
  }

  /** Reads one symbol. Returns how many of the last symbols form a complete window, 0 for none. */
  step(symbol: number): number {
    const width = this.#width;
    let state = this.state;
    let matched = this.matched;
    let to = this.#next[state * width + symbol] as number;
    while (to === 0 && state !== 1) {
      state = this.#link[state] as number;
      matched = this.#length[state] as number;
      to = this.#next[state * width + symbol] as number;
    }
    if (to === 0) {
      this.state = 1;
      this.matched = 0;
      return 0;
    }
    this.state = to;
    this.matched = matched + 1;
    if (matched + 1 >= (this.#window[to] as number)) return matched + 1;
    const suffix = this.#shorter[to] as number;
    return suffix === 0 ? 0 : (this.#length[suffix] as number);
  }

  /** The needle of the window that the last step completed. */
  get hitNeedle(): number {
    const { window, shorter, owner } = this.automaton;
    const whole = this.matched >= (window[this.state] as number);
    return owner[whole ? this.state : (shorter[this.state] as number)] as number;
  }

  reset(): void {
    this.state = 1;
    this.matched = 0;
  }

  copyFrom(other: AutomatonCursor): void {
    this.state = other.state;
    this.matched = other.matched;
  }
}
