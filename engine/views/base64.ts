/**
 * Runs of base64 (standard or URL-safe, padded or not, wrapped or not) as the text they spell.
 * A word or a path is such a run too; what it decodes to is not text, so it stays.
 */
import { decodeUtf8, readsAsText, utf8Length } from './chars.ts';
import { BASE64_CHARS_MIN } from './survey.ts';
import { type View, ViewBuilder } from './view.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** Sextet by ASCII code; 255 for what is not base64. */
const SEXTETS = new Uint8Array(128).fill(255);
for (let i = 0; i < 64; i++) SEXTETS[ALPHABET.charCodeAt(i)] = i;
SEXTETS[0x2d] = 62;
SEXTETS[0x5f] = 63;

function sextet(unit: number): number {
  return unit < 128 ? (SEXTETS[unit] as number) : 255;
}

interface Chunk {
  readonly start: number;
  /** After the last character that is not padding. */
  readonly end: number;
  /** After padding. */
  readonly padEnd: number;
}

function readChunk(text: string, at: number): Chunk {
  let end = at;
  while (end < text.length && sextet(text.charCodeAt(end)) !== 255) end++;
  let padEnd = end;
  while (padEnd - end < 2 && text[padEnd] === '=') padEnd++;
  return { start: at, end, padEnd };
}

/** Index of the next line's first character where a wrapped run may go on, or -1. */
function nextLine(text: string, at: number): number {
  let next = at;
  if (text[next] === '\r') next++;
  if (text[next] !== '\n') return -1;
  next++;
  while (next - at < 10 && (text[next] === ' ' || text[next] === '\t')) next++;
  return sextet(text.charCodeAt(next)) === 255 ? -1 : next;
}

/** Chunks from `at` that line breaks join; only a full line, without padding, goes on. */
function readRun(text: string, at: number): Chunk[] {
  const chunks = [readChunk(text, at)];
  for (;;) {
    const last = chunks.at(-1) as Chunk;
    if (last.padEnd > last.end || last.end - last.start < BASE64_CHARS_MIN) return chunks;
    const next = nextLine(text, last.padEnd);
    if (next < 0) return chunks;
    chunks.push(readChunk(text, next));
  }
}

/** Cheap refusal: the first bytes are not UTF-8 text. Most words, paths and binary bodies end here. */
function startsAsText(text: string, at: number): boolean {
  let following = 0;
  let zeros = 0;
  for (let i = 0; i < 12; i += 4) {
    const bits =
      (sextet(text.charCodeAt(at + i)) << 18) |
      (sextet(text.charCodeAt(at + i + 1)) << 12) |
      (sextet(text.charCodeAt(at + i + 2)) << 6) |
      sextet(text.charCodeAt(at + i + 3));
    for (let shift = 16; shift >= 0; shift -= 8) {
      const byte = (bits >> shift) & 255;
      if (following > 0) {
        if (byte >> 6 !== 2) return false;
        following--;
        continue;
      }
      const length = utf8Length(byte);
      if (length === 0 || byte === 0x7f) return false;
      if (byte === 0) zeros++;
      else if (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return false;
      following = length - 1;
    }
  }
  // Every second byte is zero in UTF-16, which PowerShell's encoded commands use.
  return zeros === 0 || zeros >= 4;
}

/** UTF-16LE where the bytes look it. */
function decodeUtf16(bytes: Buffer): string | null {
  if (bytes.length < 8 || bytes[1] !== 0 || bytes[3] !== 0 || bytes[5] !== 0) return null;
  const text = bytes.toString('utf16le');
  return readsAsText(text) ? text : null;
}

function decode(digits: string): string | null {
  // A last single character carries no byte.
  const whole = digits.length % 4 === 1 ? digits.slice(0, -1) : digits;
  if (whole.length < BASE64_CHARS_MIN || !startsAsText(whole, 0)) return null;
  const bytes = Buffer.from(whole, 'base64');
  const text = decodeUtf8(bytes);
  if (text !== null && !text.includes('\0')) return readsAsText(text) ? text : null;
  return decodeUtf16(bytes);
}

interface Decoded {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Parts of a chunk between `/`, `-`, `_` and `+`: a payload in a path or a slug. */
function decodeParts(text: string, { start, end, padEnd }: Chunk): Decoded[] {
  const found: Decoded[] = [];
  let from = start;
  for (let i = start; i <= end; i++) {
    const value = i < end ? sextet(text.charCodeAt(i)) : 62;
    if (value < 62) continue;
    const part = i - from >= BASE64_CHARS_MIN && i - from < end - start ? decode(text.slice(from, i)) : null;
    if (part !== null) found.push({ start: from, end: i === end ? padEnd : i, text: part });
    from = i + 1;
  }
  return found;
}

function decodeRun(text: string, chunks: readonly Chunk[]): Decoded[] {
  const first = chunks[0] as Chunk;
  const last = chunks.at(-1) as Chunk;
  if (chunks.length > 1) {
    const lines = chunks.map(({ start, end }) => text.slice(start, end));
    const joined = decode(lines.join(''));
    if (joined !== null) return [{ start: first.start, end: last.padEnd, text: joined }];
    // The word that opens the next line of prose may look like one more line of the run.
    const without = decode(lines.slice(0, -1).join(''));
    if (without !== null) return [{ start: first.start, end: (chunks.at(-2) as Chunk).padEnd, text: without }];
  }
  return chunks.flatMap((chunk) => {
    if (chunk.end - chunk.start < BASE64_CHARS_MIN) return [];
    const whole = decode(text.slice(chunk.start, chunk.end));
    return whole === null ? decodeParts(text, chunk) : [{ start: chunk.start, end: chunk.padEnd, text: whole }];
  });
}

/** Null where no run reads as text. Linear: every unit is read a fixed number of times. */
export function decodeBase64(view: View): View | null {
  const { text } = view;
  let builder: ViewBuilder | null = null;
  let kept = 0;
  for (let i = 0; i < text.length; ) {
    if (sextet(text.charCodeAt(i)) === 255) {
      i++;
      continue;
    }
    const chunks = readRun(text, i);
    const last = chunks.at(-1) as Chunk;
    if (last.end - i >= BASE64_CHARS_MIN) {
      for (const decoded of decodeRun(text, chunks)) {
        builder ??= new ViewBuilder(view);
        builder.copy(kept, decoded.start);
        builder.push(decoded.text, decoded.start, decoded.end);
        kept = decoded.end;
      }
    }
    i = last.padEnd;
  }
  if (builder === null) return null;
  builder.copy(kept, text.length);
  return builder.build('base64', [...view.decodedFrom, 'base64']);
}
