/**
 * Strings that stand for data: data URLs (RFC 2397), base64, addresses. Whether they hold a text is told by what is in
 * them, since whoever sends one also writes the type. What a program has to open, such as a PDF, is not opened: where
 * it begins like its type it is passed over, else the texts among its bytes are read.
 */
import { cutToBytes, printableRuns } from './printableRuns.ts';
import { beginsLike, beginsLikeData, type DecodedText, decodeText, looksLikeText, SNIFF_BYTES } from './textBytes.ts';

export interface TextData {
  /** Without parameters, in lower case. */
  readonly mime: string;
  readonly text: string;
  /** The string for a changed text; null where the text does not tell how it was written. */
  readonly encode: ((text: string) => string) | null;
  /** Text was found among other data. */
  readonly partial: boolean;
}

/** What is too long to be read as its readers would; the message says what was expected. */
export class DataError extends RangeError {}

/** The head of a data URL is a type and its parameters. */
const HEAD_CHARS_MAX = 4_096;
/** A decoder that begins anew behind every padding would find so many pieces; nobody sends more. */
const PIECES_MAX = 4_096;
/** Prose decoded as base64, and data that begins with a long signature, have no longer runs by chance. */
const SURE_RUN_CHARS = 32;
/** Nobody sends these for their text. */
const MEDIA_TYPE = /^(?:(?:image|audio|video)\/|application\/pdf$)/;
const NO_TYPE = 'application/octet-stream';

const TEXT_TYPE =
  /^(?:text\/[\w.+-]{1,64}|message\/[\w.+-]{1,64}|image\/svg\+xml|application\/(?:[\w.-]{1,64}\+)?(?:json|xml|yaml)|application\/(?:x-)?(?:javascript|ndjson|sh|yaml))$/;
/** What neither an address, an id nor base64 has: a blank between words, letters beyond ASCII. */
const PROSE = /\S \S|[^\s!-~]/;
/** Not of either alphabet, blanks, padding or escapes. */
const NOT_BASE64 = /[^\w+/=\s%-]/;
/** An address with a scheme; linear, since the scheme is bounded. */
const ADDRESS = /^\s*[a-z][a-z0-9+.-]{0,31}:\/\//i;

/** Whether a string says something, whatever place it stands in. */
export function isProse(value: string): boolean {
  return PROSE.test(value);
}

interface DataType {
  readonly mime: string;
  readonly charset: string | null;
  readonly base64: boolean;
  /** Said to be a text, so it is read whatever it holds. */
  readonly isText: boolean;
  /** Of what is found among other data. */
  readonly textBytesMax: number;
}

/** One way to read a payload. */
type Reading = Omit<TextData, 'mime'>;

export interface DataOptions {
  /** The type, where it is not in the string. */
  readonly mediaType?: string | null;
  /** Text among other data is read so far, and a medium that only looks like a longer text is not one. */
  readonly textBytesMax?: number;
}

/** Null when no text is in it. Throws `DataError` for a head or a number of pieces above its bound. */
export function readData(
  value: string,
  { mediaType = null, textBytesMax = Number.POSITIVE_INFINITY }: DataOptions = {},
): TextData | null {
  const url = splitDataUrl(value);
  if (url !== null) {
    const type = dataType(url.head.slice('data:'.length), 'text/plain', textBytesMax);
    const readings = type.base64 ? readBase64(url.payload, type) : readEscaped(url.payload, type);
    return joined(readings, type, (payload) => `${url.before}${url.head},${payload}`);
  }
  const type = dataType((mediaType ?? '').slice(0, HEAD_CHARS_MAX), NO_TYPE, textBytesMax);
  const isAddress = mediaType === null && ADDRESS.test(value);
  return joined(isAddress ? asProse(value) : readBase64(value, type), type, (payload) => payload);
}

function splitDataUrl(value: string): { before: string; head: string; payload: string } | null {
  // Linear: one class; whoever reads addresses skips what stands in front.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are skipped as well
  const start = value.search(/[^\s\u0000-\u0020]/);
  if (start === -1 || !/^data:/i.test(value.slice(start, start + 'data:'.length))) return null;
  const comma = value.indexOf(',', start);
  if (comma === -1) return null;
  if (comma - start > HEAD_CHARS_MAX) throw new DataError(`at most ${HEAD_CHARS_MAX} characters of type`);
  return { before: value.slice(0, start), head: value.slice(start, comma), payload: value.slice(comma + 1) };
}

/** RFC 2397: what no type is named for is plain text. */
function dataType(head: string, none: string, textBytesMax: number): DataType {
  const [type = '', ...params] = head
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  const mime = type === '' ? none : type;
  const charset = params.find((param) => param.startsWith('charset='))?.slice('charset='.length) ?? null;
  // Some readers look for the word anywhere.
  return { mime, charset, base64: params.includes('base64'), isText: TEXT_TYPE.test(mime), textBytesMax };
}

/** Readers differ; where they would read different texts all are read, and none can be put back. */
function joined(
  readings: readonly Reading[],
  { mime, isText, textBytesMax }: DataType,
  wrap: (payload: string) => string,
): TextData | null {
  const [first] = readings;
  if (first === undefined) return null;
  const texts = [...new Set(readings.map(({ text }) => text))];
  const { encode } = first;
  const text = texts.join('\n');
  return {
    mime: isText ? mime : 'text/plain',
    text: readings.every(({ partial }) => partial) ? cutToBytes(text, textBytesMax) : text,
    partial: readings.some(({ partial }) => partial),
    encode: texts.length > 1 || encode === null ? null : (text) => wrap(encode(text)),
  };
}

function asProse(payload: string): Reading[] {
  return isProse(payload) ? [{ text: payload, encode: (text) => text, partial: false }] : [];
}

function readBase64(payload: string, type: DataType): Reading[] {
  const plain = payload.includes('%') ? escapedBytes(payload).toString('utf8') : payload;
  const prose = isProse(plain) || NOT_BASE64.test(plain);
  const readings = base64Bytes(payload, type).flatMap((bytes) =>
    readBytes(bytes, type, { prose, spell: (changed) => changed.toString('base64') }),
  );
  if (prose) readings.push({ text: plain, encode: plain === payload ? (text) => text : null, partial: false });
  return readings;
}

interface BytesOptions {
  /** The bytes may be nothing but a text that was never encoded. */
  readonly prose: boolean;
  readonly spell: (bytes: Buffer) => string;
}

/** The text that bytes are; else the texts that stand in them, if they are not what they are said to be. */
function readBytes(bytes: Buffer, type: DataType, { prose, spell }: BytesOptions): Reading[] {
  const { mime, isText, charset, textBytesMax } = type;
  const decoded = (isText && !prose) || looksLikeText(bytes) ? decodeText(bytes, charset) : null;
  if (decoded !== null) {
    const tooLong = !isText && MEDIA_TYPE.test(mime) && Buffer.byteLength(decoded.text, 'utf8') > textBytesMax;
    if (!tooLong) return [encodedWith(decoded, spell)];
  } else if (beginsLike(bytes, mime)) {
    return [];
  }
  const isSure = prose || (mime === NO_TYPE && beginsLikeData(bytes));
  const text = printableRuns(bytes, { bytesMax: textBytesMax, ...(isSure && { charsMin: SURE_RUN_CHARS }) });
  return text === '' ? [] : [{ text, encode: null, partial: true }];
}

/** What base64 may mean: escapes may stand for its characters, and padding before the end stops some readers. */
function base64Bytes(payload: string, { mime, isText }: DataType): Buffer[] {
  // A bounded look spares decoding an image; a payload that begins with blanks or padding is decoded at once.
  const start = Buffer.from(payload.slice(0, SNIFF_BYTES * 2), 'base64').subarray(0, SNIFF_BYTES);
  const usual = !payload.includes('%') && !hasInnerPadding(payload);
  if (usual && !isText && start.length === SNIFF_BYTES && !looksLikeText(start) && beginsLike(start, mime)) return [];
  const spellings = payload.includes('%') ? [payload, escapedBytes(payload).toString('latin1')] : [payload];
  return spellings.flatMap((base64) => {
    if (!hasInnerPadding(base64)) return [Buffer.from(base64, 'base64')];
    // Linear: one character.
    const pieces = base64.split(/=+/, PIECES_MAX + 1);
    if (pieces.length > PIECES_MAX) throw new DataError(`at most ${PIECES_MAX} pieces of base64`);
    const decoded = pieces.map((piece) => Buffer.from(piece, 'base64'));
    return [Buffer.from(withoutPadding(base64), 'base64'), Buffer.concat(decoded)];
  });
}

/** One copy: a padding may stand behind every character. */
function withoutPadding(base64: string): string {
  const chars = Buffer.from(base64, 'latin1');
  let length = 0;
  for (const char of chars) if (char !== 0x3d) chars[length++] = char;
  return chars.toString('latin1', 0, length);
}

function hasInnerPadding(base64: string): boolean {
  const padding = base64.indexOf('=');
  return padding !== -1 && /[^=\s]/.test(base64.slice(padding));
}

function readEscaped(payload: string, type: DataType): Reading[] {
  const readings = readBytes(escapedBytes(payload), type, { prose: false, spell: escaped });
  return readings.some(({ partial }) => !partial) ? readings : [...readings, ...asProse(payload)];
}

function encodedWith({ text, encode }: DecodedText, spell: (bytes: Buffer) => string): Reading {
  return { text, encode: encode === null ? null : (changed) => spell(encode(changed)), partial: false };
}

/** A broken escape is what it looks like: text. */
function escapedBytes(payload: string): Buffer {
  const source = Buffer.from(payload, 'utf8');
  const bytes = Buffer.allocUnsafe(source.length);
  let length = 0;
  for (let at = 0; at < source.length; at++) {
    const byte = source[at] as number;
    // Behind the end is no digit either.
    const value = byte === 0x25 ? hexDigit(source[at + 1] ?? 0) * 16 + hexDigit(source[at + 2] ?? 0) : Number.NaN;
    const isEscape = !Number.isNaN(value);
    bytes[length++] = isEscape ? value : byte;
    if (isEscape) at += 2;
  }
  return bytes.subarray(0, length);
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : Number.NaN;
}

/** As `encodeURIComponent` writes it, for any bytes. */
function escaped(bytes: Buffer): string {
  const chars = Array.from(bytes, (byte) => {
    const char = String.fromCharCode(byte);
    return /[\w.!~*'()-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  return chars.join('');
}
