import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { describe, expect, it } from 'vitest';
import { openEmbedded } from '../../gateway/store/embedded.ts';
import type { KeptRecord } from '../../gateway/store/port.ts';

const record: KeptRecord = {
  id: 'resp_1',
  tenant: 'default',
  provider: 'default',
  sealed: Buffer.from('sealed'),
  createdAt: 1,
  expiresAt: 5_000,
};
const json = { ...record, sealed: Buffer.from(record.sealed).toString('base64') };

describe('a kept record on disk', () => {
  it.each([
    ['bytes that are not JSON', Buffer.from([0, 255, 1])],
    ['an empty value', Buffer.alloc(0)],
    ['a truncated record', Buffer.from('{"id":"resp_1","ten')],
    ['a field of the wrong type', Buffer.from(JSON.stringify({ ...json, expiresAt: 'tomorrow' }))],
    ['a record without its provider', Buffer.from(JSON.stringify({ ...json, provider: undefined }))],
    [
      'another kind of record',
      Buffer.from(JSON.stringify({ id: 'resp_1', state: 'active', locked: false, createdAt: 1 })),
    ],
  ])('that is %s is a miss and reported, and can be replaced, removed and swept', async (_, bytes) => {
    const path = join(mkdtempSync(join(tmpdir(), 'portcullis-')), 'store');
    const damaged: string[] = [];
    const store = openEmbedded(path, { onCorrupt: (table) => damaged.push(table) });
    const raw = open({ path, noSubdir: false, encoding: 'binary', maxDbs: 16 });
    const damage = () => raw.openDB({ name: 'kept', encoding: 'binary' }).put(['default', 'resp_1'], bytes);

    await store.putKept([record]);
    await damage();
    expect(await store.kept('default', 'resp_1', 1_000)).toBeNull();
    expect(damaged).toEqual(['kept']);

    await store.putKept([record]);
    expect((await store.kept('default', 'resp_1', 1_000))?.provider).toBe('default');

    await damage();
    expect(await store.removeKept('default', 'resp_1')).toBe(true);
    const seen = damaged.length;
    expect(await store.kept('default', 'resp_1', 1_000)).toBeNull();
    expect(damaged).toHaveLength(seen);

    await store.putKept([record]);
    await damage();
    expect(await store.sweep(5_000)).toBe(1);
    expect(await store.kept('default', 'resp_1', 1_000)).toBeNull();
    expect(damaged).toHaveLength(seen);
    await raw.close();
    await store.close();
  });
});
