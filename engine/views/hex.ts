/** Runs of hex bytes, with or without separators, as the text they spell. */
import { decodeUtf8, hexValue, readsAsText } from './chars.ts';
import { HEX_DIGITS_MIN } from './survey.ts';
import { type View, ViewBuilder } from './view.ts';

/** Index after what may part two bytes: one of `:`, `-`, `,`, `;`, blanks, and a `0x` or `\x`. At most five units. */
function skipSeparator(text: string, at: number): number {
  let end = at;
  const unit = text[end];
  if (unit === ':' || unit === '-' || unit === ',' || unit === ';') end++;
  while (end - at < 3 && (text[end] === ' ' || text[end] === '\n' || text[end] === '\r')) end++;
  if ((text[end] === '0' || text[end] === '\\') && (text.charCodeAt(end + 1) | 0x20) === 0x78) end += 2;
  return end;
}

/** Digits in a row, with no separator. */
interface Chunk {
  readonly start: number;
  readonly end: number;
}

/** Units of a `0x` at `at` that opens a run. */
function prefixLength(text: string, at: number): number {
  const isPrefix = text.charCodeAt(at) === 0x30 && (text.charCodeAt(at + 1) | 0x20) === 0x78;
  return isPrefix && hexValue(text.charCodeAt(at + 2)) >= 0 ? 2 : 0;
}

/** The start of a run with the `0x` or `\x` that may stand before it. */
function withPrefix(text: string, start: number): number {
  const isPrefix =
    (text.charCodeAt(start - 1) | 0x20) === 0x78 && (text[start - 2] === '0' || text[start - 2] === '\\');
  return isPrefix ? start - 2 : start;
}

/** End of the run that `readRun` would read, found without making anything: most runs are two letters of a word. */
function runEnd(text: string, at: number): number {
  let end = at;
  for (let start = at; ; ) {
    while (start < text.length && hexValue(text.charCodeAt(start)) >= 0) start++;
    if (start === end) return end;
    end = start;
    start = skipSeparator(text, end);
    if (start === end || start >= text.length || hexValue(text.charCodeAt(start)) < 0) return end;
    end = start;
  }
}

/** Chunks of digits from `at` that separators of at most five units join. */
function readRun(text: string, at: number): Chunk[] {
  const chunks: Chunk[] = [];
  for (let start = at; ; ) {
    let end = start;
    while (end < text.length && hexValue(text.charCodeAt(end)) >= 0) end++;
    if (end === start) return chunks;
    chunks.push({ start, end });
    const next = skipSeparator(text, end);
    if (next === end) return chunks;
    start = next;
  }
}

function decode(digits: string): string | null {
  if (digits.length < HEX_DIGITS_MIN || digits.length % 2 !== 0) return null;
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = hexValue(digits.charCodeAt(i * 2)) * 16 + hexValue(digits.charCodeAt(i * 2 + 1));
  }
  const text = decodeUtf8(bytes);
  return text !== null && readsAsText(text) ? text : null;
}

interface Decoded extends Chunk {
  readonly text: string;
}

/** What a chunk says alone; an odd digit is dropped at either end. */
function decodeChunk(text: string, { start, end }: Chunk): Decoded | null {
  if (end - start < HEX_DIGITS_MIN) return null;
  const odd = (end - start) % 2;
  const head = decode(text.slice(start, end - odd));
  if (head !== null) return { start, end: end - odd, text: head };
  const tail = odd === 1 ? decode(text.slice(start + 1, end)) : null;
  return tail === null ? null : { start: start + 1, end, text: tail };
}

/** The chunks of a run from `from` to `to` read as one; null where they are not text. */
function decodeJoined(text: string, chunks: readonly Chunk[], from: number): Decoded | null {
  const digits: string[] = [];
  for (let i = from; i < chunks.length; i++) {
    const { start, end } = chunks[i] as Chunk;
    // An odd chunk is no row of bytes: `0x1 0x22`. A single `0` before `x` was the prefix.
    if ((end - start) % 2 !== 0) return null;
    digits.push(text.slice(start, end));
  }
  const decoded = decode(digits.join(''));
  if (decoded === null) return null;
  return { start: (chunks[from] as Chunk).start, end: (chunks.at(-1) as Chunk).end, text: decoded };
}

/** As one run, without a first chunk that may be a word (`be 69 67…`), else chunk by chunk. */
function decodeRun(text: string, chunks: readonly Chunk[]): Decoded[] {
  if (chunks.length > 1) {
    const joined = decodeJoined(text, chunks, 0) ?? decodeJoined(text, chunks, 1);
    if (joined !== null) return [joined];
  }
  return chunks.map((chunk) => decodeChunk(text, chunk)).filter((decoded) => decoded !== null);
}

/** Null where no run reads as text. Linear: every unit is read a fixed number of times. */
export function decodeHex(view: View): View | null {
  const { text } = view;
  let builder: ViewBuilder | null = null;
  let kept = 0;
  for (let i = 0; i < text.length; ) {
    if (hexValue(text.charCodeAt(i)) < 0) {
      i++;
      continue;
    }
    const prefix = prefixLength(text, i);
    const end = runEnd(text, i + prefix);
    if (end - i >= HEX_DIGITS_MIN) {
      const chunks = readRun(text, i + prefix);
      for (const decoded of decodeRun(text, chunks)) {
        const start = withPrefix(text, decoded.start);
        builder ??= new ViewBuilder(view);
        builder.copy(kept, start);
        builder.push(decoded.text, start, decoded.end);
        kept = decoded.end;
      }
    }
    i = end;
  }
  if (builder === null) return null;
  builder.copy(kept, text.length);
  return builder.build('hex', [...view.decodedFrom, 'hex']);
}
