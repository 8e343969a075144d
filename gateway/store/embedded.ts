/**
 * The store in one LMDB file, shared by the processes of one host: the server, and the command line beside it.
 * A write is acknowledged after the disk has it. A damaged record is a miss and is reported, never thrown.
 * Local disks only: LMDB relies on shared memory maps and file locks.
 */
import { type Database, open, type RootDatabase } from 'lmdb';
import { ensurePrivateDir } from '../dataDir.ts';
import { KeptTable } from './keptTable.ts';
import type { CanaryRecord, KeptRecord, Store, StoredToken, TokenRecord, UserRecord } from './port.ts';
import { canarySchema, encodeRecord, RecordReader, storedTokenSchema, userSchema } from './records.ts';

/** LMDB keys end at 1978 bytes; ours are short, and what is longer cannot be a name we gave. */
const KEY_CHARS_MAX = 256;
/** Entries removed per transaction, so that a sweep never holds the write lock for long. */
const SWEEP_BATCH = 1_000;
const GENERATION = 'canaryGeneration';
const DERIVED = Buffer.from([1]);
const NOTHING = Buffer.from([0]);
/** Sorts after every expiry. */
const NEVER = Number.POSITIVE_INFINITY;

export interface EmbeddedOptions {
  /** Called once per damaged record met, with the table it is in. */
  readonly onCorrupt?: (table: string) => void;
}

/** Opens `path`, a directory of its own. Throws when the file is damaged or the directory cannot be used. */
export function openEmbedded(path: string, { onCorrupt = () => {} }: EmbeddedOptions = {}): Store {
  ensurePrivateDir(path);
  const root = open({ path, noSubdir: false, encoding: 'binary', maxDbs: 16 });
  return new EmbeddedStore(root, onCorrupt);
}

type Key = string | (string | number)[];

class EmbeddedStore implements Store {
  readonly #root: RootDatabase;
  readonly #tokenReader: RecordReader<StoredToken>;
  readonly #userReader: RecordReader<UserRecord>;
  readonly #canaryReader: RecordReader<CanaryRecord>;
  /** digest -> token */
  readonly #tokens: Database<Buffer, Key>;
  /** token id -> digest */
  readonly #tokenIds: Database<string, Key>;
  readonly #users: Database<Buffer, Key>;
  /** [tenant, id] -> canary */
  readonly #canaries: Database<Buffer, Key>;
  /** [tenant, expiresAt, id] -> nothing: one tenant's canaries by expiry, countable without reading them */
  readonly #byTenant: Database<Buffer, Key>;
  /** [expiresAt, tenant, id] -> `DERIVED` or nothing: all canaries by expiry */
  readonly #byExpiry: Database<Buffer, Key>;
  readonly #kept: KeptTable;
  readonly #meta: Database<string, Key>;

  constructor(root: RootDatabase, onCorrupt: (table: string) => void) {
    this.#root = root;
    this.#tokenReader = new RecordReader(storedTokenSchema, () => onCorrupt('tokens'));
    this.#userReader = new RecordReader(userSchema, () => onCorrupt('users'));
    this.#canaryReader = new RecordReader(canarySchema, () => onCorrupt('canaries'));
    this.#tokens = root.openDB({ name: 'tokens', encoding: 'binary' });
    this.#tokenIds = root.openDB({ name: 'tokenIds', encoding: 'string' });
    this.#users = root.openDB({ name: 'users', encoding: 'binary' });
    this.#canaries = root.openDB({ name: 'canaries', encoding: 'binary' });
    this.#byTenant = root.openDB({ name: 'canariesByTenant', encoding: 'binary' });
    this.#byExpiry = root.openDB({ name: 'canariesByExpiry', encoding: 'binary' });
    this.#kept = new KeptTable(root, () => onCorrupt('kept'));
    this.#meta = root.openDB({ name: 'meta', encoding: 'string' });
  }

  async putToken(digest: string, record: TokenRecord): Promise<void> {
    checkKeys(digest, record.id);
    const stored: StoredToken = { ...record, digest };
    await this.#write(() => {
      const before = this.#tokenIds.get(record.id);
      if (before !== undefined && before !== digest) void this.#tokens.remove(before);
      void this.#tokens.put(digest, encodeRecord(stored));
      void this.#tokenIds.put(record.id, digest);
    });
  }

  async tokenByDigest(digest: string): Promise<StoredToken | null> {
    return this.#fresh(() => this.#token(digest));
  }

  async tokenById(id: string): Promise<TokenRecord | null> {
    return this.#fresh(() => {
      const digest = isKey(id) ? this.#tokenIds.get(id) : undefined;
      const token = digest === undefined ? null : this.#token(digest);
      return token === null ? null : withoutDigest(token);
    });
  }

  async listTokens(): Promise<TokenRecord[]> {
    return this.#fresh(() => {
      const records: TokenRecord[] = [];
      for (const { value } of this.#tokens.getRange()) {
        const token = this.#tokenReader.read(value);
        if (token !== null) records.push(withoutDigest(token));
      }
      return records.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
    });
  }

  async revokeToken(id: string): Promise<boolean> {
    if (!isKey(id)) return false;
    return this.#write(() => {
      const digest = this.#tokenIds.get(id);
      if (digest === undefined) return false;
      const token = this.#token(digest);
      // A damaged record cannot be marked, and must not come back either.
      if (token === null) void this.#tokens.remove(digest);
      else void this.#tokens.put(digest, encodeRecord({ ...token, state: 'revoked' }));
      return true;
    });
  }

  async putUser(record: UserRecord): Promise<void> {
    checkKeys(record.id);
    await this.#write(() => void this.#users.put(record.id, encodeRecord(record)));
  }

  async user(id: string): Promise<UserRecord | null> {
    return this.#fresh(() => this.#user(id));
  }

  async changeUser(id: string, change: Partial<Pick<UserRecord, 'state' | 'locked'>>): Promise<UserRecord | null> {
    return this.#write(() => {
      const before = this.#user(id);
      if (before === null) return null;
      const after: UserRecord = { ...before, ...change };
      void this.#users.put(id, encodeRecord(after));
      return after;
    });
  }

  async putCanary(record: CanaryRecord): Promise<void> {
    checkKeys(record.id, record.tenant);
    await this.#write(() => {
      const { tenant, id } = record;
      const before = this.#canary(tenant, id);
      const after = before === null ? record : prolonged(before, record);
      if (after === before) return;
      if (before !== null) this.#unindex(before);
      void this.#canaries.put([tenant, id], encodeRecord(after));
      void this.#byTenant.put([tenant, after.expiresAt, id], NOTHING);
      void this.#byExpiry.put([after.expiresAt, tenant, id], after.derived ? DERIVED : NOTHING);
      void this.#meta.put(GENERATION, String(this.#generation() + 1));
    });
  }

  async liveCanaries(tenant: string, now: number, max: number): Promise<{ records: CanaryRecord[]; more: number }> {
    if (!isKey(tenant)) return { records: [], more: 0 };
    return this.#fresh(() => {
      // Integers only, so `now + 1` starts after everything that expires now.
      const first: Key = [tenant, now + 1];
      const last: Key = [tenant, NEVER];
      const live = this.#byTenant.getKeysCount({ start: first, end: last });
      const records: CanaryRecord[] = [];
      for (const key of this.#byTenant.getKeys({ start: last, end: first, reverse: true, limit: max })) {
        const record = this.#canary(tenant, String((key as Key)[2]));
        if (record !== null) records.push(record);
      }
      return { records, more: Math.max(0, live - max) };
    });
  }

  async foreignCanaries(tenant: string, now: number, max: number): Promise<CanaryRecord[]> {
    return this.#fresh(() => {
      const records: CanaryRecord[] = [];
      for (const { key, value } of this.#byExpiry.getRange({
        start: [NEVER],
        end: [now + 1],
        reverse: true,
      })) {
        if (records.length >= max) break;
        const [, owner, id] = key as [number, string, string];
        if (!value.equals(DERIVED) || owner === tenant) continue;
        const record = this.#canary(owner, id);
        if (record !== null) records.push(record);
      }
      return records;
    });
  }

  async canaryGeneration(): Promise<number> {
    return this.#fresh(() => this.#generation());
  }

  async putKept(records: readonly KeptRecord[]): Promise<void> {
    checkKeys(...records.flatMap(({ id, tenant }) => [id, tenant]));
    await this.#write(() => this.#kept.put(records));
  }

  async kept(tenant: string, id: string, now: number): Promise<KeptRecord | null> {
    return this.#fresh(() => (isKey(tenant) && isKey(id) ? this.#kept.get(tenant, id, now) : null));
  }

  async removeKept(tenant: string, id: string): Promise<boolean> {
    return isKey(tenant) && isKey(id) ? this.#write(() => this.#kept.remove(tenant, id)) : false;
  }

  async sweep(now: number): Promise<number> {
    let removed = 0;
    for (;;) {
      const batch = await this.#write(() => {
        const keys = [...this.#byExpiry.getKeys({ end: [now + 1], limit: SWEEP_BATCH })];
        for (const key of keys) {
          const [expiresAt, tenant, id] = key as [number, string, string];
          void this.#byExpiry.remove(key);
          void this.#byTenant.remove([tenant, expiresAt, id]);
          void this.#canaries.remove([tenant, id]);
        }
        return keys.length + this.#kept.sweep(now, SWEEP_BATCH - keys.length);
      });
      removed += batch;
      if (batch < SWEEP_BATCH) return removed;
    }
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  /** Reads the latest commit of any process; without the reset, all reads of one event turn share its first snapshot. */
  #fresh<T>(read: () => T): T {
    this.#root.resetReadTxn();
    return read();
  }

  /** Runs `change` alone among all processes, and returns once the disk has it. */
  async #write<T>(change: () => T): Promise<T> {
    const result = await this.#root.transaction(change);
    await this.#root.flushed;
    return result;
  }

  #generation(): number {
    const count = Number(this.#meta.get(GENERATION) ?? 0);
    // After damage, any number that was not used before will do.
    return Number.isSafeInteger(count) ? count : Date.now();
  }

  #token(digest: string): StoredToken | null {
    if (!isKey(digest)) return null;
    return this.#tokenReader.readOften(digest, this.#tokens.get(digest));
  }

  #user(id: string): UserRecord | null {
    return isKey(id) ? this.#userReader.readOften(id, this.#users.get(id)) : null;
  }

  #canary(tenant: string, id: string): CanaryRecord | null {
    return this.#canaryReader.read(this.#canaries.get([tenant, id]));
  }

  #unindex({ tenant, expiresAt, id }: CanaryRecord): void {
    void this.#byTenant.remove([tenant, expiresAt, id]);
    void this.#byExpiry.remove([expiresAt, tenant, id]);
  }
}

function prolonged(before: CanaryRecord, again: CanaryRecord): CanaryRecord {
  const derived = before.derived || again.derived;
  if (again.expiresAt <= before.expiresAt && derived === before.derived) return before;
  // A caller who sends a derived canary back must not take it out of the check across tenants.
  const source = before.derived ? before : again;
  return { ...source, derived, createdAt: before.createdAt, expiresAt: Math.max(before.expiresAt, again.expiresAt) };
}

function withoutDigest({ digest: _, ...record }: StoredToken): TokenRecord {
  return record;
}

function isKey(text: string): boolean {
  return text.length > 0 && text.length <= KEY_CHARS_MAX && !text.includes('\0');
}

function checkKeys(...texts: readonly string[]): void {
  if (!texts.every(isKey)) throw new RangeError(`store keys have 1 to ${KEY_CHARS_MAX} characters and no NUL`);
}
