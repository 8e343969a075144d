/** Character tests and byte decoding that the views share. */

/** Index of the first UTF-16 unit above U+007F, or -1: the test that lets plain ASCII cost nothing. */
export function firstNonAscii(text: string): number {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return i;
  }
  return -1;
}

/** Value of an ASCII hex digit, or -1. */
export function hexValue(unit: number): number {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  const lower = unit | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Reads up to `digitsMax` hex digits at `at`: the value and the index after them. */
export function readHex(text: string, at: number, digitsMax: number): { value: number; end: number } {
  let value = 0;
  let end = at;
  while (end - at < digitsMax && end < text.length) {
    const digit = hexValue(text.charCodeAt(end));
    if (digit < 0) break;
    value = value * 16 + digit;
    end++;
  }
  return { value, end };
}

/** The character, or '' for what no text may hold: beyond Unicode, a surrogate, or NUL. */
export function charOf(codePoint: number): string {
  if (codePoint <= 0 || codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint <= 0xdfff)) return '';
  return String.fromCodePoint(codePoint);
}

export function isAsciiLetter(unit: number): boolean {
  const lower = unit | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

export function isAsciiAlnum(unit: number): boolean {
  return isAsciiLetter(unit) || (unit >= 0x30 && unit <= 0x39);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/** The text of `bytes`, or null where they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    // The decoder's only way to say that the bytes are no text; that is an ordinary answer here.
    return null;
  }
}

/** Bytes of the UTF-8 sequence that starts with `lead`, or 0 where none can. */
export function utf8Length(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

// Linear: each alternative is one character and no quantifier is applied.
const UNPRINTABLE = /[\p{C}\u{fffd}]/gu;
// Digits count: an encoded text may itself be hex or percent escapes of digits.
const LETTER = /[\p{L}\p{N}]/gu;

/** Share of `text`'s code points, 0 to 1, that a person could read; line breaks and tabs count as readable. */
export function printableShare(text: string): number {
  let codePoints = 0;
  let breaks = 0;
  for (const char of text) {
    codePoints++;
    if (char === '\n' || char === '\r' || char === '\t') breaks++;
  }
  if (codePoints === 0) return 0;
  return 1 - ((text.match(UNPRINTABLE)?.length ?? 0) - breaks) / codePoints;
}

const PRINTABLE_SHARE_MIN = 0.9;
const LETTERS_MIN = 3;

/** True where decoded text reads as writing, so a decoder may put it in place of its run. */
export function readsAsText(text: string): boolean {
  return (text.match(LETTER)?.length ?? 0) >= LETTERS_MIN && printableShare(text) >= PRINTABLE_SHARE_MIN;
}
