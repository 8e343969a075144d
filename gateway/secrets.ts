/**
 * Owns the gateway's 32-byte secret and everything derived from it. The secret itself never leaves this module;
 * each use gets its own key, so one cannot be turned against another.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createPrivateFile, ensurePrivateDir } from './dataDir.ts';

const SECRET_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID_BYTES = 4;
/** First byte of a sealed value, so the format can change. */
const SEAL_VERSION = 1;
const HEADER_BYTES = 1 + KEY_ID_BYTES;

const KEY_NAMES = ['canary', 'token', 'sealing', 'memory', 'vault', 'fingerprint'] as const;

/** What a derived key is for. */
export type KeyName = (typeof KEY_NAMES)[number];

/** The secret in use and, during a rotation, the one before it. */
export interface SecretPair {
  readonly current: Uint8Array;
  readonly previous: Uint8Array | null;
}

export interface NamedKey {
  /** Eight hex characters that identify the secret the key comes from and reveal nothing about it. */
  readonly id: string;
  readonly key: Buffer;
}

export interface Secrets {
  /** Id of the current secret. */
  readonly keyId: string;
  /** The key for new values. */
  key(name: KeyName): Buffer;
  /** Current first, then the previous one if there is one. */
  keys(name: KeyName): readonly NamedKey[];
  /** HMAC-SHA-256 of a token value in hex, under the current and then the previous key. */
  tokenDigests(value: string): string[];
  /** AES-256-GCM with the key id inside. `aad` ties the result to its place, for example a tenant. */
  seal(plaintext: Uint8Array, aad: string): Uint8Array;
  /** Null when the value was changed, moved to another place, or sealed under a secret that is gone. */
  open(sealed: Uint8Array, aad: string): Uint8Array | null;
}

/** Reads `current` or `current,previous`, each 32 bytes in base64 (either alphabet). Null when it is neither. */
export function parseSecretPair(text: string): SecretPair | null {
  const parts = text.trim().split(',');
  if (parts.length > 2) return null;
  const [current, previous] = parts.map(parseSecret);
  if (current === undefined || current === null || previous === null) return null;
  return { current, previous: previous ?? null };
}

/** The secret of a data directory, created on first use; several processes agree on one. */
export function loadSecretPair(dataDir: string): SecretPair {
  ensurePrivateDir(dataDir);
  const path = join(dataDir, 'secret');
  const { content } = createPrivateFile(path, `${randomBytes(SECRET_BYTES).toString('base64')}\n`);
  const pair = parseSecretPair(content);
  // A new secret would silently void every token and canary, so a damaged file is the operator's decision.
  if (pair === null) throw new Error(`${path}: expected 32 bytes in base64; restore the file from a backup`);
  return pair;
}

/** Derives all keys. Cheap; called once per process. */
export function deriveSecrets(pair: SecretPair): Secrets {
  const sources = pair.previous === null ? [pair.current] : [pair.current, pair.previous];
  const ids = sources.map((source) => derive(source, 'key-id', KEY_ID_BYTES).toString('hex'));
  const table = new Map<KeyName, readonly NamedKey[]>(
    KEY_NAMES.map((name) => [
      name,
      sources.map((source, index) => ({ id: ids[index] as string, key: derive(source, name, SECRET_BYTES) })),
    ]),
  );
  const keys = (name: KeyName) => table.get(name) as readonly NamedKey[];
  const currentKey = (name: KeyName) => (keys(name)[0] as NamedKey).key;
  const keyId = ids[0] as string;
  const header = Buffer.concat([Buffer.from([SEAL_VERSION]), Buffer.from(keyId, 'hex')]);

  return {
    keyId,
    key: currentKey,
    keys,
    tokenDigests: (value) => keys('token').map(({ key }) => createHmac('sha256', key).update(value).digest('hex')),
    seal(plaintext, aad) {
      // Random 96-bit nonces are safe to 2^32 values per key (NIST SP 800-38D 8.3).
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', currentKey('sealing'), nonce);
      cipher.setAAD(Buffer.concat([header, Buffer.from(aad, 'utf8')]));
      return Buffer.concat([header, nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
    },
    open: (sealed, aad) => openSealed(Buffer.from(sealed), aad, keys('sealing')),
  };
}

function openSealed(sealed: Buffer, aad: string, keys: readonly NamedKey[]): Uint8Array | null {
  if (sealed.length < HEADER_BYTES + NONCE_BYTES + TAG_BYTES || sealed[0] !== SEAL_VERSION) return null;
  const id = sealed.toString('hex', 1, HEADER_BYTES);
  const entry = keys.find((key) => key.id === id);
  if (entry === undefined) return null;
  const body = HEADER_BYTES + NONCE_BYTES;
  const decipher = createDecipheriv('aes-256-gcm', entry.key, sealed.subarray(HEADER_BYTES, body), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.concat([sealed.subarray(0, HEADER_BYTES), Buffer.from(aad, 'utf8')]));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plaintext = decipher.update(sealed.subarray(body, sealed.length - TAG_BYTES));
  try {
    return Buffer.concat([plaintext, decipher.final()]);
  } catch {
    // The tag does not fit: an expected outcome, not a fault.
    return null;
  }
}

function parseSecret(text: string): Buffer | null {
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === SECRET_BYTES ? bytes : null;
}

function derive(secret: Uint8Array, name: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, 'portcullis', `v1/${name}`, length));
}
