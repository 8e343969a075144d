/** Percent escapes as the UTF-8 they spell, and the `%uXXXX` form that old servers accept. */
import { charOf, decodeUtf8, hexValue, readHex, utf8Length } from './chars.ts';
import { type View, ViewBuilder } from './view.ts';

/** One `%20` in an address is ordinary. */
const ESCAPES_MIN = 2;

/** The byte of the escape at `at`, or -1. */
function byteAt(text: string, at: number): number {
  if (text.charCodeAt(at) !== 0x25) return -1;
  const high = hexValue(text.charCodeAt(at + 1));
  const low = hexValue(text.charCodeAt(at + 2));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

interface Escape {
  readonly text: string;
  readonly end: number;
}

/** The character that starts at `at`: one escape, or as many as its UTF-8 takes. */
function readEscape(text: string, at: number): Escape | null {
  if (text[at + 1] === 'u' || text[at + 1] === 'U') {
    const { value, end } = readHex(text, at + 2, 4);
    const char = charOf(value);
    return end === at + 6 && char !== '' ? { text: char, end } : null;
  }
  const lead = byteAt(text, at);
  const length = lead < 0 ? 0 : utf8Length(lead);
  if (length === 0 || lead === 0) return null;
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const byte = byteAt(text, at + i * 3);
    if (byte < 0) return null;
    bytes[i] = byte;
  }
  const decoded = length === 1 ? String.fromCharCode(lead) : decodeUtf8(bytes);
  return decoded === null ? null : { text: decoded, end: at + length * 3 };
}

/** Null where the view holds fewer than two escapes. */
export function decodePercent(view: View): View | null {
  const { text } = view;
  let at = text.indexOf('%');
  if (at < 0) return null;
  const builder = new ViewBuilder(view);
  let kept = 0;
  let escapes = 0;
  while (at >= 0) {
    const found = readEscape(text, at);
    if (found !== null) {
      // A character of several bytes is several escapes; `%uXXXX` stands in no ordinary address.
      escapes += found.end - at > 3 ? ESCAPES_MIN : 1;
      builder.copy(kept, at);
      builder.push(found.text, at, found.end);
      kept = found.end;
    }
    at = text.indexOf('%', found?.end ?? at + 1);
  }
  if (escapes < ESCAPES_MIN) return null;
  builder.copy(kept, text.length);
  return builder.build('percent', [...view.decodedFrom, 'percent']);
}
