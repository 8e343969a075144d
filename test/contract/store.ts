/** What every store must do. One suite, run against each implementation. */
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CanaryRecord, Store, TokenRecord, UserRecord } from '../../gateway/store/port.ts';
import { keptContract } from './keptRecords.ts';

export interface Opened {
  readonly store: Store;
  /** A second connection to the same data, as another process would have it. */
  readonly other: Store;
  close(): Promise<void>;
}

const digestOf = (text: string) => createHash('sha256').update(text).digest('hex');
const fresh = (prefix: string) => `${prefix}-${randomBytes(6).toString('hex')}`;

function token(change: Partial<TokenRecord> = {}): TokenRecord {
  return {
    id: fresh('token'),
    name: 'a name with "quotes", ünïcode and \u{1f511}',
    kind: 'machine',
    userId: 'admin',
    scopes: ['proxy', 'validate'],
    defaultTenant: 'default',
    tenants: ['default'],
    state: 'active',
    createdAt: 1_000,
    expiresAt: null,
    ...change,
  };
}

function canary(tenant: string, change: Partial<CanaryRecord> = {}): CanaryRecord {
  return {
    id: fresh('canary'),
    tenant,
    sealed: randomBytes(48),
    carrier: 'system',
    derived: true,
    createdAt: 1_000,
    expiresAt: 5_000,
    ...change,
  };
}

const ids = (records: readonly CanaryRecord[]) => records.map((record) => record.id);

/** Runs the suite; `open` gives an empty store. */
export function storeContract(name: string, open: () => Promise<Opened>): void {
  describe(`${name} store`, () => {
    let opened: Opened;
    let store: Store;
    let other: Store;
    beforeAll(async () => {
      opened = await open();
      ({ store, other } = opened);
    });
    afterAll(() => opened.close());

    describe('tokens', () => {
      it('are found by digest and by id, on every connection', async () => {
        const record = token({ expiresAt: 9_000, tenants: ['*'], scopes: ['admin'] });
        const digest = digestOf(record.id);
        await store.putToken(digest, record);
        expect(await other.tokenByDigest(digest)).toEqual({ ...record, digest });
        expect(await other.tokenById(record.id)).toEqual(record);
        expect(await other.listTokens()).toContainEqual(record);
      });

      it.each(['', 'x', 'x'.repeat(100_000), 'a\0b', '\ud800'])('are not found under a made-up name', async (key) => {
        expect(await store.tokenByDigest(key)).toBeNull();
        expect(await store.tokenById(key)).toBeNull();
        expect(await store.revokeToken(key)).toBe(false);
        expect(await store.user(key)).toBeNull();
        expect(await store.changeUser(key, { locked: true })).toBeNull();
      });

      it('are revoked everywhere at once and stay revoked', async () => {
        const record = token();
        const digest = digestOf(record.id);
        await store.putToken(digest, record);
        expect((await other.tokenByDigest(digest))?.state).toBe('active');
        expect(await store.revokeToken(record.id)).toBe(true);
        expect((await other.tokenByDigest(digest))?.state).toBe('revoked');
        expect(await other.revokeToken(record.id)).toBe(true);
        expect(await other.tokenById(record.id)).toEqual({ ...record, state: 'revoked' });
      });

      it('have one digest at a time', async () => {
        const record = token();
        await store.putToken(digestOf('old'), record);
        await store.putToken(digestOf('new'), record);
        expect(await store.tokenByDigest(digestOf('old'))).toBeNull();
        expect((await store.tokenByDigest(digestOf('new')))?.id).toBe(record.id);
        expect((await store.listTokens()).filter((entry) => entry.id === record.id)).toHaveLength(1);
      });
    });

    describe('users', () => {
      it('are kept and changed field by field', async () => {
        const user: UserRecord = { id: fresh('user'), state: 'active', locked: false, createdAt: 1 };
        await store.putUser(user);
        expect(await other.user(user.id)).toEqual(user);
        expect(await other.changeUser(user.id, { locked: true })).toEqual({ ...user, locked: true });
        expect(await store.changeUser(user.id, { state: 'inactive' })).toEqual({
          ...user,
          locked: true,
          state: 'inactive',
        });
      });

      it('keep both of two changes made at once', async () => {
        const user: UserRecord = { id: fresh('user'), state: 'active', locked: false, createdAt: 1 };
        await store.putUser(user);
        await Promise.all([
          store.changeUser(user.id, { locked: true }),
          other.changeUser(user.id, { state: 'inactive' }),
        ]);
        expect(await store.user(user.id)).toEqual({ ...user, locked: true, state: 'inactive' });
      });
    });

    describe('canaries', () => {
      let tenant: string;
      beforeEach(() => {
        tenant = fresh('tenant');
      });

      it('come back byte for byte, latest expiry first, with the number left out', async () => {
        const records = [1, 2, 3].map((n) => canary(tenant, { expiresAt: 5_000 + n }));
        for (const record of records) await store.putCanary(record);
        const [first, second, third] = records as [CanaryRecord, CanaryRecord, CanaryRecord];
        const live = await other.liveCanaries(tenant, 1_000, 2);
        expect(live.more).toBe(1);
        expect(live.records.map((record) => ({ ...record, sealed: Buffer.from(record.sealed) }))).toEqual(
          [third, second].map((record) => ({ ...record, sealed: Buffer.from(record.sealed) })),
        );
        expect(ids((await store.liveCanaries(tenant, 1_000, 64)).records)).toContain(first.id);
      });

      it('are live until their expiry and not at it', async () => {
        await store.putCanary(canary(tenant, { expiresAt: 5_000 }));
        expect((await store.liveCanaries(tenant, 4_999, 64)).records).toHaveLength(1);
        expect(await store.liveCanaries(tenant, 5_000, 64)).toEqual({ records: [], more: 0 });
      });

      it('are prolonged by being registered again and never shortened', async () => {
        const record = canary(tenant);
        await store.putCanary(record);
        await other.putCanary({ ...record, expiresAt: 8_000 });
        await store.putCanary({ ...record, expiresAt: 6_000 });
        const { records, more } = await store.liveCanaries(tenant, 7_000, 64);
        expect([ids(records), more]).toEqual([[record.id], 0]);
        expect(records[0]?.expiresAt).toBe(8_000);
      });

      it('stay derived when a caller registers the same one', async () => {
        const record = canary(tenant);
        await store.putCanary(record);
        await store.putCanary({ ...record, derived: false, carrier: 'caller', expiresAt: 9_000 });
        const { records } = await store.liveCanaries(tenant, 1_000, 64);
        expect(records[0]).toMatchObject({ derived: true, carrier: 'system', expiresAt: 9_000 });
      });

      it('belong to one tenant: the same id elsewhere is another canary', async () => {
        const record = canary(tenant);
        const elsewhere = canary(fresh('tenant'), { id: record.id });
        await store.putCanary(record);
        await store.putCanary(elsewhere);
        expect((await store.liveCanaries(tenant, 1_000, 64)).records).toHaveLength(1);
        expect((await store.liveCanaries(elsewhere.tenant, 1_000, 64)).records).toHaveLength(1);
        // A tenant whose name begins like another's.
        expect((await store.liveCanaries(tenant.slice(0, -1), 1_000, 64)).records).toEqual([]);
      });

      it('of other tenants are given only when derived and live', async () => {
        const stranger = fresh('tenant');
        const [mine, theirs, dead, called] = [
          canary(tenant, { expiresAt: 90_004 }),
          canary(stranger, { expiresAt: 90_003 }),
          canary(stranger, { expiresAt: 90_000 }),
          canary(stranger, { expiresAt: 90_002, derived: false, carrier: 'caller' }),
        ] as const;
        for (const record of [mine, theirs, dead, called]) await store.putCanary(record);
        expect(ids(await other.foreignCanaries(tenant, 90_000, 64))).toEqual([theirs.id]);
        expect(ids(await other.foreignCanaries(stranger, 90_000, 64))).toEqual([mine.id]);
        expect(ids(await other.foreignCanaries('nobody', 90_000, 1))).toEqual([mine.id]);
      });

      it('change the generation when added or prolonged, and not when nothing changes', async () => {
        const record = canary(tenant);
        const before = await store.canaryGeneration();
        await store.putCanary(record);
        const added = await other.canaryGeneration();
        expect(added).not.toBe(before);
        await store.putCanary(record);
        expect(await other.canaryGeneration()).toBe(added);
        await store.putCanary({ ...record, expiresAt: 6_000 });
        expect(await other.canaryGeneration()).not.toBe(added);
      });

      it('are swept once they have expired', async () => {
        await store.sweep(50_000);
        const kept = canary(tenant, { expiresAt: 50_001 });
        await store.putCanary(canary(tenant, { expiresAt: 49_000 }));
        await store.putCanary(canary(tenant, { expiresAt: 50_000 }));
        await store.putCanary(kept);
        expect(await other.sweep(50_000)).toBe(2);
        expect(await store.sweep(50_000)).toBe(0);
        expect(ids((await store.liveCanaries(tenant, 0, 64)).records)).toEqual([kept.id]);
      });

      it('are swept in any number', async () => {
        await store.sweep(60_000);
        await Promise.all(
          Array.from({ length: 2_500 }, (_, n) => store.putCanary(canary(tenant, { expiresAt: 51_000 + n }))),
        );
        expect((await store.liveCanaries(tenant, 51_000, 10)).more).toBe(2_489);
        expect(await store.sweep(60_000)).toBe(2_500);
      });
    });

    keptContract(() => ({ store, other }));
  });
}
