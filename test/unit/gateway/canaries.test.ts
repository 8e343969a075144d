import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Policy } from '../../../config/schema.ts';
import { holdsCanary } from '../../../engine/canary/scan.ts';
import { Canaries } from '../../../gateway/canaries.ts';
import { loadConfig, policyOf } from '../../../gateway/config/load.ts';
import { deriveSecrets, type Secrets } from '../../../gateway/secrets.ts';
import { openEmbedded } from '../../../gateway/store/embedded.ts';
import type { Store } from '../../../gateway/store/port.ts';

const HOUR = 3_600_000;
const policy = policyOf(loadConfig(), 'default') as Policy;
const token = () => randomBytes(16).toString('hex');

let dir: string;
let store: Store;
let secrets: Secrets;
let now: number;
let canaries: Canaries;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'portcullis-canaries-'));
  store = openEmbedded(join(dir, 'store'));
  secrets = deriveSecrets({ current: randomBytes(32), previous: null });
  now = 1_000 * HOUR;
  canaries = new Canaries({ store, secrets, now: () => now });
});

afterEach(async () => {
  await store.close();
  await rm(dir, { recursive: true, force: true });
});

const found = async (tenant: string, text: string, own = policy): Promise<boolean> =>
  holdsCanary([(await canaries.live(tenant, own, true)).set], text, 2048);

describe('registered canaries', () => {
  it('are looked for at once, in their own tenant only, until they expire', async () => {
    const value = token();
    await canaries.register('acme', [value], 'caller', policy);
    expect(await found('acme', `x ${value.toUpperCase()} y`)).toBe(true);
    expect(await found('other', value)).toBe(false);
    now += (policy.canary.ttlHours + 1) * HOUR;
    expect(await found('acme', value)).toBe(false);
  });

  it('are kept sealed', async () => {
    const value = token();
    await canaries.register('acme', [value], 'caller', policy);
    const { records } = await store.liveCanaries('acme', now, 10);
    expect(JSON.stringify(records)).not.toContain(value);
    expect(Buffer.from(records[0]?.sealed ?? []).includes(value)).toBe(false);
    expect(records[0]?.id).not.toContain(value.slice(0, 8));
  });

  it('beyond the bound are counted as evicted, oldest first', async () => {
    const small = { ...policy, canary: { ...policy.canary, liveTokensMax: 3 } };
    const values = [];
    for (let i = 0; i < 5; i++) {
      const value = token();
      values.push(value);
      now += HOUR;
      await canaries.register('acme', [value], 'system', policy);
    }
    expect((await canaries.live('acme', small, true)).evicted).toBe(2);
    expect(await found('acme', values[4] as string, small)).toBe(true);
    expect(await found('acme', values[0] as string, small)).toBe(false);
  });

  it('that are huge do not make a huge automaton', async () => {
    const large = { ...policy, canary: { ...policy.canary, liveTokensMax: 1024 } };
    const values = Array.from({ length: 60 }, () => '漢'.repeat(100) + randomBytes(14).toString('hex'));
    await canaries.register('acme', values, 'caller', policy);
    const { set, evicted } = await canaries.live('acme', large, true);
    expect(set.tokens.length).toBeLessThan(60);
    expect(evicted).toBe(60 - set.tokens.length);
  });
});

describe('derived canaries of other tenants', () => {
  it('are watched for; chosen ones are not', async () => {
    const derived = token();
    const chosen = token();
    await canaries.register('acme', [derived], 'system', policy);
    await canaries.register('acme', [chosen], 'caller', policy);
    expect((await canaries.foreign('other'))?.size).toBe(1);
    expect(await canaries.foreign('acme')).toBe(null);
  });
});

describe('a request with many canaries of its own', () => {
  it('has them all compiled', () => {
    const values = Array.from({ length: 64 }, () => token() + token());
    const sets = canaries.own(values);
    for (const value of values) expect(holdsCanary(sets, `a ${value} b`, 2048)).toBe(true);
  });

  it('knows the first of them in every form however many there are', () => {
    const values = Array.from({ length: 24 }, () => token());
    const nested = Buffer.from(Buffer.from(values[0] as string).toString('base64')).toString('base64');
    expect(holdsCanary(canaries.own(values), nested, 2048)).toBe(true);
  });
});
