/** Backslash escapes (`\uXXXX`, `\u{…}`, `\UXXXXXXXX`, `\xXX`, octal) and `U+XXXX` notation as characters. */
import { charOf, decodeUtf8, hexValue, readHex, utf8Length } from './chars.ts';
import { type View, ViewBuilder } from './view.ts';

interface Escape {
  readonly text: string;
  readonly end: number;
}

/** Octal and `U+XXXX` are read only in a row: alone they are a back reference or a name of a character. */
const RUN_MIN = 2;

const BACKSLASH = 0x5c;

function readUnicode(text: string, at: number): Escape | null {
  if (text[at + 2] === '{') {
    const { value, end } = readHex(text, at + 3, 8);
    const char = end > at + 3 && text[end] === '}' ? charOf(value) : '';
    return char === '' ? null : { text: char, end: end + 1 };
  }
  const { value, end } = readHex(text, at + 2, 4);
  if (end !== at + 6) return null;
  if (value >= 0xd800 && value <= 0xdbff && text[end] === '\\' && (text[end + 1] === 'u' || text[end + 1] === 'U')) {
    const low = readHex(text, end + 2, 4);
    if (low.end === end + 6 && low.value >= 0xdc00 && low.value <= 0xdfff) {
      return { text: String.fromCharCode(value, low.value), end: low.end };
    }
  }
  const char = charOf(value);
  return char === '' ? null : { text: char, end };
}

/** Byte of `\xXX` at `at`, or -1. */
function byteAt(text: string, at: number): number {
  if (text.charCodeAt(at) !== BACKSLASH || (text.charCodeAt(at + 1) | 0x20) !== 0x78) return -1;
  const high = hexValue(text.charCodeAt(at + 2));
  const low = hexValue(text.charCodeAt(at + 3));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/** `\xXX`: UTF-8 where the bytes in a row are, else the byte as a Latin-1 character. */
function readByte(text: string, at: number): Escape | null {
  const lead = byteAt(text, at);
  if (lead <= 0) return null;
  const length = utf8Length(lead);
  if (length > 1) {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = Math.max(0, byteAt(text, at + i * 4));
    const decoded = decodeUtf8(bytes);
    if (decoded !== null) return { text: decoded, end: at + length * 4 };
  }
  return { text: String.fromCharCode(lead), end: at + 4 };
}

/** Exactly three octal digits. */
function readOctal(text: string, at: number): Escape | null {
  let value = 0;
  for (let i = at + 1; i <= at + 3; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (!(digit >= 0 && digit <= 7)) return null;
    value = value * 8 + digit;
  }
  return value === 0 || value > 0xff ? null : { text: String.fromCharCode(value), end: at + 4 };
}

function readBackslash(text: string, at: number): Escape | null {
  const kind = text[at + 1];
  if (kind === 'u') return readUnicode(text, at);
  if (kind === 'x' || kind === 'X') return readByte(text, at);
  if (kind !== 'U') return null;
  const { value, end } = readHex(text, at + 2, 8);
  if (end !== at + 10) return readUnicode(text, at);
  const char = charOf(value);
  return char === '' ? null : { text: char, end };
}

/** `U+0041`, four to six digits. */
function readNotation(text: string, at: number): Escape | null {
  if (text[at + 1] !== '+' || (text.charCodeAt(at) | 0x20) !== 0x75) return null;
  const { value, end } = readHex(text, at + 2, 6);
  const char = end >= at + 6 ? charOf(value) : '';
  return char === '' ? null : { text: char, end };
}

/** Blanks and a comma between two `U+XXXX`, at most two units. */
function skipSeparator(text: string, at: number): number {
  let end = at;
  while (end < at + 2 && (text[end] === ' ' || text[end] === ',')) end++;
  return end;
}

interface Piece {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** A row of escapes read by `read`, or none where it is shorter than two. */
function readRow(
  text: string,
  at: number,
  read: (text: string, at: number) => Escape | null,
  skip: (text: string, at: number) => number,
): Piece[] {
  const pieces: Piece[] = [];
  for (let start = at; ; ) {
    const found = read(text, start);
    if (found === null) break;
    pieces.push({ text: found.text, start, end: found.end });
    start = skip(text, found.end);
  }
  return pieces.length >= RUN_MIN ? pieces : [];
}

const stay = (_text: string, at: number): number => at;

function readAt(text: string, at: number): Piece[] {
  if (text.charCodeAt(at) !== BACKSLASH) return readRow(text, at, readNotation, skipSeparator);
  const found = readBackslash(text, at);
  if (found !== null) return [{ text: found.text, start: at, end: found.end }];
  return readRow(text, at, readOctal, stay);
}

/** First `\`, `U+` or `u+` from `from`, or -1. */
function nextTrigger(text: string, from: number, notation: boolean): number {
  if (!notation) return text.indexOf('\\', from);
  for (let i = from; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === BACKSLASH || ((unit | 0x20) === 0x75 && text.charCodeAt(i + 1) === 0x2b)) return i;
  }
  return -1;
}

/** Null where the view holds no escape. */
export function decodeEscapes(view: View): View | null {
  const { text } = view;
  const notation = text.includes('U+') || text.includes('u+');
  let at = nextTrigger(text, 0, notation);
  let builder: ViewBuilder | null = null;
  let kept = 0;
  while (at >= 0) {
    let end = at + 1;
    for (const piece of readAt(text, at)) {
      builder ??= new ViewBuilder(view);
      // Separators within a row are part of it.
      if (end === at + 1) builder.copy(kept, piece.start);
      builder.push(piece.text, piece.start, piece.end);
      kept = piece.end;
      end = piece.end;
    }
    at = nextTrigger(text, end, notation);
  }
  if (builder === null) return null;
  builder.copy(kept, text.length);
  return builder.build('escapes', [...view.decodedFrom, 'escapes']);
}
