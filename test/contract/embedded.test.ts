import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { describe, expect, it } from 'vitest';
import { openEmbedded } from '../../gateway/store/embedded.ts';
import type { TokenRecord } from '../../gateway/store/port.ts';
import { storeContract } from './store.ts';

const temporary = () => mkdtempSync(join(tmpdir(), 'portcullis-'));
const digest = 'd'.repeat(64);
const token: TokenRecord = {
  id: 'one',
  name: 'one',
  kind: 'machine',
  userId: 'admin',
  scopes: ['proxy'],
  defaultTenant: 'default',
  tenants: ['default'],
  state: 'active',
  createdAt: 1,
  expiresAt: null,
};

storeContract('embedded', async () => {
  const dir = temporary();
  const store = openEmbedded(join(dir, 'store'));
  const other = openEmbedded(join(dir, 'store'));
  return {
    store,
    other,
    async close() {
      await store.close();
      await other.close();
      rmSync(dir, { recursive: true });
    },
  };
});

describe('the embedded store on disk', () => {
  it('is a directory for its owner alone', async () => {
    const path = join(temporary(), 'store');
    await openEmbedded(path).close();
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  it('keeps what it acknowledged when it is opened again', async () => {
    const path = join(temporary(), 'store');
    const first = openEmbedded(path);
    await first.putToken(digest, token);
    await first.close();
    const second = openEmbedded(path);
    expect(await second.tokenById('one')).toEqual(token);
    await second.close();
  });

  it.each([
    ['bytes that are not JSON', Buffer.from([0, 255, 1])],
    ['an empty value', Buffer.alloc(0)],
    ['a truncated record', Buffer.from('{"id":"one","name":"o')],
    ['a field of the wrong type', Buffer.from(JSON.stringify({ ...token, digest, createdAt: 'yesterday' }))],
    ['an unknown scope', Buffer.from(JSON.stringify({ ...token, digest, scopes: ['root'] }))],
    [
      'another kind of record',
      Buffer.from(JSON.stringify({ id: 'one', state: 'active', locked: false, createdAt: 1 })),
    ],
  ])('takes %s for a miss and reports it', async (_, bytes) => {
    const path = join(temporary(), 'store');
    const damaged: string[] = [];
    const store = openEmbedded(path, { onCorrupt: (table) => damaged.push(table) });
    await store.putToken(digest, token);
    const raw = open({ path, noSubdir: false, encoding: 'binary', maxDbs: 16 });
    await raw.openDB({ name: 'tokens', encoding: 'binary' }).put(digest, bytes);
    await raw.openDB({ name: 'users', encoding: 'binary' }).put('admin', bytes);
    await raw.openDB({ name: 'meta', encoding: 'string' }).put('canaryGeneration', '?');
    expect(await store.tokenByDigest(digest)).toBeNull();
    expect(await store.tokenById('one')).toBeNull();
    expect(await store.listTokens()).toEqual([]);
    expect(damaged).toEqual(['tokens', 'tokens', 'tokens']);
    expect(await store.canaryGeneration()).toBeGreaterThan(0);
    expect(await store.revokeToken('one')).toBe(true);
    expect(await store.tokenById('one')).toBeNull();
    await raw.close();
    await store.close();
  });
});

/** A second process on the same file; it speaks LMDB itself, so the test does not depend on a build. */
const CHILD = `
  const { open } = require('lmdb');
  const root = open({ path: process.argv[1], noSubdir: false, encoding: 'binary', maxDbs: 16 });
  const tokens = root.openDB({ name: 'tokens', encoding: 'binary' });
  process.on('message', async ({ digest, record }) => {
    await tokens.put(digest, Buffer.from(JSON.stringify(record)));
    await root.flushed;
    process.send('acknowledged');
  });
  process.send('ready');
`;

describe('two processes on one embedded store', () => {
  it('see each other within a second, and an acknowledged write outlives kill -9', { timeout: 30_000 }, async () => {
    const path = join(temporary(), 'store');
    const store = openEmbedded(path);
    await store.putToken(digest, token);
    expect((await store.tokenByDigest(digest))?.state).toBe('active');

    const child = fork('-e', [CHILD, path], { execArgv: [], cwd: process.cwd() });
    try {
      await once(child, 'message');
      child.send({ digest, record: { ...token, digest, state: 'revoked' } });
      await once(child, 'message');
      child.kill('SIGKILL');
      await once(child, 'exit');
      const start = performance.now();
      expect((await store.tokenByDigest(digest))?.state).toBe('revoked');
      expect(performance.now() - start).toBeLessThan(1_000);
      // The dead process held no lock that stops the next write.
      expect(await store.revokeToken('one')).toBe(true);
    } finally {
      child.kill('SIGKILL');
      await store.close();
    }
    const again = openEmbedded(path);
    expect((await again.tokenById('one'))?.state).toBe('revoked');
    await again.close();
  });
});
