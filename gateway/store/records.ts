/** How records are written as bytes, and how they are read back when the bytes may be anything. */
import { z } from 'zod';
import type { CanaryRecord, KeptRecord, StoredToken, UserRecord } from './port.ts';

/** Parsed records kept by a reader; some hundred bytes each. */
const SEEN_MAX = 4_096;

const millis = z.int().min(0);
const scopes = z.array(z.enum(['admin', 'proxy', 'validate', 'labeller']));

export const storedTokenSchema = z.strictObject({
  id: z.string().min(1),
  name: z.string(),
  kind: z.enum(['machine', 'personal']),
  userId: z.string().min(1),
  scopes,
  defaultTenant: z.string().min(1),
  tenants: z.array(z.string()),
  state: z.enum(['active', 'revoked']),
  createdAt: millis,
  expiresAt: millis.nullable(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
}) satisfies z.ZodType<StoredToken>;

export const userSchema = z.strictObject({
  id: z.string().min(1),
  state: z.enum(['active', 'inactive']),
  locked: z.boolean(),
  createdAt: millis,
}) satisfies z.ZodType<UserRecord>;

export const canarySchema = z.strictObject({
  id: z.string().min(1),
  tenant: z.string().min(1),
  sealed: z.base64().transform((text): Uint8Array => Buffer.from(text, 'base64')),
  carrier: z.enum(['system', 'developer', 'caller']),
  derived: z.boolean(),
  createdAt: millis,
  expiresAt: millis,
}) satisfies z.ZodType<CanaryRecord>;

export const keptSchema = z.strictObject({
  id: z.string().min(1),
  tenant: z.string().min(1),
  provider: z.string().min(1),
  sealed: z.base64().transform((text): Uint8Array => Buffer.from(text, 'base64')),
  createdAt: millis,
  expiresAt: millis,
}) satisfies z.ZodType<KeptRecord>;

/** JSON, with bytes in base64. */
export function encodeRecord(record: StoredToken | UserRecord | CanaryRecord | KeptRecord): Buffer {
  const plain = 'sealed' in record ? { ...record, sealed: Buffer.from(record.sealed).toString('base64') } : record;
  return Buffer.from(JSON.stringify(plain));
}

/** Reads records of one kind. Bytes that are not such a record are a miss and are reported. */
export class RecordReader<T> {
  readonly #schema: z.ZodType<T>;
  readonly #onCorrupt: () => void;
  readonly #seen = new Map<string, { readonly bytes: Buffer; readonly record: T }>();

  constructor(schema: z.ZodType<T>, onCorrupt: () => void) {
    this.#schema = schema;
    this.#onCorrupt = onCorrupt;
  }

  read(bytes: Buffer | undefined): T | null {
    if (bytes === undefined) return null;
    const record = this.#parse(bytes);
    if (record === null) this.#onCorrupt();
    return record;
  }

  /** For what every request reads: equal bytes under a key give the record that was parsed before. */
  readOften(key: string, bytes: Buffer | undefined): T | null {
    const seen = this.#seen.get(key);
    if (seen !== undefined && bytes?.equals(seen.bytes)) return seen.record;
    const record = this.read(bytes);
    if (record === null || bytes === undefined) {
      this.#seen.delete(key);
      return null;
    }
    if (this.#seen.size >= SEEN_MAX) this.#seen.clear();
    this.#seen.set(key, { bytes, record });
    return record;
  }

  #parse(bytes: Buffer): T | null {
    let data: unknown;
    try {
      data = JSON.parse(bytes.toString('utf8'));
    } catch {
      // Not JSON: damaged, or written by something else.
      return null;
    }
    const result = this.#schema.safeParse(data);
    return result.success ? result.data : null;
  }
}
