import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createKeys, ENVIRONMENT_TOKEN, FIRST_TOKEN, hasScope, mayUseTenant } from '../../../gateway/keys.ts';
import { deriveSecrets, type SecretPair } from '../../../gateway/secrets.ts';
import { openEmbedded } from '../../../gateway/store/embedded.ts';
import type { Store } from '../../../gateway/store/port.ts';

let dir: string;
let store: Store;
let now: number;
const pair: SecretPair = { current: randomBytes(32), previous: null };
const open = (secrets = pair) => createKeys({ store, secrets: deriveSecrets(secrets), now: () => now });
const request = {
  name: 'ci',
  scopes: ['proxy'],
  defaultTenant: 'default',
  tenants: ['default'],
  expiresAt: null,
} as const;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-'));
  store = openEmbedded(join(dir, 'store'));
  now = 1_000;
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

describe('keys', () => {
  it('have 256 random bits, authenticate, and are stored nowhere', async () => {
    const keys = open();
    const { value, token } = await keys.createToken(request);
    expect(value).toMatch(/^pck_[A-Za-z0-9_-]{43}$/);
    expect(await keys.authenticate(value)).toMatchObject({ kind: 'ok', token, user: { id: 'admin' } });
    expect(readFileSync(join(dir, 'store', 'data.mdb')).includes(value.slice(4))).toBe(false);
    expect(JSON.stringify(await keys.authenticate(value))).not.toContain('digest');
  });

  it.each(['', 'pck_', 'x'.repeat(513), 'x'.repeat(10_000_000)])(
    'refuse unknown, empty and overlong values',
    async (value) => {
      expect(await open().authenticate(value)).toEqual({ kind: 'refused', reason: 'not_found' });
    },
  );

  it('name the first failing check: key, key state, owner state, owner lock', async () => {
    const keys = open();
    const { value, token } = await keys.createToken({ ...request, userId: 'ann', expiresAt: 5_000 });
    await store.changeUser('ann', { locked: true });
    expect(await keys.authenticate(value)).toEqual({ kind: 'refused', reason: 'user_locked' });
    await store.changeUser('ann', { state: 'inactive' });
    expect(await keys.authenticate(value)).toEqual({ kind: 'refused', reason: 'user_inactive' });
    now = 5_000;
    expect(await keys.authenticate(value)).toEqual({ kind: 'refused', reason: 'inactive' });
    now = 1_000;
    await store.revokeToken(token.id);
    expect(await keys.authenticate(value)).toEqual({ kind: 'refused', reason: 'inactive' });
  });

  it('survive one rotation of the secret', async () => {
    const { value } = await open().createToken(request);
    const next = randomBytes(32);
    expect((await open({ current: next, previous: pair.current }).authenticate(value)).kind).toBe('ok');
    expect((await open({ current: next, previous: null }).authenticate(value)).kind).toBe('refused');
  });

  it('do not unlock a locked user by being made for them', async () => {
    const keys = open();
    await keys.createToken({ ...request, userId: 'ann' });
    await store.changeUser('ann', { locked: true });
    const { value } = await keys.createToken({ ...request, userId: 'ann' });
    expect(await keys.authenticate(value)).toEqual({ kind: 'refused', reason: 'user_locked' });
  });

  it('grant what their scopes and tenants say', async () => {
    const { token } = await open().createToken({ ...request, tenants: ['a'], defaultTenant: 'a' });
    expect([hasScope(token, 'proxy'), hasScope(token, 'validate'), hasScope(token, 'admin')]).toEqual([
      true,
      false,
      false,
    ]);
    expect([mayUseTenant(token, 'a'), mayUseTenant(token, 'default'), mayUseTenant(token, '*')]).toEqual([
      true,
      false,
      false,
    ]);
    expect(hasScope({ ...token, scopes: ['admin'] }, 'labeller')).toBe(true);
    expect(mayUseTenant({ ...token, tenants: ['*'] }, 'b')).toBe(true);
  });
});

describe("the environment's key", () => {
  const value = randomBytes(24).toString('base64url');

  it('is a global admin key, seeded any number of times', async () => {
    const keys = open();
    await keys.seedEnvironmentKey(value);
    await keys.seedEnvironmentKey(value);
    expect(await keys.authenticate(value)).toMatchObject({
      token: { id: ENVIRONMENT_TOKEN, scopes: ['admin'], tenants: ['*'] },
    });
    expect(await store.listTokens()).toHaveLength(1);
  });

  it('stops working when another one takes its place, or none', async () => {
    const keys = open();
    const next = randomBytes(24).toString('base64url');
    await keys.seedEnvironmentKey(value);
    await keys.seedEnvironmentKey(next);
    expect((await keys.authenticate(value)).kind).toBe('refused');
    expect((await keys.authenticate(next)).kind).toBe('ok');
    await keys.seedEnvironmentKey(null);
    expect((await keys.authenticate(next)).kind).toBe('refused');
    await keys.seedEnvironmentKey(next);
    expect((await keys.authenticate(next)).kind).toBe('ok');
  });
});

describe('the first key', () => {
  it('is made once, told once and kept in a private file', async () => {
    const keys = open();
    const first = await keys.ensureFirstKey(dir);
    const path = join(dir, 'api-key');
    expect(first).toEqual({ created: true, path, value: readFileSync(path, 'utf8').trim() });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await keys.ensureFirstKey(dir)).toEqual({ created: false, path });
    expect(await keys.authenticate(readFileSync(path, 'utf8').trim())).toMatchObject({ token: { id: FIRST_TOKEN } });
  });

  it('works again after the store was lost, and stays revoked', async () => {
    const first = await open().ensureFirstKey(dir);
    if (!first.created) throw new Error('expected a new key');
    await store.close();
    rmSync(join(dir, 'store'), { recursive: true });
    store = openEmbedded(join(dir, 'store'));
    await open().ensureFirstKey(dir);
    expect((await open().authenticate(first.value)).kind).toBe('ok');
    await store.revokeToken(FIRST_TOKEN);
    await open().ensureFirstKey(dir);
    expect(await open().authenticate(first.value)).toEqual({ kind: 'refused', reason: 'inactive' });
  });
});
