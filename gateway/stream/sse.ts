/**
 * Bytes of an event stream -> frames, one per block (WHATWG HTML, 9.2.5 and 9.2.6), as they arrive.
 * A frame keeps its exact bytes, so a frame nobody changed leaves as it came.
 *
 * Every client reads a little more than the standard allows (a last block without its blank line, a byte-order
 * mark in front of any line), so the parser is as liberal about data and marks everything unusual for re-framing:
 * what the client then reads is only what was inspected.
 */
import { isUtf8 } from 'node:buffer';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const BOM = [0xef, 0xbb, 0xbf] as const;

export interface SseFrame {
  /**
   * The bytes of the block with its terminating blank line. When a block that holds a bare CR ends with the last
   * byte of a read, an LF that follows in the next read is dropped instead of being added here.
   */
  readonly raw: Buffer;
  /** The data lines joined by LF; null when the block has none. */
  readonly data: string | null;
  /** The last `event` field that is not empty. */
  readonly event: string | null;
  /**
   * The bytes must not leave as they are: a bare CR ends a line, a byte-order mark comes first, the final blank
   * line is missing, or there is a field other than `data` (some clients drop chat events that carry `event`, and
   * fields that nobody inspects could carry text).
   */
  readonly needsReframing: boolean;
  /** Besides data the block has just one field, `event`, so where events are named its bytes may leave as they are. */
  readonly named: boolean;
  /** The block has comment lines, whose text is not part of `data`. */
  readonly hasComment: boolean;
}

export type SseErrorCode = 'event_too_large' | 'invalid_utf8';

/** The stream cannot be read on; the message holds none of its text. */
export class SseError extends Error {
  readonly code: SseErrorCode;

  constructor(code: SseErrorCode) {
    super(code === 'event_too_large' ? 'an event exceeds the size limit' : 'the stream is not valid UTF-8');
    this.name = 'SseError';
    this.code = code;
  }
}

/**
 * Push parser. Frames are handed out in order while `push` runs, so those before an error are never lost to it.
 * Holds at most `eventBytesMax` bytes; each byte is searched once and copied at most once.
 */
export class SseParser {
  readonly #eventBytesMax: number;
  readonly #onFrame: (frame: SseFrame) => void;
  /** Reads that belong to the open block, joined once when it ends. */
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #stopped = false;
  #error: SseError | null = null;
  /** Bytes of a byte-order mark seen at the very start; null once that is decided. */
  #bomBytes: number | null = 0;

  // State of the open block.
  #hasBom = false;
  #bareCr = false;
  #anyCr = false;
  #lineCount = 0;
  /** The open line has at least one byte. */
  #midLine = false;
  /** The last read ended with CR: an LF that comes next belongs to the same line end. */
  #crAtEnd = false;
  /** That CR ended a blank line, so the block is complete once the next byte is known. */
  #blankAtEnd = false;
  /** The block was handed out at a CR; an LF that comes next is nothing. */
  #dropLf = false;

  constructor(options: { readonly eventBytesMax: number }, onFrame: (frame: SseFrame) => void) {
    this.#eventBytesMax = options.eventBytesMax;
    this.#onFrame = onFrame;
  }

  /** Hands out no further frame; may be called from within `onFrame`. */
  stop(): void {
    this.#stopped = true;
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  /** Throws `SseError`; after that the parser only throws the same error. */
  push(chunk: Buffer): void {
    if (this.#error !== null) throw this.#error;
    if (this.#stopped || chunk.length === 0) return;

    let pos = this.#bomBytes === null ? 0 : this.#skipBom(chunk);
    let start = 0;
    if (this.#dropLf) {
      this.#dropLf = false;
      if (chunk[0] === LF) start = pos = 1;
    } else if (this.#crAtEnd) {
      this.#crAtEnd = false;
      if (chunk[0] === LF) pos = 1;
      else this.#bareCr = true;
      if (this.#blankAtEnd) {
        this.#blankAtEnd = false;
        this.#emit(chunk, 0, pos);
        start = pos;
      }
    }

    // -1 stands for "none left in this read", so that a read without CR is searched for it once only.
    let lf = chunk.indexOf(LF, pos);
    let cr = chunk.indexOf(CR, pos);
    while (pos < chunk.length && !this.#stopped) {
      if (lf !== -1 && lf < pos) lf = chunk.indexOf(LF, pos);
      if (cr !== -1 && cr < pos) cr = chunk.indexOf(CR, pos);
      if (lf === -1 && cr === -1) {
        this.#midLine = true;
        break;
      }
      const atCr = cr !== -1 && (lf === -1 || cr < lf);
      const lineEnd = atCr ? cr : lf;
      const blank = !this.#midLine && lineEnd === pos;
      this.#midLine = false;
      this.#lineCount += 1;
      pos = lineEnd + 1;
      if (atCr) {
        this.#anyCr = true;
        if (pos === chunk.length) {
          // Where the block already has a bare CR the provider ends lines that way: waiting for an LF would delay
          // each event until the next one. Elsewhere the LF of a CRLF is about to arrive.
          if (!blank || !this.#bareCr) {
            this.#crAtEnd = true;
            this.#blankAtEnd = blank;
            break;
          }
          this.#dropLf = true;
        } else if (chunk[pos] === LF) pos += 1;
        else this.#bareCr = true;
      }
      if (blank) {
        this.#emit(chunk, start, pos);
        start = pos;
      }
    }
    if (!this.#stopped && start < chunk.length) this.#keep(chunk.subarray(start));
  }

  /** Hands out what is left: a last block without its blank line is still read by every client. */
  end(): void {
    if (this.#error !== null) throw this.#error;
    if (this.#stopped) return;
    if (this.#crAtEnd && this.#blankAtEnd) this.#bareCr = true;
    if (this.#pendingBytes > 0) this.#emit(Buffer.alloc(0), 0, 0, this.#blankAtEnd);
    this.#stopped = true;
  }

  /** Returns where the first line starts; a mark may come in pieces. */
  #skipBom(chunk: Buffer): number {
    let seen = this.#bomBytes ?? 0;
    let pos = 0;
    while (seen < BOM.length && pos < chunk.length && chunk[pos] === BOM[seen]) {
      seen += 1;
      pos += 1;
    }
    if (seen === BOM.length) {
      this.#hasBom = true;
      this.#bomBytes = null;
    } else if (pos < chunk.length) {
      // Not a mark after all: its first bytes belong to the first line.
      this.#midLine = seen > 0;
      this.#bomBytes = null;
    } else this.#bomBytes = seen;
    return pos;
  }

  #keep(part: Buffer): void {
    this.#pendingBytes += part.length;
    if (this.#pendingBytes > this.#eventBytesMax) this.#fail('event_too_large');
    this.#pending.push(part);
  }

  #fail(code: SseErrorCode): never {
    this.#error = new SseError(code);
    this.#pending = [];
    throw this.#error;
  }

  #emit(chunk: Buffer, start: number, end: number, terminated = true): void {
    let raw = start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end);
    if (this.#pending.length > 0) {
      this.#pending.push(raw);
      raw = Buffer.concat(this.#pending);
      this.#pending = [];
      this.#pendingBytes = 0;
    }
    if (raw.length > this.#eventBytesMax) this.#fail('event_too_large');
    if (!isUtf8(raw)) this.#fail('invalid_utf8');

    const unusual = this.#bareCr || this.#hasBom || !terminated;
    let frame: SseFrame;
    // One data line and the blank line, LF only: nearly every frame of every provider.
    if (!unusual && !this.#anyCr && this.#lineCount === 2 && startsWithData(raw)) {
      const data = raw.toString('utf8', raw[5] === SPACE ? 6 : 5, raw.length - 2);
      frame = { raw, data, event: null, needsReframing: false, named: false, hasComment: false };
    } else frame = readBlock(raw, this.#hasBom ? BOM.length : 0, unusual);

    this.#hasBom = this.#bareCr = this.#anyCr = this.#midLine = false;
    this.#lineCount = 0;
    this.#onFrame(frame);
  }
}

/** A frame that every client reads alike: `data:` lines, LF, and no other field but the event's name, if it has one. */
export function reframe(data: string, event: string | null = null): Buffer {
  const lines = data.includes('\n') || data.includes('\r') ? data.split(/\r\n|\r|\n/).join('\ndata: ') : data;
  return Buffer.from(`${event === null ? '' : `event: ${event}\n`}data: ${lines}\n\n`);
}

function startsWithData(raw: Buffer): boolean {
  return raw[0] === 0x64 && raw[1] === 0x61 && raw[2] === 0x74 && raw[3] === 0x61 && raw[4] === COLON;
}

/** Any block, line by line. */
function readBlock(raw: Buffer, from: number, unusual: boolean): SseFrame {
  let data: string | null = null;
  const more: string[] = [];
  let event: string | null = null;
  let needsReframing = unusual;
  let otherFields = 0;
  let hasComment = false;
  let pos = from;
  let cr = raw.indexOf(CR, pos);
  while (pos < raw.length) {
    let lf = raw.indexOf(LF, pos);
    if (lf === -1) lf = raw.length;
    if (cr !== -1 && cr < pos) cr = raw.indexOf(CR, pos);
    const lineEnd = cr !== -1 && cr < lf ? cr : lf;
    const next = lineEnd === cr && cr + 1 === lf ? lf + 1 : lineEnd + 1;
    if (lineEnd > pos) {
      if (raw[pos] === COLON) hasComment = true;
      else {
        const { name, value } = readField(raw, pos, lineEnd);
        if (name === 'data') {
          if (data === null) data = value;
          else more.push(value);
        } else {
          needsReframing = true;
          otherFields++;
          if (name === 'event') event = value === '' ? null : value;
        }
      }
    }
    pos = next;
  }
  if (data !== null && more.length > 0) data = [data, ...more].join('\n');
  return { raw, data, event, needsReframing, named: !unusual && otherFields === 1 && event !== null, hasComment };
}

function readField(raw: Buffer, start: number, end: number): { name: string; value: string } {
  const colon = raw.subarray(start, end).indexOf(COLON);
  if (colon === -1) return { name: raw.toString('utf8', start, end), value: '' };
  const valueStart = start + colon + 1;
  return {
    name: raw.toString('utf8', start, start + colon),
    value: raw.toString('utf8', raw[valueStart] === SPACE && valueStart < end ? valueStart + 1 : valueStart, end),
  };
}
