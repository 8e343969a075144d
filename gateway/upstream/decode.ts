/**
 * Content codings of provider answers. We ask for none, but some providers compress all the same, and what is
 * compressed cannot be inspected. Decoding keeps pace with the reader and stops at a bomb.
 */
import {
  type BrotliDecompress,
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  type Gunzip,
  type Inflate,
  type InflateRaw,
} from 'node:zlib';
import { GatewayError } from '../errors.ts';

/** Two are seen where a cache compresses again; a longer chain is an attack on memory (CVE-2026-22036). */
const CODINGS_MAX = 2;
/** Real answers, JSON and event streams with the same keys in each chunk, stay under 40:1. */
const RATIO_MAX = 200;
/** Below this size the ratio says nothing: a long run of one delta compresses extremely well. */
const RATIO_FREE_BYTES = 1024 * 1024;

export type Coding = 'gzip' | 'deflate' | 'br';

/** The codings in the order they were applied, or null when one is not supported or they are too many. */
export function parseContentEncoding(value: string | readonly string[] | undefined): readonly Coding[] | null {
  if (value === undefined) return [];
  const tokens = (typeof value === 'string' ? value : value.join(',')).toLowerCase().split(',');
  if (tokens.length > CODINGS_MAX) return null;
  const codings: Coding[] = [];
  for (const token of tokens) {
    const name = token.trim();
    if (name === '' || name === 'identity') continue;
    if (name === 'gzip' || name === 'x-gzip') codings.push('gzip');
    else if (name === 'deflate' || name === 'br') codings.push(name);
    else return null;
  }
  return codings;
}

export interface DecoderSink {
  onData(chunk: Buffer): void;
  onEnd(): void;
  onError(error: GatewayError): void;
  /** The decoder takes more after `write` returned false. */
  onDrain(): void;
}

type Stage = Gunzip | Inflate | InflateRaw | BrotliDecompress;

/** Undoes the codings of one answer. Nothing is called back after `onEnd`, `onError` or `destroy`. */
export class Decoder {
  readonly #codings: readonly Coding[];
  readonly #sink: DecoderSink;
  #stages: Stage[] = [];
  #encodedBytes = 0;
  #paused = false;
  #done = false;

  constructor(codings: readonly Coding[], sink: DecoderSink) {
    this.#codings = codings;
    this.#sink = sink;
  }

  /** False asks the caller to wait for `onDrain`. */
  write(chunk: Buffer): boolean {
    if (this.#done || chunk.length === 0) return true;
    if (this.#stages.length === 0) this.#start(chunk);
    this.#encodedBytes += chunk.length;
    return this.#stages[0]?.write(chunk) ?? true;
  }

  /** The last encoded byte was written; a coding that is not complete by then is an error. */
  end(): void {
    if (this.#done) return;
    const first = this.#stages[0];
    if (first !== undefined) first.end();
    else {
      // An empty body has no coding to undo, whatever its label says.
      this.#done = true;
      this.#sink.onEnd();
    }
  }

  pause(): void {
    this.#paused = true;
    this.#stages.at(-1)?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#stages.at(-1)?.resume();
  }

  destroy(): void {
    this.#done = true;
    for (const stage of this.#stages) stage.destroy();
  }

  #start(firstChunk: Buffer): void {
    for (const coding of this.#codings.toReversed()) {
      // Only the outermost coding shows its first byte in time; inside another one, deflate means the zlib form.
      const stage = createStage(coding, this.#stages.length === 0 ? firstChunk : null);
      const last = this.#stages.at(-1);
      let decodedBytes = 0;
      // Each stage counts against the bytes received: an inner coding could hide what an outer one inflates.
      stage.on('data', (part: Buffer) => {
        decodedBytes += part.length;
        if (decodedBytes > RATIO_FREE_BYTES && decodedBytes > RATIO_MAX * this.#encodedBytes) {
          this.#fail(new GatewayError('bad_upstream'));
        }
      });
      stage.on('error', (cause: NodeJS.ErrnoException) => {
        // zlib's word for input that ends too early; anything else is not what its label says.
        this.#fail(new GatewayError(cause.code === 'Z_BUF_ERROR' ? 'upstream_error' : 'bad_upstream', { cause }));
      });
      last?.pipe(stage);
      this.#stages.push(stage);
    }
    const first = this.#stages[0];
    const last = this.#stages.at(-1);
    first?.on('drain', () => {
      if (!this.#done) this.#sink.onDrain();
    });
    last?.on('data', (part: Buffer) => {
      if (!this.#done) this.#sink.onData(part);
    });
    last?.on('end', () => {
      if (this.#done) return;
      this.#done = true;
      this.#sink.onEnd();
    });
    if (this.#paused) last?.pause();
  }

  #fail(error: GatewayError): void {
    if (this.#done) return;
    this.destroy();
    this.#sink.onError(error);
  }
}

function createStage(coding: Coding, firstChunk: Buffer | null): Stage {
  // Flushing on each write lets streamed events through as they arrive; finishing strictly at the end makes a cut
  // stream an error instead of a short answer.
  const options = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_FINISH };
  switch (coding) {
    case 'gzip':
      return createGunzip(options);
    case 'br':
      return createBrotliDecompress({
        flush: constants.BROTLI_OPERATION_FLUSH,
        finishFlush: constants.BROTLI_OPERATION_FINISH,
      });
    case 'deflate': {
      // RFC 9110 8.4.1.2 means the zlib form (RFC 1950), some servers send raw deflate. The zlib form starts with
      // method 8 in the low four bits; raw data could only look so with non-zero padding in a stored block.
      const first = firstChunk?.[0];
      return first === undefined || (first & 0x0f) === 8 ? createInflate(options) : createInflateRaw(options);
    }
    default: {
      const never: never = coding;
      throw new Error(`unknown coding ${String(never)}`);
    }
  }
}
