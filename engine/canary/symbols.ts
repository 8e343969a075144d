/**
 * What a character means to the canary automata. Letters and digits count, everything that can stand between them
 * does not, so that separators, Markdown marks, zero-width characters, fullwidth forms and lookalikes change nothing.
 */
import { CONFUSABLES } from '../views/confusables.ts';
import { isDefaultIgnorable } from '../views/invisible.ts';

/** Skeleton alphabet: digits, then lower-case letters. */
export const SKELETON_WIDTH = 36;
/** Base64's letters and digits, case-sensitive. `+` and `/` never occur in the base64 of letters and digits. */
export const BASE64_WIDTH = 62;

/** Stands between symbols without breaking a match. */
export const SKIP = -1;
/** A letter of another alphabet: ends every match. Skipping those would hold back whole sentences. */
export const BREAK = -2;

const SKELETON_ASCII = Int8Array.from({ length: 128 }, (_, code) => skeletonOf(code));
const BASE64_ASCII = Int8Array.from({ length: 128 }, (_, code) => base64Of(code));

function skeletonOf(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 65 && code <= 90) return code - 55;
  if (code >= 97 && code <= 122) return code - 87;
  return SKIP;
}

function base64Of(code: number): number {
  if (code >= 65 && code <= 90) return code - 65;
  if (code >= 97 && code <= 122) return code - 71;
  if (code >= 48 && code <= 57) return code + 4;
  return SKIP;
}

/** Symbol of an ASCII code in the skeleton alphabet, or SKIP. */
export function asciiSkeleton(code: number): number {
  return SKELETON_ASCII[code] as number;
}

/** Symbol of an ASCII code in the base64 alphabet, or SKIP. */
export function asciiBase64(code: number): number {
  return BASE64_ASCII[code] as number;
}

/** ASCII letters and digits that a non-ASCII character stands for, or SKIP or BREAK. */
export type Folded = string | typeof SKIP | typeof BREAK;

// Bounded by the number of code points; real traffic fills a few thousand entries.
const CACHE = new Map<number, Folded>();
const ALNUM = /^[0-9A-Za-z]+$/; // linear: one class
const LETTER = /^[\p{L}\p{N}]/u;

/** Folds a non-ASCII code point: compatibility forms and lookalikes to ASCII, marks and invisibles to nothing. */
export function foldCodePoint(codePoint: number): Folded {
  const known = CACHE.get(codePoint);
  if (known !== undefined) return known;
  const folded = compute(codePoint);
  CACHE.set(codePoint, folded);
  return folded;
}

function compute(codePoint: number): Folded {
  if (codePoint >= 0xd800 && codePoint <= 0xdfff) return SKIP;
  if (codePoint >= 0xe0020 && codePoint <= 0xe007e) {
    const hidden = String.fromCharCode(codePoint - 0xe0000); // tag characters spell ASCII (Unicode, Tags block)
    return ALNUM.test(hidden) ? hidden : SKIP;
  }
  if (isDefaultIgnorable(codePoint)) return SKIP;
  const confusable = CONFUSABLES.get(codePoint);
  if (confusable !== undefined && ALNUM.test(confusable)) return confusable;
  const char = String.fromCodePoint(codePoint);
  const plain = char.normalize('NFKD').replace(/\p{M}/gu, ''); // linear: one class
  const ascii = [...plain].map((c) => CONFUSABLES.get(c.codePointAt(0) as number) ?? c).join('');
  if (ALNUM.test(ascii)) return ascii;
  return LETTER.test(char) ? BREAK : SKIP;
}

/** A needle's text as symbols. */
export function encodeNeedle(text: string, alphabet: 'skeleton' | 'base64'): Uint8Array {
  const table = alphabet === 'skeleton' ? SKELETON_ASCII : BASE64_ASCII;
  return Uint8Array.from(text, (char) => {
    const symbol = table[char.charCodeAt(0)];
    if (symbol === undefined || symbol < 0) throw new RangeError('needle outside its alphabet');
    return symbol;
  });
}
