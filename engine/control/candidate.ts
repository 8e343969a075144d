/**
 * One possible control token, from its opening bracket on, fed one folded character at a time. Four
 * recognisers run side by side: literals with a bar (blanks may stand inside), other literals, tool tags
 * by local name, and the shapes that unknown names may have. The longest match wins.
 */
import { advance, type Entry, goesOn, type TrieNode } from './trie.ts';

/** A longer candidate is no token: 64 name characters, brackets, bars and blanks. Folded characters. */
export const CONTROL_HOLD_CHARS_MAX = 128;

const NAME_CHARS_MAX = 64;

export interface Literals {
  /** Literals that hold a bar. */
  readonly bar: TrieNode;
  readonly plain: TrieNode;
  /** Local names of tool tags, with the entries of the opening and the closing tag. */
  readonly tags: ReadonlyMap<string, { readonly open: Entry; readonly close: Entry }>;
}

export interface Match {
  /** Folded characters that belong to the token, from the opener on. */
  readonly length: number;
  readonly entry: Entry;
}

/** Where the recogniser of shapes stands; a string, so that a trace of it can be read. */
type Shape =
  | 'dead'
  | 'angle'
  | 'bar'
  | 'bar-name'
  | 'inner-bar'
  | 'half-name'
  | 'half-bar'
  | 'square'
  | 'square-bar'
  | 'square-name'
  | 'square-end'
  | 'fim'
  | 'fim-end';

const FIM = '<[fim-';

// Linear: tested on one character.
const WIDE_NAME = /^[\p{L}\p{N}\p{M}]$/u;

function isWord(char: string): boolean {
  if (char.length === 1 && char < '\u0080') {
    return (char >= 'a' && char <= 'z') || (char >= '0' && char <= '9') || char === '_';
  }
  return WIDE_NAME.test(char);
}

function isName(char: string): boolean {
  return isWord(char) || char === '.' || char === '/' || char === '-';
}

export class Candidate {
  best: Match | null = null;
  readonly #literals: Literals;
  #text = '';
  #length = 0;
  #bar: TrieNode | null;
  #plain: TrieNode | null;
  #shape: Shape;
  #nameLength = 0;
  /** Local name read so far; null once the text is no tag. */
  #tag: string | null;
  #closing = false;

  constructor(literals: Literals, opener: string) {
    this.#literals = literals;
    this.#bar = literals.bar;
    this.#plain = literals.plain;
    this.#shape = opener === '<' ? 'angle' : opener === '[' ? 'square' : 'dead';
    this.#tag = opener === '<' ? '' : null;
    this.#advanceLiterals(opener);
    this.#text = opener;
    this.#length = 1;
  }

  /** Takes the next folded character; false when no token can start at the opener beyond `best`. */
  feed(char: string): boolean {
    if (++this.#length > CONTROL_HOLD_CHARS_MAX) return false;
    if (char === ' ' || char === '\t') {
      // Only known names may be written with blanks: `x <| f |> g` is code.
      this.#plain = null;
      this.#shape = 'dead';
      this.#endTag(char);
      return this.#bar !== null;
    }
    this.#text += char;
    this.#stepShape(char);
    this.#stepTag(char);
    // After the shapes, so that a known name takes the place of a shape of the same length.
    this.#advanceLiterals(char);
    return this.#bar !== null || this.#plain !== null || this.#shape !== 'dead' || this.#tag !== null;
  }

  /** The text ends here: a tag name needs no more delimiter. */
  end(): void {
    this.#length++;
    this.#endTag(' ');
  }

  #advanceLiterals(char: string): void {
    this.#bar = this.#bar === null ? null : this.#reach(advance(this.#bar, char));
    this.#plain = this.#plain === null ? null : this.#reach(advance(this.#plain, char));
  }

  #reach(node: TrieNode | null): TrieNode | null {
    if (node === null) return null;
    if (node.entry !== null) this.best = { length: Math.max(1, this.#length), entry: node.entry };
    return goesOn(node) ? node : null;
  }

  #stepTag(char: string): void {
    if (this.#tag === null) return;
    if (isWord(char) || char === '-' || char === '.') {
      this.#tag += char;
      if (this.#tag.length > NAME_CHARS_MAX) this.#tag = null;
    } else if (char === ':' && this.#tag !== '') {
      this.#tag = '';
    } else if (char === '/' && this.#length === 2) {
      this.#closing = true;
    } else {
      this.#endTag(char);
    }
  }

  /** The name is over; `>` belongs to the token, any other delimiter does not. */
  #endTag(delimiter: string): void {
    const tag = this.#tag === null ? undefined : this.#literals.tags.get(this.#tag);
    this.#tag = null;
    if (tag === undefined || !' \t\n\r/=>'.includes(delimiter)) return;
    const entry = this.#closing ? tag.close : tag.open;
    this.best = { length: delimiter === '>' ? this.#length : this.#length - 1, entry };
  }

  #stepShape(char: string): void {
    switch (this.#shape) {
      case 'dead':
        return;
      case 'angle':
        if (char === '|') this.#shape = 'bar';
        else if (char === '[') this.#shape = 'fim';
        else this.#name(char !== '/' && isName(char), 'half-name');
        return;
      case 'bar':
        this.#name(isName(char), 'bar-name');
        return;
      case 'bar-name':
        if (char === '|') this.#shape = 'inner-bar';
        else if (char === '>') this.#complete('a');
        else this.#name(isName(char), 'bar-name');
        return;
      case 'inner-bar':
        if (char === '>') this.#complete('a');
        else this.#name(isName(char), 'bar-name');
        return;
      case 'half-name':
        if (char === '|') this.#shape = 'half-bar';
        else this.#name(char !== '/' && isName(char), 'half-name');
        return;
      case 'half-bar':
        if (char === '>') this.#complete('a');
        else this.#shape = 'dead';
        return;
      case 'square':
        this.#shape = char === '|' ? 'square-bar' : 'dead';
        return;
      case 'square-bar':
        this.#name(isName(char), 'square-name');
        return;
      case 'square-name':
        if (char === '|') this.#shape = 'square-end';
        else this.#name(isName(char), 'square-name');
        return;
      case 'square-end':
        // Also an F# array of one name, so an unknown one is ambiguous.
        if (char === ']') this.#complete('b');
        else this.#shape = 'dead';
        return;
      case 'fim':
        if (char === ']' && this.#length > FIM.length + 1) this.#shape = 'fim-end';
        else if (this.#length <= FIM.length) this.#shape = char === FIM[this.#length - 1] ? 'fim' : 'dead';
        else this.#name(isName(char), 'fim');
        return;
      case 'fim-end':
        if (char === '>') this.#complete('a');
        else this.#shape = 'dead';
        return;
      default:
        this.#shape satisfies never;
    }
  }

  #name(isPart: boolean, next: Shape): void {
    this.#shape = isPart && ++this.#nameLength <= NAME_CHARS_MAX ? next : 'dead';
  }

  #complete(tier: 'a' | 'b'): void {
    this.best = { length: this.#length, entry: { tier, family: 'shape', name: this.#text } };
    this.#shape = 'dead';
  }
}
