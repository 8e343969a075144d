/** Takes canaries and what looks like a secret out of anything that quotes a text. */

export const MASKED = '[masked]';

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Linear: one class. Keys, hashes and encoded bodies; prose has no such word. */
const TOKEN_LIKE = /[A-Za-z0-9_+/=-]{20,}/g;
/** Text around a quotation that is looked at, so that half a secret is masked too. */
const MARGIN_CHARS = 512;

/** Quotes a range of a text: known values and token-like runs masked, at most `charsMax` characters. */
export function quote(text: string, range: Range, known: readonly string[], charsMax: number): string {
  const from = Math.max(0, range.start - MARGIN_CHARS);
  // What is cut off anyway need not be looked at.
  const end = Math.min(range.end, range.start + charsMax * 2);
  const window = text.slice(from, end + MARGIN_CHARS);
  const masks = [...maskedRanges(window, known)].sort((a, b) => a.start - b.start);
  let result = '';
  let at = range.start - from;
  for (const mask of masks) {
    if (mask.end <= at || mask.start >= end - from) continue;
    result += window.slice(at, Math.max(at, mask.start)) + MASKED;
    at = mask.end;
  }
  if (at < end - from) result += window.slice(at, end - from);
  return cut(result, charsMax);
}

/** The whole text, masked. */
export function mask(text: string, known: readonly string[]): string {
  return quote(text, { start: 0, end: text.length }, known, text.length);
}

/** A JSON pointer whose keys are masked one by one, since as a whole it looks like a token itself. */
export function maskPointer(pointer: string, known: readonly string[]): string {
  return pointer
    .split('/')
    .map((key) => mask(key, known))
    .join('/');
}

function maskedRanges(text: string, known: readonly string[]): Range[] {
  const ranges: Range[] = [];
  const lower = text.toLowerCase();
  for (const value of known) {
    const needle = value.toLowerCase();
    // Lower case of a few letters is longer; then offsets would be wrong, and the exact form has to do.
    const [haystack, wanted] = lower.length === text.length ? [lower, needle] : [text, value];
    for (let at = haystack.indexOf(wanted); at !== -1; at = haystack.indexOf(wanted, at + wanted.length)) {
      ranges.push({ start: at, end: at + wanted.length });
    }
  }
  for (const match of text.matchAll(TOKEN_LIKE)) {
    if (/\d/.test(match[0]) && /[A-Za-z]/.test(match[0])) {
      ranges.push({ start: match.index, end: match.index + match[0].length });
    }
  }
  return ranges;
}

/** At most so many characters, no surrogate pair torn. */
function cut(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  const last = text.charCodeAt(charsMax - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? charsMax - 1 : charsMax);
}
