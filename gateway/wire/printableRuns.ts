/** The texts that stand among other bytes, as they are found without knowing what the file is. */

/** Shorter ones are in any data; of random bytes one in some thousands begins one this long. */
const RUN_CHARS_MIN = 8;
/** Shorter ones need a word in them, or the signs that random bytes are rich in would be taken for markup. */
const SURE_CHARS = 16;
const WORD = /[a-z]{4}|[A-Z]{4}|[^\0-\x7f]{4}/;
/** Ideographs and syllables take up half of all codes: so many, and a mark or blank as sentences have. */
const WIDE_RUN_CHARS_MIN = 16;

export interface RunOptions {
  /** Of all runs together, in UTF-8; the rest is left out. */
  readonly bytesMax: number;
  /** Characters of one byte or of UTF-8; a longer run than usual is not looked for in wider characters. */
  readonly charsMin?: number;
}

/** Runs of UTF-8, UTF-16 and UTF-32, a line each; empty when there are none. One pass over the bytes per encoding. */
export function printableRuns(bytes: Buffer, { bytesMax, charsMin = RUN_CHARS_MIN }: RunOptions): string {
  const runs = new Runs(bytesMax);
  narrowRuns(bytes, charsMin, runs);
  if (charsMin === RUN_CHARS_MIN) addWide(bytes, runs);
  return runs.text;
}

/** Only the runs whose characters are of two or four bytes. */
export function wideRuns(bytes: Buffer, bytesMax: number): string {
  const runs = new Runs(bytesMax);
  addWide(bytes, runs);
  return runs.text;
}

/** The start of a text that is so long in UTF-8. */
export function cutToBytes(text: string, bytesMax: number): string {
  // A UTF-16 unit is at most three bytes of UTF-8.
  if (text.length * 3 <= bytesMax) return text;
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= bytesMax) return text;
  let end = bytesMax;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

const NO_LETTER = 0;
const PLAIN = 1;
const ALPHABET = 2;
const IDEOGRAPH = 3;
/** Most of the scripts in use, and what stands between their words. A table, since every byte is looked at many times. */
const KINDS = Uint8Array.from({ length: 0x10000 }, (_, code) => {
  if (code < 0x80) return isPlain(code) ? PLAIN : NO_LETTER;
  if ((code >= 0xa0 && code < 0x700) || (code >= 0x900 && code < 0x2070)) return ALPHABET;
  const isIdeograph =
    (code >= 0x3000 && code < 0x3100) ||
    (code >= 0x4e00 && code < 0xa000) ||
    (code >= 0xac00 && code < 0xd7a4) ||
    (code >= 0xff00 && code < 0xff60);
  return isIdeograph ? IDEOGRAPH : NO_LETTER;
});

class Runs {
  readonly #found: string[] = [];
  #bytesLeft: number;

  constructor(bytesMax: number) {
    this.#bytesLeft = bytesMax;
  }

  get full(): boolean {
    return this.#bytesLeft <= 0;
  }

  get text(): string {
    return this.#found.join('\n');
  }

  add(run: string): void {
    const text = cutToBytes(run, Math.max(0, this.#bytesLeft));
    this.#bytesLeft -= Buffer.byteLength(text, 'utf8') + 1;
    if (text !== '') this.#found.push(text);
  }
}

function narrowRuns(bytes: Buffer, charsMin: number, runs: Runs): void {
  let start = 0;
  let chars = 0;
  let at = 0;
  while (at <= bytes.length && !runs.full) {
    const length = at < bytes.length ? charLength(bytes, at) : 0;
    if (length > 0) {
      chars++;
      at += length;
      continue;
    }
    if (chars >= charsMin) {
      const run = bytes.toString('utf8', start, at);
      if (chars >= SURE_CHARS || WORD.test(run)) runs.add(run);
    }
    chars = 0;
    start = ++at;
  }
}

/** Bytes of the printable character there; 0 where none is. */
function charLength(bytes: Buffer, at: number): number {
  const byte = bytes[at] as number;
  if (byte < 0x80) return isPlain(byte) ? 1 : 0;
  const length =
    byte >= 0xc2 && byte < 0xe0 ? 2 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xf0 && byte < 0xf5 ? 4 : 0;
  for (let more = 1; more < length; more++) if (((bytes[at + more] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}

/** Tab, line feed, carriage return and what a keyboard has. */
function isPlain(code: number): boolean {
  return (code >= 0x20 && code < 0x7f) || code === 0x09 || code === 0x0a || code === 0x0d;
}

function addWide(bytes: Buffer, runs: Runs): void {
  // What stands in front of a text may have any length.
  for (const width of hasNulPairs(bytes) ? [2, 4] : [2]) {
    for (let offset = 0; offset < width; offset++) {
      unitRuns(bytes, { width, offset, bigEndian: false }, runs);
      unitRuns(bytes, { width, offset, bigEndian: true }, runs);
    }
  }
}

const NUL_PAIR = Buffer.alloc(2);

/** Whether there is room for a run of four bytes per character: two of them are NUL in any script in use. */
function hasNulPairs(bytes: Buffer): boolean {
  let row = 0;
  let last = 0;
  for (let at = bytes.indexOf(NUL_PAIR); at !== -1; at = bytes.indexOf(NUL_PAIR, at + 2)) {
    row = at - last <= 4 ? row + 1 : 1;
    if (row >= RUN_CHARS_MIN) return true;
    last = at;
  }
  return false;
}

interface Units {
  readonly width: number;
  readonly offset: number;
  readonly bigEndian: boolean;
}

/**
 * Samples of sound and of pictures have long runs of wide characters, so they have to look like a language: plain
 * letters, letters of one alphabet, or the marks between sentences.
 */
function unitRuns(bytes: Buffer, { width, offset, bigEndian }: Units, runs: Runs): void {
  const low = bigEndian ? width - 1 : 0;
  const high = bigEndian ? width - 2 : 1;
  const [top, next] = bigEndian ? [0, 1] : [3, 2];
  let codes = 0;
  let letters = 0;
  let ideographs = 0;
  let marks = 0;
  let block = -1;
  const end = bytes.length - width + 1;
  for (let at = offset; at < end + width && !runs.full; at += width) {
    const isWide = at < end && (width === 2 || (bytes[at + top] === 0 && bytes[at + next] === 0));
    const code = isWide ? ((bytes[at + high] as number) << 8) | (bytes[at + low] as number) : 0;
    const kind = KINDS[code] as number;
    if (kind !== NO_LETTER) {
      codes++;
      if (kind === PLAIN) letters++;
      else if (kind === IDEOGRAPH) ideographs++;
      else {
        if (code >> 7 === block) letters++;
        block = code >> 7;
      }
      if (code === 0x20 || code === 0x0a || code === 0x3001 || code === 0x3002 || code === 0xff0c) marks++;
      continue;
    }
    if (codes < RUN_CHARS_MIN) {
      codes = letters = ideographs = marks = 0;
      block = -1;
      continue;
    }
    if (letters >= RUN_CHARS_MIN || (ideographs >= WIDE_RUN_CHARS_MIN && marks > 0)) {
      runs.add(unitsText(bytes, { from: at - codes * width, to: at, width, low, high }));
    }
    codes = letters = ideographs = marks = 0;
    block = -1;
  }
}

interface UnitRange {
  readonly from: number;
  readonly to: number;
  readonly width: number;
  readonly low: number;
  readonly high: number;
}

function unitsText(bytes: Buffer, { from, to, width, low, high }: UnitRange): string {
  const units = Buffer.allocUnsafe(((to - from) / width) * 2);
  let length = 0;
  for (let at = from; at < to; at += width) {
    units[length++] = bytes[at + low] as number;
    units[length++] = bytes[at + high] as number;
  }
  return units.toString('utf16le');
}
