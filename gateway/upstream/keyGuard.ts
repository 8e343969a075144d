/**
 * Keeps the gateway's own key for a provider out of its answers: errors about keys quote them, and whoever reads the
 * answer could then call the provider past the gateway.
 *
 * Known gap: only the bytes of the key as they were sent are found, no part of it and no other spelling.
 */
import { GatewayError } from '../errors.ts';

/** A shorter one says nothing: its letters stand in any text. */
const KEY_CHARS_MIN = 16;
const NOTHING = Buffer.alloc(0);

/** An answer in which the key stands. Of a refusal nothing is usable; an answer that has begun breaks off. */
export class KeyEchoed extends GatewayError {
  readonly upstreamStatus: number;

  constructor(upstreamStatus: number) {
    super(upstreamStatus >= 400 ? 'content_filter' : 'bad_upstream');
    this.upstreamStatus = upstreamStatus;
  }
}

/** Reads one answer. Hands on all bytes but those at the end that may begin the key. */
export class KeyGuard {
  readonly #text: string;
  readonly #key: Buffer;
  /** Fewer bytes than the key has, and the same as it begins with. */
  #held: Buffer = NOTHING;

  /** Null for a key that cannot be looked for. */
  static of(key: string | null): KeyGuard | null {
    return key === null || key.length < KEY_CHARS_MIN ? null : new KeyGuard(key);
  }

  private constructor(key: string) {
    this.#text = key;
    this.#key = Buffer.from(key, 'latin1');
  }

  /** Whether the key stands in one of these. */
  isIn(values: Iterable<string>): boolean {
    for (const value of values) if (value.includes(this.#text)) return true;
    return false;
  }

  /** What may be handed on, which can be nothing yet; null when the key is complete. */
  push(chunk: Buffer): Buffer | null {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    if (bytes.includes(this.#key)) return null;
    const safe = bytes.length - beginnings(bytes, this.#key);
    this.#held = bytes.subarray(safe);
    return safe === bytes.length ? bytes : bytes.subarray(0, safe);
  }

  /** What was held, when the answer is over. */
  end(): Buffer {
    const held = this.#held;
    this.#held = NOTHING;
    return held;
  }
}

/** Length of the longest end of `bytes` with which the key begins; the key itself does not stand in them. */
function beginnings(bytes: Buffer, key: Buffer): number {
  const first = key[0] as number;
  let at = bytes.indexOf(first, Math.max(0, bytes.length - key.length + 1));
  while (at !== -1) {
    const length = bytes.length - at;
    if (bytes.compare(key, 0, length, at) === 0) return length;
    at = bytes.indexOf(first, at + 1);
  }
  return 0;
}
