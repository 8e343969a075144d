/**
 * What the gateway keeps. Key names and lifetimes are the business of the implementations only.
 * Reads see every write that any process on the same store has acknowledged.
 */

export type TokenKind = 'machine' | 'personal';
export type TokenState = 'active' | 'revoked';
export type UserState = 'active' | 'inactive';

/**
 * `admin` implies the rest. `proxy`: /v1/*. `validate`: /validate and /validate_output.
 * `labeller`: may set `opts.truth`.
 */
export type Scope = 'admin' | 'proxy' | 'validate' | 'labeller';

export interface TokenRecord {
  readonly id: string;
  readonly name: string;
  readonly kind: TokenKind;
  readonly userId: string;
  readonly scopes: readonly Scope[];
  readonly defaultTenant: string;
  /** `*` allows every configured tenant. */
  readonly tenants: readonly string[];
  readonly state: TokenState;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly expiresAt: number | null;
}

/** A token as found by its digest, which the caller compares once more in constant time. */
export interface StoredToken extends TokenRecord {
  readonly digest: string;
}

export interface UserRecord {
  readonly id: string;
  readonly state: UserState;
  readonly locked: boolean;
  readonly createdAt: number;
}

/** A canary that was issued or received. The value is stored sealed; `hash` identifies it. */
export interface CanaryRecord {
  /** Registry id, safe to show. */
  readonly id: string;
  readonly tenant: string;
  /** Sealed by the caller; opaque to the store. */
  readonly sealed: Uint8Array;
  readonly carrier: 'system' | 'developer' | 'caller';
  /** Derived by this gateway, so it is also checked across tenants. */
  readonly derived: boolean;
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** Something a provider keeps for a client: a stored response, or one of its items. Ids are the provider's. */
export interface KeptRecord {
  readonly id: string;
  readonly tenant: string;
  /** Name of the provider that has it. */
  readonly provider: string;
  /** Sealed by the caller; opaque to the store. */
  readonly sealed: Uint8Array;
  readonly createdAt: number;
  readonly expiresAt: number;
}

export interface Store {
  /**
   * `digest` is the HMAC-SHA-256 of the token value in hex. Replaces a token of the same id, whose earlier digest no
   * longer matches.
   */
  putToken(digest: string, record: TokenRecord): Promise<void>;
  tokenByDigest(digest: string): Promise<StoredToken | null>;
  tokenById(id: string): Promise<TokenRecord | null>;
  listTokens(): Promise<TokenRecord[]>;
  /** False when there is no such token. */
  revokeToken(id: string): Promise<boolean>;

  putUser(record: UserRecord): Promise<void>;
  user(id: string): Promise<UserRecord | null>;
  /** Null when there is no such user. */
  changeUser(id: string, change: Partial<Pick<UserRecord, 'state' | 'locked'>>): Promise<UserRecord | null>;

  /** Registers or prolongs; the newest expiry wins. A derived canary stays derived whoever registers it again. */
  putCanary(record: CanaryRecord): Promise<void>;
  /** Live canaries of a tenant, latest expiry first, at most `max`, with how many more there are. */
  liveCanaries(tenant: string, now: number, max: number): Promise<{ records: CanaryRecord[]; more: number }>;
  /** Live derived canaries of all tenants but one, latest expiry first, at most `max`. */
  foreignCanaries(tenant: string, now: number, max: number): Promise<CanaryRecord[]>;
  /** Changes whenever a canary is added or prolonged; cheap, for caches. */
  canaryGeneration(): Promise<number>;
  /** Notes what a provider keeps, all or nothing. */
  putKept(records: readonly KeptRecord[]): Promise<void>;
  /** Null when the tenant has no such thing, or no longer. */
  kept(tenant: string, id: string, now: number): Promise<KeptRecord | null>;
  /** False when there was none. */
  removeKept(tenant: string, id: string): Promise<boolean>;
  /** Removes what has expired; returns how many entries. */
  sweep(now: number): Promise<number>;

  close(): Promise<void>;
}
