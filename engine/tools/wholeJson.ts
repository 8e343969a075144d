/** Whether a text that comes in pieces may still be one JSON value, bare or in one code fence, and nothing else. */

type State =
  | 'start'
  | 'fence'
  | 'value'
  | 'item'
  | 'key'
  | 'member'
  | 'colon'
  | 'string'
  | 'escape'
  | 'scalar'
  | 'after'
  | 'end'
  | 'no';

/** A fence's head: three ticks, a language, blanks, a line feed. */
const FENCE = /^```[\w-]{0,20}[ \t]*\r?\n$/;
const FENCE_PARTIAL = /^`{1,3}$|^```[\w-]{0,20}[ \t]*\r?$/;
const FENCE_CHARS_MAX = 64;

/**
 * Says yes longer than a JSON parser would, never shorter: scalars are read loosely, and what they are is left to the
 * parser. Prose that begins with a bracket is told apart within a word or two.
 */
export class WholeJson {
  #state: State = 'start';
  /** The state after the string or scalar that is being read. */
  #next: State = 'after';
  /** True for each open object, false for each open list. */
  readonly #open: boolean[] = [];
  #fence = '';
  #fenced = false;
  /** Where the text begins that is held until this is decided; blanks before it are not. */
  start = 0;
  /** Characters read until it was decided, or so far. */
  length = 0;

  /** False once the text is something else. */
  get possible(): boolean {
    return this.#state !== 'no';
  }

  /** False while nothing but blanks was read. */
  get begun(): boolean {
    return this.#state !== 'start';
  }

  push(delta: string): void {
    for (let at = 0; at < delta.length && this.#state !== 'no'; at++) {
      this.#state = this.#step(delta[at] as string);
      if (this.#state !== 'no') this.length++;
      if (this.#state === 'start') this.start = this.length;
    }
  }

  #step(char: string): State {
    switch (this.#state) {
      case 'start':
        if (char.trim() === '') return 'start';
        if (char !== '`') return this.#root(char);
        this.#fence = char;
        return 'fence';
      case 'fence':
        return this.#fenceHead(char);
      case 'string':
        return char === '"' ? this.#next : char === '\\' ? 'escape' : 'string';
      case 'escape':
        return 'string';
      case 'scalar':
        if (/[\w.+-]/.test(char)) return 'scalar';
        this.#state = this.#next;
        return this.#step(char);
      default:
        return char.trim() === '' ? this.#state : this.#structure(char);
    }
  }

  #fenceHead(char: string): State {
    this.#fence += char;
    if (FENCE.test(this.#fence)) {
      this.#fenced = true;
      return 'value';
    }
    return this.#fence.length < FENCE_CHARS_MAX && FENCE_PARTIAL.test(this.#fence) ? 'fence' : 'no';
  }

  #structure(char: string): State {
    switch (this.#state) {
      case 'value':
        return this.#open.length === 0 ? this.#root(char) : this.#value(char);
      case 'item':
        return char === ']' ? this.#close(false) : this.#value(char);
      case 'member':
        return char === '}' ? this.#close(true) : this.#key(char);
      case 'key':
        return this.#key(char);
      case 'colon':
        return char === ':' ? 'value' : 'no';
      case 'after':
        if (char === '}' || char === ']') return this.#close(char === '}');
        if (char !== ',') return 'no';
        return this.#open[this.#open.length - 1] === true ? 'key' : 'value';
      case 'end':
        // What ends the fence; how many ticks there must be is left to the parser.
        return this.#fenced && char === '`' ? 'end' : 'no';
      default:
        return 'no';
    }
  }

  /** A call is an object, or a list of them. */
  #root(char: string): State {
    return char === '{' || char === '[' ? this.#value(char) : 'no';
  }

  #key(char: string): State {
    if (char !== '"') return 'no';
    this.#next = 'colon';
    return 'string';
  }

  #value(char: string): State {
    if (char === '{' || char === '[') {
      this.#open.push(char === '{');
      return char === '{' ? 'member' : 'item';
    }
    this.#next = 'after';
    if (char === '"') return 'string';
    return /[-\dtfn]/.test(char) ? 'scalar' : 'no';
  }

  #close(object: boolean): State {
    if (this.#open.pop() !== object) return 'no';
    return this.#open.length === 0 ? 'end' : 'after';
  }
}
