/** Bytes that may be a text: told apart by what they are, whatever type they are said to have, and decoded. */
import { wideRuns } from './printableRuns.ts';

export interface DecodedText {
  readonly text: string;
  /** The bytes of a changed text; null where even the unchanged text would not give these bytes back. */
  readonly encode: ((text: string) => Buffer) | null;
}

/** How much of a file is looked at to tell a text from data. */
export const SNIFF_BYTES = 512;
/** Below this many bytes there is no room behind a signature to tell by. */
const SIGNATURE_ALONE_BYTES = 16;
/** One unprintable character in so many is a text all the same. */
const UNPRINTABLE_ONE_IN = 20;

/** Where each starts is as sure as what it is. Read as Latin-1. */
const SIGNATURES = [
  '\x89PNG',
  '\xff\xd8\xff',
  '%PDF',
  'PK\x03\x04',
  'PK\x05\x06',
  'PK\x07\x08',
  '\x1f\x8b',
  '\x1aE\xdf\xa3',
  'II*\0',
  'MM\0*',
  '\xd0\xcf\x11\xe0',
  '7z\xbc\xaf',
  '\xfd7zXZ',
  '\x28\xb5\x2f\xfd',
  'Rar!\x1a',
  'ID3\x02',
  'ID3\x03',
  'ID3\x04',
  'OggS\0',
  'fLaC\0',
  'wOFF\0\x01',
  'wOF2\0\x01',
  'SQLite format 3\0',
  '\x7fELF',
];
/** Short or spelled in letters, so that a text could begin like them. */
const WEAK_SIGNATURES = ['GIF8', 'RIFF', 'OggS', 'fLaC', 'wOF', 'ID3', 'BM', 'BZh', 'FORM'];
const FTYP = /^\0[\s\S]{3}ftyp/;

/** Stands for any one byte, which is no character of Latin-1. */
const ANY = '\u0100';
const SIZE = ANY.repeat(4);
const IMAGES = [
  '\x89PNG\r\n\x1a\n',
  '\xff\xd8\xff',
  'GIF87a',
  'GIF89a',
  `RIFF${SIZE}WEBP`,
  'II*\0',
  'MM\0*',
  '\0\0\x01\0',
];
const SOUNDS = ['ID3\x02\0', 'ID3\x03\0', 'ID3\x04\0', `RIFF${SIZE}WAVE`, 'OggS\0', 'fLaC\0', `FORM${SIZE}AIF`];
const FRAMES = ['\xff\xfb', '\xff\xfa', '\xff\xf3', '\xff\xf2', '\xff\xf1', '\xff\xf9', '\xff\xe3'];
const MATROSKA = '\x1aE\xdf\xa3';
const FILMS = [`RIFF${SIZE}AVI `, 'OggS\0', '\0\0\x01\xba', '\0\0\x01\xb3'];
const BOXES = `\0${ANY.repeat(3)}ftyp`;
const PDF = ['%PDF-1.', '%PDF-2.'];
const ZIP = ['PK\x03\x04', 'PK\x05\x06', 'PK\x07\x08'];
const OLE = '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1';
const ARCHIVES = ['7z\xbc\xaf\x27\x1c', '\xfd7zXZ\0', 'Rar!\x1a\x07', 'SQLite format 3\0'];
/** What files of a type begin with. */
const TYPE_STARTS: readonly (readonly [type: RegExp, starts: readonly string[]])[] = [
  [/^image\//, [...IMAGES, BOXES]],
  [/^audio\//, [...SOUNDS, ...FRAMES, MATROSKA, BOXES]],
  [/^video\//, [...FILMS, MATROSKA, BOXES]],
  [/^application\/pdf$/, PDF],
  [/^application\/(?:zip$|x-zip|epub\+zip$|java-archive$|vnd\.openxmlformats-|vnd\.oasis\.opendocument)/, ZIP],
  [/^application\/(?:msword$|vnd\.ms-)/, [OLE]],
  [/^application\/(?:x-)?gzip$/, ['\x1f\x8b\x08']],
];
const LONG_START_CHARS = 5;
/** Long enough to tell a file whose type is not said. */
const LONG_STARTS = [...IMAGES, ...SOUNDS, ...FILMS, BOXES, ...PDF, OLE, ...ARCHIVES].filter(
  ({ length }) => length >= LONG_START_CHARS,
);

/** Whether a file begins as files of its type do. */
export function beginsLike(bytes: Buffer, mime: string): boolean {
  return TYPE_STARTS.some(([type, starts]) => type.test(mime) && beginsWithOneOf(bytes, starts));
}

/** Whether a file begins with a signature that hardly any other file begins with. */
export function beginsLikeData(bytes: Buffer): boolean {
  return beginsWithOneOf(bytes, LONG_STARTS);
}

function beginsWithOneOf(bytes: Buffer, starts: readonly string[]): boolean {
  return starts.some(
    (start) =>
      bytes.length >= start.length && [...start].every((char, at) => char === ANY || char.charCodeAt(0) === bytes[at]),
  );
}

/** Whether the start of a file looks like text. Wrong only for data that has hardly an unprintable byte at its start. */
export function looksLikeText(bytes: Buffer): boolean {
  const start = bytes.subarray(0, SNIFF_BYTES);
  if (start.length === 0) return false;
  const latin1 = start.toString('latin1');
  if (SIGNATURES.some((signature) => latin1.startsWith(signature)) || FTYP.test(latin1)) return false;
  if (start.length < SIGNATURE_ALONE_BYTES && WEAK_SIGNATURES.some((signature) => latin1.startsWith(signature)))
    return false;
  if (hasUtf32Mark(start)) return false;
  if (utf16Order(start) !== null) return true;
  const { unprintable, plain } = countBytes(start);
  if (unprintable * UNPRINTABLE_ONE_IN > start.length) return false;
  // Text of one byte per character is letters beyond ASCII here and there; compressed or sampled data has more of them.
  return utf8(start, { partial: true }) !== null || plain * 4 >= start.length * 3;
}

/** Null when there is nothing in them that can be read. */
export function decodeText(bytes: Buffer, charset: string | null): DecodedText | null {
  if (hasUtf32Mark(bytes)) return { text: wideRuns(bytes, Number.POSITIVE_INFINITY), encode: null };
  const order = utf16Order(bytes) ?? (charset === 'utf-16be' ? 'be' : charset?.startsWith('utf-16') ? 'le' : null);
  if (order !== null) return decodeUtf16(bytes, order);
  const bom = bytes.subarray(0, 3).equals(UTF8_BOM) ? UTF8_BOM : NO_BYTES;
  const text = utf8(bytes.subarray(bom.length));
  // NULs between letters: wider characters than the bytes are read as.
  const wide = text?.includes('\0\0') ? wideRuns(bytes, Number.POSITIVE_INFINITY) : '';
  if (text !== null && wide !== '') return { text: `${text}\n${wide}`, encode: null };
  if (text !== null) return { text, encode: (changed) => Buffer.concat([bom, Buffer.from(changed, 'utf8')]) };

  // One wrong byte must not hide the text around it, in whatever letters that is written.
  const lossy = new TextDecoder('utf-8').decode(bytes);
  const named = charset === null ? null : decodeNamed(bytes, charset);
  if (named !== null) return { text: `${named}\n${lossy}`, encode: null };
  if (/[^\0-\x7f\ufffd]/.test(lossy)) return { text: lossy, encode: null };
  if (!/[!-~]/.test(lossy)) return null;
  return { text: decodeWindows1252(bytes), encode: encodeWindows1252 };
}

const NO_BYTES = Buffer.alloc(0);
const UTF8_BOM = Buffer.from([0xef, 0xbb, 0xbf]);

function countBytes(bytes: Uint8Array): { readonly unprintable: number; readonly plain: number } {
  let unprintable = 0;
  let plain = 0;
  for (const byte of bytes) {
    // Tab, line feed, form feed and carriage return; escape starts the colours of a terminal.
    const blank = (byte >= 0x09 && byte <= 0x0d) || byte === 0x1b;
    if (blank || (byte >= 0x20 && byte < 0x7f)) plain++;
    else if (byte < 0x20 || byte === 0x7f) unprintable++;
  }
  return { unprintable, plain };
}

/** Null when they are not UTF-8. `partial`: more bytes follow. */
function utf8(bytes: Buffer, { partial = false }: { readonly partial?: boolean } = {}): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: partial });
  } catch {
    return null;
  }
}

function hasUtf32Mark(bytes: Buffer): boolean {
  const mark = bytes.toString('latin1', 0, 4);
  return mark === '\xff\xfe\0\0' || mark === '\0\0\xfe\xff';
}

type ByteOrder = 'le' | 'be';

/** By the mark in front, or by the NULs that every second byte of plain letters is. */
function utf16Order(bytes: Buffer): ByteOrder | null {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'le';
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'be';
  const start = bytes.subarray(0, SNIFF_BYTES);
  const units = start.length >> 1;
  if (units < 2) return null;
  const nuls = [0, 0];
  for (let at = 0; at < units * 2; at++) if (start[at] === 0) nuls[at & 1] = (nuls[at & 1] as number) + 1;
  const [even, odd] = nuls as [number, number];
  const order = odd * 4 >= units && even === 0 ? 'le' : even * 4 >= units && odd === 0 ? 'be' : null;
  if (order === null) return null;
  const { unprintable } = countBytes(
    start.subarray(0, units * 2).filter((_, at) => (at & 1) === (order === 'le' ? 0 : 1)),
  );
  return unprintable * UNPRINTABLE_ONE_IN <= units ? order : null;
}

function decodeUtf16(bytes: Buffer, order: ByteOrder): DecodedText {
  const mark = order === 'le' ? [0xff, 0xfe] : [0xfe, 0xff];
  const bom = bytes[0] === mark[0] && bytes[1] === mark[1] ? Buffer.from(mark) : NO_BYTES;
  const text = new TextDecoder(`utf-16${order}`).decode(bytes);
  const encode = (changed: string): Buffer => {
    const body = Buffer.from(changed, 'utf16le');
    return Buffer.concat([bom, order === 'le' ? body : body.swap16()]);
  };
  // Plain letters without NULs between them are of another encoding: whoever reads that one reads them.
  // Linear: one class.
  const runs = bytes.toString('latin1').match(/[\t\n\r -~]{8,}/g) ?? [];
  const other = bytes.includes(0) ? runs : [new TextDecoder('utf-8').decode(bytes)];
  if (other.length > 0) return { text: [text, ...other].join('\n'), encode: null };
  return { text, encode: encode(text).equals(bytes) ? encode : null };
}

/** Null when the charset is none that is known, or does not fit. */
function decodeNamed(bytes: Buffer, charset: string): string | null {
  try {
    const decoder = new TextDecoder(charset, { fatal: true });
    return decoder.encoding === 'windows-1252' ? null : decoder.decode(bytes);
  } catch {
    return null;
  }
}

/** Of the bytes 0x80 to 0x9f in windows-1252 (WHATWG Encoding); all others are as in Latin-1. */
const WINDOWS_1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';

/** The decoder of the runtime leaves these as control characters. */
function decodeWindows1252(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/[\x80-\x9f]/g, (char) => WINDOWS_1252[char.charCodeAt(0) - 0x80] as string);
}

/** Every byte is a character, so this gives back what was decoded; what has no byte becomes a question mark. */
function encodeWindows1252(text: string): Buffer {
  const bytes = Array.from(text, (char) => {
    const at = WINDOWS_1252.indexOf(char);
    if (at !== -1) return 0x80 + at;
    const code = char.codePointAt(0) as number;
    return code <= 0xff ? code : 0x3f;
  });
  return Buffer.from(bytes);
}
