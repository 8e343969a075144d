/**
 * Canary tokens: the first 128 bits of HMAC-SHA-256 over an unambiguous context, as lower-case hex.
 * Hex survives case folding, JSON, URLs and Markdown unescaped, and a model does not produce it by accident.
 */
import { createHash, createHmac } from 'node:crypto';

export type Carrier = 'system' | 'developer';
export type Placement = 'head' | 'middle' | 'tail';

export interface CanaryContext {
  readonly tenant: string;
  readonly carrier: Carrier;
  readonly placement: Placement;
  /** The trusted text without any reference line of ours. */
  readonly prompt: string;
  /** Number of the time bucket, or the request id for per-request tokens. */
  readonly bucket: string;
}

/** Token characters; 4 bits each. */
export const CANARY_CHARS = 32;

/**
 * Derives the token of one placement.
 * @param key 32 bytes, for canaries only
 */
export function deriveCanary(key: Uint8Array, context: CanaryContext): string {
  const promptHash = createHash('sha256').update(context.prompt, 'utf8').digest('hex');
  // JSON keeps the fields apart whatever they contain.
  const message = JSON.stringify([1, context.tenant, context.carrier, context.placement, promptHash, context.bucket]);
  return createHmac('sha256', key).update(message, 'utf8').digest('hex').slice(0, CANARY_CHARS);
}

/** The bucket of a moment, and the one before it, whose tokens are still in flight. */
export function canaryBuckets(nowMs: number, bucketHours: number): readonly [current: string, previous: string] {
  const index = Math.floor(nowMs / (bucketHours * 3_600_000));
  return [`t${index}`, `t${index - 1}`];
}
