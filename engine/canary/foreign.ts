/**
 * Canaries of other tenants, derived by this gateway, as one bounded set of window hashes. A hit means that one
 * tenant's prompt reached another tenant's answer; it blocks and is counted, and names nobody.
 * There is no hold-back for it: the characters of the first window may be out when it is seen.
 */

import { tokenSkeleton } from './needles.ts';
import { asciiSkeleton, BREAK, foldCodePoint, SKIP } from './symbols.ts';

/** Half a derived token: 64 bits. */
export const FOREIGN_WINDOW_CHARS = 16;
const BASE = 31;
const TOP = power(BASE, FOREIGN_WINDOW_CHARS - 1);

function power(base: number, exponent: number): number {
  let result = 1;
  for (let i = 0; i < exponent; i++) result = Math.imul(result, base);
  return result;
}

/** Rolling-hash set over every window of the given tokens (Karp and Rabin 1987), confirmed by comparison. */
export class ForeignWindows {
  readonly #windows = new Map<number, string[]>();
  readonly size: number;

  constructor(tokens: readonly string[]) {
    this.size = tokens.length;
    for (const token of tokens) {
      const text = tokenSkeleton(token);
      for (let i = 0; i + FOREIGN_WINDOW_CHARS <= text.length; i++) {
        const window = text.slice(i, i + FOREIGN_WINDOW_CHARS);
        let hash = 0;
        for (const char of window) hash = (Math.imul(hash, BASE) + asciiSkeleton(char.charCodeAt(0)) + 1) | 0;
        const known = this.#windows.get(hash);
        if (known === undefined) this.#windows.set(hash, [window]);
        else known.push(window);
      }
    }
  }

  has(hash: number, window: () => string): boolean {
    const known = this.#windows.get(hash);
    return known?.includes(window()) ?? false;
  }
}

const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyz';

/** Reads one channel for other tenants' canaries. */
export class ForeignStream {
  readonly #windows: ForeignWindows;
  readonly #ring = new Uint8Array(FOREIGN_WINDOW_CHARS);
  #count = 0;
  #hash = 0;
  hit = false;

  constructor(windows: ForeignWindows) {
    this.#windows = windows;
  }

  push(text: string): void {
    for (const char of text) {
      const code = char.codePointAt(0) as number;
      const folded = code < 128 ? asciiSkeleton(code) : foldCodePoint(code);
      if (folded === SKIP) continue;
      if (folded === BREAK) this.#count = this.#hash = 0;
      else if (typeof folded === 'number') this.#feed(folded);
      else for (const ascii of folded) this.#feed(asciiSkeleton(ascii.charCodeAt(0)));
    }
  }

  #feed(symbol: number): void {
    const slot = this.#count % FOREIGN_WINDOW_CHARS;
    if (this.#count >= FOREIGN_WINDOW_CHARS) {
      this.#hash = (this.#hash - Math.imul((this.#ring[slot] as number) + 1, TOP)) | 0;
    }
    this.#hash = (Math.imul(this.#hash, BASE) + symbol + 1) | 0;
    this.#ring[slot] = symbol;
    this.#count++;
    if (this.#count >= FOREIGN_WINDOW_CHARS && this.#windows.has(this.#hash, () => this.#window())) this.hit = true;
  }

  #window(): string {
    let text = '';
    for (let i = 0; i < FOREIGN_WINDOW_CHARS; i++) {
      text += LETTERS[this.#ring[(this.#count + i) % FOREIGN_WINDOW_CHARS] as number];
    }
    return text;
  }
}
