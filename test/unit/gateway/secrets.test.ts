import { randomBytes } from 'node:crypto';
import { mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { deriveSecrets, loadSecretPair, parseSecretPair } from '../../../gateway/secrets.ts';

const fresh = () => randomBytes(32);
const text = (secret: Buffer) => secret.toString('base64');

describe('the secret', () => {
  it('is read as one or two base64 values, in either alphabet', () => {
    const [a, b] = [fresh(), fresh()];
    expect(parseSecretPair(text(a))).toEqual({ current: a, previous: null });
    expect(parseSecretPair(`${text(a)},${text(b)}\n`)).toEqual({ current: a, previous: b });
    expect(parseSecretPair(a.toString('base64url'))).toEqual({ current: a, previous: null });
  });

  it.each([
    ['nothing', ''],
    ['too short', randomBytes(31).toString('base64')],
    ['too long', randomBytes(33).toString('base64')],
    ['hex', randomBytes(32).toString('hex')],
    ['an empty second value', `${text(fresh())},`],
    ['three values', [fresh(), fresh(), fresh()].map(text).join(',')],
  ])('is refused when it is %s', (_, value) => {
    expect(parseSecretPair(value)).toBeNull();
  });

  it('is created once per data directory, for the owner alone', () => {
    const dir = join(mkdtempSync(join(tmpdir(), 'portcullis-')), 'data');
    const first = loadSecretPair(dir);
    expect(loadSecretPair(dir)).toEqual(first);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(statSync(join(dir, 'secret')).mode & 0o777).toBe(0o600);
  });

  it('is never replaced when its file is damaged', () => {
    const dir = mkdtempSync(join(tmpdir(), 'portcullis-'));
    writeFileSync(join(dir, 'secret'), 'damaged');
    expect(() => loadSecretPair(dir)).toThrow('expected 32 bytes in base64');
  });
});

describe('derived keys', () => {
  it('differ by purpose and by secret, and are the same every time', () => {
    const current = fresh();
    const a = deriveSecrets({ current, previous: null });
    const b = deriveSecrets({ current, previous: null });
    const names = ['canary', 'token', 'sealing', 'memory', 'vault', 'fingerprint'] as const;
    expect(new Set(names.map((name) => a.key(name).toString('hex'))).size).toBe(names.length);
    for (const name of names) expect(a.key(name)).toEqual(b.key(name));
    expect(a.keyId).toMatch(/^[0-9a-f]{8}$/);
    expect(deriveSecrets({ current: fresh(), previous: null }).keyId).not.toBe(a.keyId);
  });

  it('digest a token under the current and then the previous secret', () => {
    const [old, current] = [fresh(), fresh()];
    const before = deriveSecrets({ current: old, previous: null });
    const after = deriveSecrets({ current, previous: old });
    expect(after.tokenDigests('x')).toHaveLength(2);
    expect(after.tokenDigests('x')[1]).toBe(before.tokenDigests('x')[0]);
    expect(after.tokenDigests('x')[0]).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('sealed values', () => {
  const plain = Buffer.from('a canary');

  it('open only in their place', () => {
    const secrets = deriveSecrets({ current: fresh(), previous: null });
    const sealed = secrets.seal(plain, 'tenant a');
    expect(secrets.open(sealed, 'tenant a')).toEqual(plain);
    expect(secrets.open(sealed, 'tenant b')).toBeNull();
    expect(Buffer.from(sealed).includes(plain)).toBe(false);
    expect(secrets.seal(plain, 'tenant a')).not.toEqual(sealed);
  });

  it('do not open when any single byte was changed or the end is missing', () => {
    const secrets = deriveSecrets({ current: fresh(), previous: null });
    const sealed = Buffer.from(secrets.seal(plain, 'a'));
    for (let index = 0; index < sealed.length; index++) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
      expect(secrets.open(changed, 'a')).toBeNull();
      expect(secrets.open(sealed.subarray(0, index), 'a')).toBeNull();
    }
  });

  it('open after one rotation and not after two', () => {
    const [first, second, third] = [fresh(), fresh(), fresh()];
    const sealed = deriveSecrets({ current: first, previous: null }).seal(plain, 'a');
    expect(deriveSecrets({ current: second, previous: first }).open(sealed, 'a')).toEqual(plain);
    expect(deriveSecrets({ current: third, previous: second }).open(sealed, 'a')).toBeNull();
  });
});
