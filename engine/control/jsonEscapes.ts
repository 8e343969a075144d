/**
 * Control tokens in text that stands in JSON strings, such as the arguments of a tool call: encoders may write any
 * character as an escape, and Go's writes `<` and `>` so by default. Reads the text behind the escapes and says where
 * in the raw text each hit stands. Text that is no JSON is read alike: no escape holds a character of a token.
 *
 * Known gap: a JSON text within a JSON string has its escapes escaped once more, and is read one level deep.
 */
import { escapeControlToken } from './escape.ts';
import type { ControlHit, ControlStream } from './matcher.ts';

/** The longest escape, `\u003c`: the raw text is at most so many times as long as what it means. */
export const JSON_ESCAPE_CHARS_MAX = 6;

const SHORT: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

interface Escape {
  readonly char: string;
  readonly length: number;
}

/** The escape whose backslash is at `at`: `more` when the text ends in it, null when it is none. */
function readEscape(text: string, at: number): Escape | 'more' | null {
  const kind = text[at + 1];
  if (kind === undefined) return 'more';
  if (kind !== 'u') {
    const char = SHORT[kind];
    return char === undefined ? null : { char, length: 2 };
  }
  const digits = text.slice(at + 2, at + JSON_ESCAPE_CHARS_MAX);
  // Linear: anchored, one class.
  if (!/^[\da-f]*$/i.test(digits)) return null;
  if (digits.length < 4) return 'more';
  return { char: String.fromCharCode(Number.parseInt(digits, 16)), length: JSON_ESCAPE_CHARS_MAX };
}

interface Unescaped {
  readonly text: string;
  /** Raw units that are part of no complete escape yet. */
  readonly rest: string;
}

/** A code unit each, so the halves of a pair meet as they would unescaped. What is no escape stays as it stands. */
function readText(raw: string, onEscape: (at: number, length: number) => void): Unescaped {
  let text = '';
  let kept = 0;
  for (let at = raw.indexOf('\\'); at !== -1; at = raw.indexOf('\\', at)) {
    const read = readEscape(raw, at);
    if (read === 'more') return { text: text + raw.slice(kept, at), rest: raw.slice(at) };
    if (read === null) {
      at++;
      continue;
    }
    text += raw.slice(kept, at);
    onEscape(text.length, read.length);
    text += read.char;
    at += read.length;
    kept = at;
  }
  return { text: text + raw.slice(kept), rest: '' };
}

/** `escapeControlToken` for a raw range of a JSON string; the result may stand in one. */
export function escapeJsonToken(raw: string): string {
  if (!raw.includes('\\')) return escapeControlToken(raw);
  const { text, rest } = readText(raw, () => {});
  return JSON.stringify(escapeControlToken(text + rest)).slice(1, -1);
}

/** What an escape at this place adds to every later offset. */
interface Shift {
  /** Offset in what the text means. */
  readonly at: number;
  /** Raw units more than meant ones, up to and with this escape. */
  readonly total: number;
}

export class JsonEscapedStream implements ControlStream {
  readonly #inner: ControlStream;
  /** The beginning of an escape. */
  #rest = '';
  /** Meant units that were read. */
  #length = 0;
  /** Those that offsets still to be told may lie behind, in order. */
  #shifts: Shift[] = [];
  /** The shift before the first of them. */
  #before = 0;
  #hits: ControlHit[] = [];

  constructor(inner: ControlStream) {
    this.#inner = inner;
  }

  get safeEnd(): number {
    return this.#rawOffset(this.#inner.safeEnd);
  }

  takeHits(): ControlHit[] {
    if (this.#hits.length === 0) return [];
    const hits = this.#hits;
    this.#hits = [];
    return hits;
  }

  push(raw: string): void {
    let text = raw;
    if (this.#rest !== '' || raw.includes('\\')) {
      let total = this.#shifts[this.#shifts.length - 1]?.total ?? this.#before;
      const read = readText(this.#rest + raw, (at, length) => {
        total += length - 1;
        this.#shifts.push({ at: this.#length + at, total });
      });
      text = read.text;
      this.#rest = read.rest;
    }
    this.#length += text.length;
    this.#inner.push(text);
    this.#locate();
  }

  flush(): void {
    this.#inner.flush();
    this.#locate();
  }

  end(): void {
    this.#inner.push(this.#rest);
    this.#rest = '';
    this.#inner.end();
    this.#locate();
  }

  /** Takes the hits and forgets the escapes before all that is still open. Linear: hits come in order. */
  #locate(): void {
    for (const hit of this.#inner.takeHits()) {
      this.#hits.push({ ...hit, start: this.#rawOffset(hit.start), end: this.#rawOffset(hit.end) });
    }
    const open = this.#behind(this.#inner.safeEnd);
    if (open === 0) return;
    this.#before = (this.#shifts[open - 1] as Shift).total;
    this.#shifts = this.#shifts.slice(open);
  }

  #rawOffset(offset: number): number {
    const index = this.#behind(offset);
    return offset + (index === 0 ? this.#before : (this.#shifts[index - 1] as Shift).total);
  }

  /** How many escapes stand before a meant offset. */
  #behind(offset: number): number {
    let low = 0;
    let high = this.#shifts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#shifts[middle] as Shift).at < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
