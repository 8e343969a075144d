/** One reading of a text that comes in pieces: which calls are in it, and from where on it is still undecided. */
import type { FoundCall } from './call.ts';
import { findTextCalls } from './find.ts';
import { readMarkedCalls, SETTLED_UNITS } from './markers.ts';
import type { ParseTree } from './tree.ts';
import { WholeJson } from './wholeJson.ts';

export interface ReadingOptions {
  /** Path of the calls that are found. */
  readonly path: string;
  /** Characters that may be held. */
  readonly heldCharsMax: number;
  readonly parse: ParseTree;
  /** Called with each call before any of it may leave; once more when a flush came before it was final. */
  readonly onCalls: (calls: readonly FoundCall[]) => void;
}

export class TextReading {
  readonly #options: ReadingOptions;
  /** The text from one character before what is undecided. */
  #text = '';
  /** Offset of `#text[0]` in the text. */
  #base = 0;
  /** Where in `#text` what is undecided begins. */
  #from = 0;
  /** Length of `#text` at which an open call is looked at again. */
  #retryAt = 0;
  /** Null once the text is known to be no JSON alone. */
  #whole: WholeJson | null = new WholeJson();

  constructor(options: ReadingOptions) {
    this.#options = options;
  }

  /** Characters of the text before which no call begins that was not handed over. */
  get safeEnd(): number {
    return this.#base + this.#from;
  }

  get held(): number {
    return this.#text.length - this.#from;
  }

  /** Nothing is undecided, so another reading of which this is true reads on alike. */
  get clear(): boolean {
    return this.#whole === null && this.held === 0;
  }

  push(delta: string): void {
    this.#text += delta;
    if (this.#whole !== null) this.#readWhole(this.#whole, delta);
    if (this.#whole === null) this.#readMarked(false);
  }

  /** Hands over the calls of what is undecided as if the text ended here; it stays undecided. */
  flush(): void {
    const { path, heldCharsMax, parse } = this.#options;
    if (this.#whole !== null) {
      if (this.#whole.begun) this.#found(findTextCalls(this.#text, path, parse));
      return;
    }
    this.#readMarked(true);
    if (this.held === 0) return;
    this.#found(readMarkedCalls(this.#text, this.#from, true, heldCharsMax, path, parse).calls);
  }

  #readWhole(whole: WholeJson, delta: string): void {
    whole.push(delta);
    // Blanks before it may leave, but they are part of the text that is parsed.
    this.#from = whole.start;
    // In smaller pieces it would have been over the limit before it was decided.
    if (!whole.possible && whole.length - whole.start <= this.#options.heldCharsMax) this.#whole = null;
  }

  #readMarked(now: boolean): void {
    const { path, heldCharsMax, parse } = this.#options;
    if (!now && this.#text.length < this.#retryAt && this.held <= heldCharsMax) return;
    const { calls, end, open } = readMarkedCalls(this.#text, this.#from, false, heldCharsMax, path, parse);
    this.#found(calls);
    this.#release(end);
    // An open call is read again when it has grown by its quarter, so that reading a long one stays linear.
    this.#retryAt = open ? this.#text.length + Math.max(SETTLED_UNITS, this.held >> 2) : 0;
  }

  #found(calls: readonly FoundCall[]): void {
    if (calls.length > 0) this.#options.onCalls(calls);
  }

  /** Keeps one character before what is undecided: whether a word begins there depends on it. */
  #release(end: number): void {
    const cut = Math.max(0, end - 1);
    this.#text = this.#text.slice(cut);
    this.#base += cut;
    this.#from = end - cut;
  }
}
