/**
 * Decodes percent escapes, HTML entities and backslash escapes character by character, so that a canary spelled in
 * them is held back and found while it streams. Bounded: an escape is at most `ESCAPE_CHARS_MAX` characters.
 */

/** The longest escape that is waited for. */
export const ESCAPE_CHARS_MAX = 12;

/** A decoded character with the raw range it was written in. */
export type EmitCharacter = (codePoint: number, start: number, end: number) => void;

/** True for the characters that open an escape. */
export function opensEscape(code: number): boolean {
  return code === 0x25 || code === 0x26 || code === 0x5c;
}

const MORE = -1;
const NONE = -2;
/** Decodes to a character that matching ignores. */
const IGNORABLE = 0xad;

/** Named entities that spell an escape's own punctuation; all others only ever stand between letters. */
const NAMED: Record<string, number> = { amp: 0x26, percnt: 0x25, bsol: 0x5c, num: 0x23, semi: 0x3b };

export class InlineUnescaper {
  #pending: { code: number; start: number; end: number }[] = [];
  #text = '';
  #highSurrogate: { code: number; start: number } | null = null;
  readonly #emit: EmitCharacter;

  constructor(emit: EmitCharacter) {
    this.#emit = emit;
  }

  /** Raw offset of the earliest character that is not emitted yet, or -1. */
  get pendingStart(): number {
    return this.#highSurrogate?.start ?? this.#pending[0]?.start ?? -1;
  }

  feed(codePoint: number, start: number, end: number): void {
    if (this.#pending.length === 0 && !opensEscape(codePoint)) {
      this.#out(codePoint, start, end);
      return;
    }
    this.#pending.push({ code: codePoint, start, end });
    this.#text += String.fromCodePoint(codePoint);
    this.#settle(false);
  }

  /** Emits what is left as it stands. */
  end(): void {
    this.#settle(true);
    this.#highSurrogate = null;
  }

  #settle(final: boolean): void {
    while (this.#pending.length > 0) {
      const { codePoint, used } = readEscape(this.#text, final);
      if (codePoint === MORE) return;
      const first = this.#pending[0] as { code: number; start: number; end: number };
      if (codePoint === NONE) {
        this.#drop(1, first.code);
        this.#out(first.code, first.start, first.end);
      } else {
        const last = this.#pending[used - 1] as { end: number };
        this.#drop(used, first.code);
        this.#out(codePoint, first.start, last.end);
      }
      // What follows may be ordinary text again.
      while (this.#pending.length > 0 && !opensEscape((this.#pending[0] as { code: number }).code)) {
        const next = this.#pending[0] as { code: number; start: number; end: number };
        this.#drop(1, next.code);
        this.#out(next.code, next.start, next.end);
      }
    }
  }

  #drop(count: number, firstCode: number): void {
    this.#pending.splice(0, count);
    // Everything but the first character of an escape is ASCII, so units and characters agree from there on.
    this.#text = count === 1 ? this.#text.slice(firstCode > 0xffff ? 2 : 1) : this.#text.slice(count);
  }

  #out(codePoint: number, start: number, end: number): void {
    const high = this.#highSurrogate;
    this.#highSurrogate = null;
    if (high !== null && codePoint >= 0xdc00 && codePoint <= 0xdfff) {
      this.#emit((high.code - 0xd800) * 0x400 + (codePoint - 0xdc00) + 0x10000, high.start, end);
    } else if (codePoint >= 0xd800 && codePoint <= 0xdbff) {
      this.#highSurrogate = { code: codePoint, start };
    } else {
      this.#emit(codePoint, start, end);
    }
  }
}

interface Escape {
  /** A code point, MORE or NONE. */
  readonly codePoint: number;
  readonly used: number;
}

const WAIT: Escape = { codePoint: MORE, used: 0 };
const FAIL: Escape = { codePoint: NONE, used: 0 };

function readEscape(text: string, final: boolean): Escape {
  const wait = final ? FAIL : WAIT;
  if (text[0] === '%') return readHex(text, 1, 2, wait);
  if (text[0] === '&') return readEntity(text, wait);
  if (text.length === 1) return wait;
  const kind = text[1] as string;
  if (kind === 'x') return readHex(text, 2, 2, wait);
  if (kind === 'u' && text[2] === '{') return readBraced(text, wait);
  if (kind === 'u') return readHex(text, 2, 4, wait);
  if (kind >= '0' && kind <= '7') return readOctal(text, wait);
  if ('ntrbfv'.includes(kind)) return { codePoint: 0x20, used: 2 };
  return '"\'`\\/'.includes(kind) ? { codePoint: kind.charCodeAt(0), used: 2 } : FAIL;
}

function readHex(text: string, from: number, digits: number, wait: Escape): Escape {
  for (let i = from; i < from + digits; i++) {
    if (i >= text.length) return wait;
    if (!isHex(text.charCodeAt(i))) return FAIL;
  }
  const value = Number.parseInt(text.slice(from, from + digits), 16);
  // Bytes of a UTF-8 sequence are not letters or digits of a token.
  const codePoint = digits === 2 && value > 0x7f ? IGNORABLE : value;
  return { codePoint, used: from + digits };
}

function readOctal(text: string, wait: Escape): Escape {
  for (let i = 1; i < 4; i++) {
    if (i >= text.length) return wait;
    const code = text.charCodeAt(i);
    if (code < 0x30 || code > 0x37) return FAIL;
  }
  return { codePoint: Number.parseInt(text.slice(1, 4), 8), used: 4 };
}

function readBraced(text: string, wait: Escape): Escape {
  for (let i = 3; i < text.length; i++) {
    if (text[i] === '}') return valid(text.slice(3, i), 16, i + 1);
    if (i > 8 || !isHex(text.charCodeAt(i))) return FAIL;
  }
  return wait;
}

function readEntity(text: string, wait: Escape): Escape {
  if (text[1] !== '#') return readNamed(text, wait);
  const hex = text[2] === 'x' || text[2] === 'X';
  const from = hex ? 3 : 2;
  for (let i = from; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (hex ? isHex(code) : code >= 0x30 && code <= 0x39) {
      if (i - from >= 7) return FAIL;
      continue;
    }
    // Browsers also accept a numeric reference without its semicolon.
    return valid(text.slice(from, i), hex ? 16 : 10, text[i] === ';' ? i + 1 : i);
  }
  return wait;
}

function readNamed(text: string, wait: Escape): Escape {
  for (let i = 1; i < text.length; i++) {
    if (text[i] === ';' && i > 2) return { codePoint: NAMED[text.slice(1, i)] ?? IGNORABLE, used: i + 1 };
    const code = text.charCodeAt(i) | 0x20;
    if (i >= ESCAPE_CHARS_MAX - 1 || code < 0x61 || code > 0x7a) return FAIL;
  }
  return wait;
}

function valid(digits: string, radix: number, used: number): Escape {
  const value = Number.parseInt(digits, radix);
  return digits !== '' && value <= 0x10ffff ? { codePoint: value, used } : FAIL;
}

function isHex(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x66);
}
