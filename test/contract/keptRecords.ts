/** What every store promises of kept records. */
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { KeptRecord, Store } from '../../gateway/store/port.ts';

const fresh = (prefix: string) => `${prefix}-${randomBytes(6).toString('hex')}`;

function record(tenant: string, change: Partial<KeptRecord> = {}): KeptRecord {
  return {
    id: fresh('resp'),
    tenant,
    provider: 'default',
    sealed: randomBytes(48),
    createdAt: 1_000,
    expiresAt: 1_005_000,
    ...change,
  };
}

/** Byte arrays of any kind compare by their bytes. */
const plain = (found: KeptRecord | null) => (found === null ? null : { ...found, sealed: Buffer.from(found.sealed) });

/** Runs the suite on stores that are open by the time a test runs. */
export function keptContract(stores: () => { readonly store: Store; readonly other: Store }): void {
  describe('kept records', () => {
    let store: Store;
    let other: Store;
    let tenant: string;
    beforeEach(() => {
      ({ store, other } = stores());
      tenant = fresh('tenant');
    });

    it('come back byte for byte on every connection', async () => {
      const records = [record(tenant), record(tenant, { provider: 'other', sealed: Buffer.alloc(0) })];
      await store.putKept(records);
      for (const one of records) {
        for (const connection of [store, other]) expect(plain(await connection.kept(tenant, one.id, 0))).toEqual(one);
      }
    });

    it('may be large', async () => {
      const one = record(tenant, { sealed: randomBytes(500_000) });
      await store.putKept([one]);
      expect(plain(await other.kept(tenant, one.id, 0))).toEqual(one);
    });

    it('are there until their expiry and not at it', async () => {
      const one = record(tenant, { expiresAt: 1_005_000 });
      await store.putKept([one]);
      expect((await other.kept(tenant, one.id, 1_004_999))?.id).toBe(one.id);
      expect(await other.kept(tenant, one.id, 1_005_000)).toBeNull();
    });

    it('belong to one tenant: the same id elsewhere is another record', async () => {
      const mine = record(tenant);
      const theirs = record(fresh('tenant'), { id: mine.id });
      await store.putKept([mine, theirs]);
      expect(plain(await store.kept(tenant, mine.id, 0))).toEqual(mine);
      expect(plain(await store.kept(theirs.tenant, mine.id, 0))).toEqual(theirs);
      expect(await other.removeKept(theirs.tenant, mine.id)).toBe(true);
      expect(plain(await store.kept(tenant, mine.id, 0))).toEqual(mine);
      expect(await store.kept(theirs.tenant, mine.id, 0)).toBeNull();
      // Names that are the same when they are put together.
      expect(await store.kept(tenant.slice(0, -1), tenant.slice(-1) + mine.id, 0)).toBeNull();
      expect(await store.kept(tenant + mine.id.slice(0, 1), mine.id.slice(1), 0)).toBeNull();
    });

    it('are replaced as a whole by a record of the same id, its expiry included', async () => {
      const before = record(tenant, { expiresAt: 1_002_000 });
      const after = record(tenant, { id: before.id, provider: 'other', expiresAt: 1_009_000 });
      await store.putKept([before]);
      await other.putKept([after]);
      expect(plain(await store.kept(tenant, before.id, 1_003_000))).toEqual(after);
      await store.sweep(1_003_000);
      expect(plain(await store.kept(tenant, before.id, 1_003_000))).toEqual(after);
      await other.putKept([{ ...after, expiresAt: 1_004_000 }]);
      expect(await store.kept(tenant, before.id, 1_004_000)).toBeNull();
      expect(await store.sweep(1_004_000)).toBe(1);
    });

    it('of one id in one batch are the last of them', async () => {
      const first = record(tenant, { expiresAt: 1_002_000 });
      const last = record(tenant, { id: first.id, expiresAt: 1_006_000 });
      await store.putKept([first, last]);
      expect(plain(await other.kept(tenant, first.id, 1_003_000))).toEqual(last);
      expect(await store.sweep(1_003_000)).toBe(0);
    });

    it('are removed once, on every connection', async () => {
      const one = record(tenant);
      await store.putKept([one]);
      expect(await other.removeKept(tenant, one.id)).toBe(true);
      expect(await store.kept(tenant, one.id, 0)).toBeNull();
      expect(await store.removeKept(tenant, one.id)).toBe(false);
      await store.putKept([one]);
      expect(plain(await other.kept(tenant, one.id, 0))).toEqual(one);
    });

    it.each([
      'resp_1',
      'a',
      '..',
      '../../etc/passwd',
      'a/b?c#d%2e',
      ' blank ',
      '"quoted"\\',
      'line\nbreak\r\t',
      'ünïcode \u{1f511} 你好',
      '__proto__',
      '\u0001',
      '\uffff',
      'x'.repeat(256),
      '你'.repeat(256),
    ])('have ids of any kind: %j', async (id) => {
      const long = `${tenant}${'你'.repeat(200)}`;
      for (const owner of [tenant, long]) {
        const one = record(owner, { id });
        await store.putKept([one]);
        expect(plain(await other.kept(owner, id, 0))).toEqual(one);
        expect(await other.kept(owner, `${id}x`, 0)).toBeNull();
        expect(await other.removeKept(owner, id)).toBe(true);
      }
    });

    it.each(['', 'x'.repeat(257), 'a\0b', 'x'.repeat(100_000)])(
      'are never found under a name that cannot be one',
      async (name) => {
        expect(await store.kept(tenant, name, 0)).toBeNull();
        expect(await store.kept(name, 'resp_1', 0)).toBeNull();
        expect(await store.removeKept(tenant, name)).toBe(false);
        expect(await store.removeKept(name, 'resp_1')).toBe(false);
      },
    );

    it.each(['', 'x'.repeat(257), 'a\0b'])('are put all or none: with a bad name, none', async (id) => {
      const good = record(tenant);
      await expect(store.putKept([good, record(tenant, { id })])).rejects.toThrow(RangeError);
      await expect(store.putKept([record(id), good])).rejects.toThrow(RangeError);
      expect(await store.kept(tenant, good.id, 0)).toBeNull();
    });

    it('may be none at all', async () => {
      await store.putKept([]);
      expect(await store.kept(tenant, 'resp_1', 0)).toBeNull();
    });

    it('are swept once they have expired, and in any number', async () => {
      await store.sweep(2_000_000);
      const expired = Array.from({ length: 2_100 }, (_, n) => record(tenant, { expiresAt: 2_000_001 + n }));
      const live = record(tenant, { expiresAt: 2_500_001 });
      const gone = expired[7] as KeptRecord;
      await Promise.all([0, 700, 1_400].map((at) => store.putKept(expired.slice(at, at + 700))));
      await store.putKept([live]);
      await store.removeKept(tenant, gone.id);
      expect(await other.sweep(2_500_000)).toBe(2_099);
      expect(await store.sweep(2_500_000)).toBe(0);
      expect(await store.kept(tenant, (expired[0] as KeptRecord).id, 0)).toBeNull();
      expect(plain(await other.kept(tenant, live.id, 0))).toEqual(live);
    });

    it('and canaries are swept together', async () => {
      await store.sweep(3_000_000);
      const canary = {
        id: fresh('canary'),
        tenant,
        sealed: randomBytes(48),
        carrier: 'system',
        derived: true,
      } as const;
      await store.putCanary({ ...canary, createdAt: 1, expiresAt: 3_000_001 });
      await store.putKept([record(tenant, { expiresAt: 3_000_001 })]);
      expect(await store.sweep(3_000_001)).toBe(2);
    });
  });
}
