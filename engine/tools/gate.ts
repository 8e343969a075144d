/**
 * Holds back tool calls that a model writes as text until they were judged. Reads one channel in pieces; however the
 * text is cut, the calls are those of the whole, and nothing from the marker of a call on may leave before it was
 * handed over. Owns what is held; what a call means is decided elsewhere.
 *
 * Known gap: a call that is cut by `flush` is judged as it stands there, and what follows is read as another text.
 */
import type { FoundCall } from './call.ts';
import { findTextCalls } from './find.ts';
import { readMarkedCalls, SETTLED_UNITS } from './markers.ts';
import type { ParseTree } from './tree.ts';
import { WholeJson } from './wholeJson.ts';

export interface TextGateOptions {
  /** Path of the calls that are found. */
  readonly path: string;
  /** Characters that may be held. */
  readonly heldCharsMax: number;
  readonly parse: ParseTree;
  /** Called with each call once, before any of it may leave. */
  readonly onCalls: (calls: readonly FoundCall[]) => void;
  /** More would have to be held; from here on nothing is read. */
  readonly onExceeded: () => void;
}

export class TextGate {
  readonly #options: TextGateOptions;
  /** The text from one character before what is held. */
  #text = '';
  /** Channel offset of `#text[0]`. */
  #base = 0;
  /** Where in `#text` what is held begins. */
  #from = 0;
  /** Length of `#text` at which an open call is looked at again. */
  #retryAt = 0;
  /** Null once the text is known to be no JSON alone. */
  #whole: WholeJson | null = new WholeJson();
  #given = false;

  constructor(options: TextGateOptions) {
    this.#options = options;
  }

  /** Characters of the channel, from its start, that may be released. */
  get safeEnd(): number {
    return this.#given ? Number.POSITIVE_INFINITY : this.#base + this.#from;
  }

  push(delta: string): void {
    if (this.#given) return;
    this.#text += delta;
    if (this.#whole !== null) this.#readWhole(this.#whole, delta);
    if (this.#whole === null) this.#readMarked(false);
    if (this.#held <= this.#options.heldCharsMax) return;
    this.#given = true;
    this.#text = '';
    this.#options.onExceeded();
  }

  /** Judges what is held as if the text ended here. */
  flush(): void {
    if (this.#given) return;
    const { path, parse, onCalls } = this.#options;
    if (this.#whole === null) this.#readMarked(true);
    else if (this.#whole.begun) {
      const calls = findTextCalls(this.#text, path, parse);
      this.#whole = null;
      if (calls.length > 0) onCalls(calls);
      this.#release(this.#text.length);
    }
  }

  get #held(): number {
    return this.#text.length - this.#from;
  }

  #readWhole(whole: WholeJson, delta: string): void {
    whole.push(delta);
    // Blanks before it may leave, but they are part of the text that is parsed.
    this.#from = whole.start;
    // In smaller pieces it would have been over the limit before it was decided.
    if (!whole.possible && whole.length - whole.start <= this.#options.heldCharsMax) this.#whole = null;
  }

  #readMarked(final: boolean): void {
    const { path, heldCharsMax, parse, onCalls } = this.#options;
    if (!final && this.#text.length < this.#retryAt && this.#held <= heldCharsMax) return;
    const { calls, end, open } = readMarkedCalls(this.#text, this.#from, final, heldCharsMax, path, parse);
    if (calls.length > 0) onCalls(calls);
    this.#release(end);
    // An open call is read again when it has grown by its quarter, so that reading a long one stays linear.
    this.#retryAt = open ? this.#text.length + Math.max(SETTLED_UNITS, this.#held >> 2) : 0;
  }

  /** Keeps one character before what is held: whether a word begins there depends on it. */
  #release(end: number): void {
    const cut = Math.max(0, end - 1);
    this.#text = this.#text.slice(cut);
    this.#base += cut;
    this.#from = end - cut;
  }
}
