/** The `portcullis` command as a user runs it: a process of its own. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { setup } from '../../deploy/setup.mjs';
import { createKeys } from '../../gateway/keys.ts';
import { deriveSecrets, loadSecretPair } from '../../gateway/secrets.ts';
import { openEmbedded } from '../../gateway/store/embedded.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const dataDir = mkdtempSync(join(tmpdir(), 'portcullis-'));
const files = mkdtempSync(join(tmpdir(), 'portcullis-'));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function portcullis(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const options = {
    cwd: ROOT,
    timeout: 30_000,
    env: { PATH: process.env.PATH ?? '', PORTCULLIS_DATA_DIR: dataDir, ...env },
  };
  return new Promise((resolve) => {
    execFile(process.execPath, ['deploy/portcullis.mjs', ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** A server's view of the same data directory. */
async function authenticate(value: string): Promise<string> {
  const store = openEmbedded(join(dataDir, 'store'));
  const keys = createKeys({ store, secrets: deriveSecrets(loadSecretPair(dataDir)) });
  const result = await keys.authenticate(value);
  await store.close();
  return result.kind === 'ok' ? 'ok' : result.reason;
}

beforeAll(() => setup({ mode: 'test' }), 120_000);
afterAll(() => {
  rmSync(dataDir, { recursive: true });
  rmSync(files, { recursive: true });
});

describe('keys', () => {
  it('are created, listed without their value, and revoked', async () => {
    const created = await portcullis(['keys', 'create', '--name', 'ci', '--expires', '30d']);
    expect([created.code, created.stderr]).toEqual([0, '']);
    const value = created.stdout.split('\n')[0] as string;
    expect(value).toMatch(/^pck_[A-Za-z0-9_-]{43}$/);
    expect(created.stdout).toContain('scopes proxy,validate, tenants default, expires ');
    expect(await authenticate(value)).toBe('ok');

    const listed = await portcullis(['keys', 'list', '--json']);
    expect(listed.stdout).not.toContain(value.slice(4));
    const [entry] = JSON.parse(listed.stdout) as [{ id: string; state: string }];
    expect(entry.state).toBe('active');
    expect((await portcullis(['keys', 'list'])).stdout).toMatch(new RegExp(`^${entry.id}  ci .* active `, 'm'));

    const revoked = await portcullis(['keys', 'revoke', entry.id]);
    expect(revoked).toEqual({ code: 0, stdout: `revoked ${entry.id}\n`, stderr: '' });
    expect(await authenticate(value)).toBe('inactive');
  });

  it('are created as JSON with scopes, tenants and owner', async () => {
    const config = join(files, 'tenants.yaml');
    writeFileSync(config, 'tenants: { acme: { policy: default } }\n');
    const args = [
      'keys',
      'create',
      '--name',
      'n',
      '--scopes',
      'validate',
      '--tenants',
      'acme',
      '--user',
      'ann',
      '--json',
    ];
    const { stdout } = await portcullis(args, { PORTCULLIS_CONFIG: config });
    expect(JSON.parse(stdout)).toMatchObject({
      scopes: ['validate'],
      tenants: ['acme'],
      defaultTenant: 'acme',
      userId: 'ann',
      expiresAt: null,
    });
  });

  it.each([
    [['keys', 'create'], '--name: expected'],
    [['keys', 'create', '--name', 'a\u001b[31m'], '--name: expected'],
    [['keys', 'create', '--name', 'a', '--scopes', 'root'], '--scopes: expected a list of admin, proxy'],
    [['keys', 'create', '--name', 'a', '--tenants', 'acme'], '--tenants: expected a list of default, or *'],
    [['keys', 'create', '--name', 'a', '--expires', 'soon'], '--expires: expected a time such as'],
    [['keys', 'create', '--name', 'a', '--nope'], "Unknown option '--nope'"],
    [['keys', 'revoke'], 'expected one key id'],
  ])('refuse %j with the usage', async (args, message) => {
    const { code, stdout, stderr } = await portcullis(args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).toContain(`Usage: portcullis ${args[0]} ${args[1]}`);
  });

  it('say when there is none to revoke', async () => {
    const { code, stderr } = await portcullis(['keys', 'revoke', 'nothing']);
    expect([code, stderr]).toEqual([1, 'portcullis: there is no key with this id; see `keys list`\n']);
  });
});

describe('users', () => {
  it('are locked, unlocked and deactivated', async () => {
    const { stdout } = await portcullis(['keys', 'create', '--name', 'n', '--user', 'bob', '--json']);
    const { value } = JSON.parse(stdout) as { value: string };
    expect((await portcullis(['users', 'lock', 'bob'])).stdout).toBe('locked bob\n');
    expect(await authenticate(value)).toBe('user_locked');
    expect((await portcullis(['users', 'unlock', 'bob'])).code).toBe(0);
    expect(await authenticate(value)).toBe('ok');
    expect((await portcullis(['users', 'deactivate', 'bob'])).code).toBe(0);
    expect(await authenticate(value)).toBe('user_inactive');
    expect((await portcullis(['users', 'lock', 'nobody'])).code).toBe(1);
  });
});

describe('config check', () => {
  it('accepts the defaults', async () => {
    expect(await portcullis(['config', 'check'])).toEqual({
      code: 0,
      stdout: 'defaults: ok, 1 tenants, 1 policies\n',
      stderr: '',
    });
  });

  it('names file, path, found and expected of a wrong file', async () => {
    const file = join(files, 'wrong.yaml');
    writeFileSync(file, 'limits: { jsonDepthMax: deep }\n');
    const expected = `portcullis: ${file}: limits.jsonDepthMax: found "deep"; expected number\n`;
    expect(await portcullis(['config', 'check', file])).toEqual({ code: 1, stdout: '', stderr: expected });
    expect((await portcullis(['config', 'check'], { PORTCULLIS_CONFIG: file })).stderr).toBe(expected);
  });
});

describe('the command line', () => {
  it('answers unknown commands with the usage and exit code 2', async () => {
    for (const args of [[], ['nope'], ['keys'], ['keys', 'nope']]) {
      const { code, stdout, stderr } = await portcullis(args);
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toContain('Usage:\n  portcullis serve\n');
    }
    expect((await portcullis(['--help'])).code).toBe(0);
  });

  it('reports a wrong environment without a stack and without the value', async () => {
    const { code, stderr } = await portcullis(['keys', 'list'], { PORTCULLIS_SECRET: 'not-a-secret' });
    expect([code, stderr]).toEqual([
      1,
      'portcullis: PORTCULLIS_SECRET: found a value of 12 characters; expected 32 bytes in base64, or two of them as current,previous\n',
    ]);
  });

  it('starts in well under a second once set up', async () => {
    await portcullis(['--help']);
    const start = performance.now();
    await portcullis(['--help']);
    expect(performance.now() - start).toBeLessThan(1_500);
  });

  it('is what package.json calls', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: object; scripts: object };
    expect(manifest.bin).toEqual({ portcullis: 'deploy/portcullis.mjs' });
    expect(manifest.scripts).toMatchObject({ start: 'node deploy/portcullis.mjs serve' });
  });
});
