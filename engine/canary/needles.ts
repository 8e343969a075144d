/**
 * What a leaked canary may look like: the token itself under every transform that we look for.
 * Transforming the needle, not the haystack, finds a token inside larger or cut encoded bodies that cannot be decoded.
 */

export type NeedleAlphabet = 'skeleton' | 'base64';

export type CanaryEncoding = 'plain' | 'reversed' | 'rot13' | 'hex' | 'base64' | 'base64x2';

export interface Needle {
  readonly tokenIndex: number;
  readonly encoding: CanaryEncoding;
  /** In the alphabet's own letters: lower-case letters and digits, or base64's letters and digits. */
  readonly text: string;
  /** So many consecutive characters of `text` are a hit. */
  readonly window: number;
}

/**
 * Windows follow information, not characters (measured on 9 million characters of documents, code and hashes:
 * no false window): 10 characters of a hex token are 40 bits, its hex form needs 20, its base64 14, twice 19.
 */
export const CANARY_WINDOW_CHARS = 10;
const HEX_WINDOW_CHARS = 20;
const BASE64_WINDOW_CHARS = 14;
const BASE64X2_WINDOW_CHARS = 19;
/** The part of a token made of words that must be seen in a row: a shared word is no leak. */
const WORDY_WINDOW_SHARE = 0.6;

/** The longest text that can be held back as a possible window of a derived token, in folded characters. */
export const CANARY_HOLD_CHARS_MAX = HEX_WINDOW_CHARS * 2 - 1;

/** A token with fewer letters and digits than this cannot be told from ordinary text. */
export const CANARY_SKELETON_CHARS_MIN = 4;

/** Lower-case letters and digits of a token: what comparison sees of it. */
export function tokenSkeleton(token: string): string {
  return token
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^a-z0-9]/g, ''); // linear: one class
}

/**
 * All needles of one token. `basic` leaves out the forms that need two transforms at once; it is for tokens of other
 * requests, which are many.
 */
export function needlesOf(
  token: string,
  tokenIndex: number,
  depth: 'full' | 'basic',
): { skeleton: Needle[]; base64: Needle[] } {
  const plain = tokenSkeleton(token);
  const skeleton: Needle[] = [];
  const base64: Needle[] = [];
  const share = isRandom(plain) ? 0 : WORDY_WINDOW_SHARE;
  const scale = (window: number, full: number): number => Math.min(full, Math.max(window, Math.ceil(full * share)));
  const add = (encoding: CanaryEncoding, text: string, window: number): void => {
    if (text.length >= CANARY_SKELETON_CHARS_MIN) {
      skeleton.push({ tokenIndex, encoding, text, window: scale(window, text.length) });
    }
  };
  const addBase64 = (encoding: CanaryEncoding, text: string, window: number): void => {
    if (text.length >= CANARY_SKELETON_CHARS_MIN) {
      base64.push({ tokenIndex, encoding, text, window: scale(window, text.length) });
    }
  };

  const spellings = depth === 'full' ? unique([token, token.toLowerCase(), token.toUpperCase()]) : [token];
  add('plain', plain, CANARY_WINDOW_CHARS);
  add('reversed', reverse(plain), CANARY_WINDOW_CHARS);
  add('rot13', rot13(plain), CANARY_WINDOW_CHARS);
  for (const spelling of spellings) {
    const hex = Buffer.from(spelling, 'utf8').toString('hex');
    add('hex', hex, HEX_WINDOW_CHARS);
    if (depth === 'full') add('hex', hex.replace(/../g, '0x$&'), HEX_WINDOW_CHARS * 2);
    for (const core of base64Cores(spelling)) addBase64('base64', core, BASE64_WINDOW_CHARS);
  }
  if (depth === 'full') {
    for (const core of base64Cores(reverse(token))) addBase64('base64', core, BASE64_WINDOW_CHARS);
    for (const core of base64Cores(token)) {
      for (const twice of base64Cores(core)) addBase64('base64x2', twice, BASE64X2_WINDOW_CHARS);
    }
  }
  return { skeleton: uniqueNeedles(skeleton), base64: uniqueNeedles(base64) };
}

/**
 * The characters of a base64 text that depend on `text` alone, for the three ways it can fall on 3-byte groups:
 * found inside any larger body whatever stands around it (RFC 4648 section 4).
 */
function base64Cores(text: string): string[] {
  const bytes = Buffer.from(text, 'utf8');
  return [0, 1, 2].map((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
    const from = Math.ceil((shift * 8) / 6);
    const to = Math.floor(((shift + bytes.length) * 8) / 6);
    return encoded.slice(from, to).replace(/[^A-Za-z0-9]/g, '');
  });
}

/** Hex and other dense tokens carry digits all over; tokens made of words do not. */
function isRandom(skeleton: string): boolean {
  const digits = skeleton.replace(/[^0-9]/g, '').length;
  return digits * 5 >= skeleton.length;
}

function reverse(text: string): string {
  return [...text].reverse().join('');
}

function rot13(text: string): string {
  return text.replace(/[a-z]/g, (c) => String.fromCharCode(((c.charCodeAt(0) - 97 + 13) % 26) + 97));
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}

function uniqueNeedles(needles: readonly Needle[]): Needle[] {
  const seen = new Set<string>();
  return needles.filter((needle) => !seen.has(needle.text) && seen.add(needle.text));
}
