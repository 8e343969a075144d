/**
 * API keys: made here, shown once, kept only as digests. The value of a key exists in this process for the length of
 * one call.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { createPrivateFile, ensurePrivateDir } from './dataDir.ts';
import type { Secrets } from './secrets.ts';
import type { Scope, Store, StoredToken, TokenKind, TokenRecord, UserRecord } from './store/port.ts';

/** The user that owns keys made without naming one. */
export const DEFAULT_USER = 'admin';
/** Id of the key that the environment gives. */
export const ENVIRONMENT_TOKEN = 'environment';
/** Id of the key made on first run. */
export const FIRST_TOKEN = 'first';

/** Longer values are refused before any hashing, so a header cannot buy work. */
const PRESENTED_CHARS_MAX = 512;
const VALUE_BYTES = 32;
const ID_BYTES = 8;
const ALL_TENANTS = '*';
const DEFAULT_TENANT = 'default';

export interface NewToken {
  readonly name: string;
  readonly userId?: string;
  readonly kind?: TokenKind;
  readonly scopes: readonly Scope[];
  readonly defaultTenant: string;
  /** `*` allows every configured tenant. */
  readonly tenants: readonly string[];
  /** Milliseconds since the epoch; null never expires. */
  readonly expiresAt: number | null;
}

/** Why a key was refused, in the words of the validate API. */
export type RefusalReason = 'not_found' | 'inactive' | 'user_locked' | 'user_inactive';

export type Authentication =
  | { readonly kind: 'ok'; readonly token: TokenRecord; readonly user: UserRecord }
  | { readonly kind: 'refused'; readonly reason: RefusalReason };

export type FirstKey =
  | { readonly created: true; readonly value: string; readonly path: string }
  | { readonly created: false; readonly path: string };

export interface Keys {
  /** The value is returned here and never again. */
  createToken(token: NewToken): Promise<{ value: string; token: TokenRecord }>;
  /** Checks in order: key known, key active, owner active, owner not locked. The first failure names the reason. */
  authenticate(value: string): Promise<Authentication>;
  /**
   * Makes the environment's key a global admin key, again and again with the same result. Null takes back one that
   * was seeded earlier: a key that left the environment must stop working.
   */
  seedEnvironmentKey(value: string | null): Promise<void>;
  /** Makes the first key of a data directory and keeps it in `<dataDir>/api-key`. */
  ensureFirstKey(dataDir: string): Promise<FirstKey>;
}

export interface KeysDeps {
  readonly store: Store;
  readonly secrets: Secrets;
  readonly now?: () => number;
}

/** Whether the token may act for the tenant. Whether the tenant exists is the configuration's business. */
export function mayUseTenant(token: TokenRecord, tenant: string): boolean {
  return token.tenants.includes(ALL_TENANTS) || token.tenants.includes(tenant) || token.defaultTenant === tenant;
}

/** Whether the token has the scope; `admin` implies the rest. */
export function hasScope(token: TokenRecord, scope: Scope): boolean {
  return token.scopes.includes('admin') || token.scopes.includes(scope);
}

export function createKeys({ store, secrets, now = Date.now }: KeysDeps): Keys {
  const put = async (value: string, record: TokenRecord) => {
    if ((await store.user(record.userId)) === null) {
      await store.putUser({ id: record.userId, state: 'active', locked: false, createdAt: now() });
    }
    await store.putToken(secrets.tokenDigests(value)[0] as string, record);
  };
  const adminToken = (id: string, name: string): TokenRecord => ({
    id,
    name,
    kind: 'machine',
    userId: DEFAULT_USER,
    scopes: ['admin'],
    defaultTenant: DEFAULT_TENANT,
    tenants: [ALL_TENANTS],
    state: 'active',
    createdAt: now(),
    expiresAt: null,
  });

  const find = async (value: string): Promise<StoredToken | null> => {
    if (value.length === 0 || value.length > PRESENTED_CHARS_MAX) return null;
    for (const digest of secrets.tokenDigests(value)) {
      const token = await store.tokenByDigest(digest);
      if (token !== null && equalDigests(token.digest, digest)) return token;
    }
    return null;
  };

  const authenticate = async (value: string): Promise<Authentication> => {
    const found = await find(value);
    if (found === null) return refused('not_found');
    const { digest: _, ...token } = found;
    if (token.state !== 'active' || (token.expiresAt !== null && token.expiresAt <= now())) return refused('inactive');
    const user = await store.user(token.userId);
    if (user === null || user.state !== 'active') return refused('user_inactive');
    if (user.locked) return refused('user_locked');
    return { kind: 'ok', token, user };
  };

  return {
    authenticate,
    async createToken({ name, userId = DEFAULT_USER, kind = 'machine', ...rest }) {
      const value = newValue();
      const token: TokenRecord = {
        id: randomBytes(ID_BYTES).toString('hex'),
        name,
        kind,
        userId,
        ...rest,
        state: 'active',
        createdAt: now(),
      };
      await put(value, token);
      return { value, token };
    },
    async seedEnvironmentKey(value) {
      if (value === null) {
        await store.revokeToken(ENVIRONMENT_TOKEN);
        return;
      }
      const found = await find(value);
      if (found?.id === ENVIRONMENT_TOKEN && found.state === 'active') return;
      await put(value, adminToken(ENVIRONMENT_TOKEN, 'environment key'));
    },
    async ensureFirstKey(dataDir) {
      ensurePrivateDir(dataDir);
      const path = join(dataDir, 'api-key');
      const { created, content } = createPrivateFile(path, `${newValue()}\n`);
      const value = content.trim();
      // The file may have outlived the store or the secret; a key that was revoked stays revoked.
      const known = await store.tokenById(FIRST_TOKEN);
      if (known?.state !== 'revoked' && (await find(value)) === null) {
        await put(value, adminToken(FIRST_TOKEN, 'first key'));
      }
      return created ? { created, value, path } : { created, path };
    },
  };
}

function newValue(): string {
  return `pck_${randomBytes(VALUE_BYTES).toString('base64url')}`;
}

function refused(reason: RefusalReason): Authentication {
  return { kind: 'refused', reason };
}

function equalDigests(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
