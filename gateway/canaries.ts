/**
 * The gateway's canaries: plants them in trusted texts, remembers them with a lifetime, and compiles what an answer is
 * checked against. Values are in memory or sealed, nowhere else.
 */
import { createHmac } from 'node:crypto';
import type { Policy } from '../config/schema.ts';
import { type CanaryToken, compileNeedles, type NeedleSet } from '../engine/canary/compile.ts';
import type { Carrier } from '../engine/canary/derive.ts';
import { type CanaryPlan, plantDerived, plantGiven } from '../engine/canary/embed.ts';
import { ForeignWindows } from '../engine/canary/foreign.ts';
import { Lru } from './lru.ts';
import type { Secrets } from './secrets.ts';
import type { CanaryRecord, Store } from './store/port.ts';

/** Compiled sets in memory; one of a single token is about 0.5 MB. */
const COMPILED_MAX = 64;
/** Registrations remembered so that a busy prompt is not written again for every request. */
const REGISTERED_MAX = 10_000;
/** Bytes of tokens that one request's own set knows in every form; with more, in single transforms. */
const FULL_BYTES_MAX = 512;
/** Bytes of live tokens in a tenant's set, 0.5 KB of tables each; those beyond are counted as evicted. */
const LIVE_BYTES_MAX = 16_384;
/** Live and foreign sets are recompiled at most this often. */
const REFRESH_MS = 1_000;
/** Tokens of other tenants that are watched for. */
const FOREIGN_MAX = 4_096;
const HOUR_MS = 3_600_000;

export interface CanaryDeps {
  readonly store: Store;
  readonly secrets: Secrets;
  readonly now: () => number;
}

export interface PlantRequest {
  readonly text: string;
  readonly carrier: Carrier;
  readonly tenant: string;
  readonly policy: Policy;
  readonly requestId: string;
}

interface Loaded<T> {
  readonly value: T;
  /** When the first of the records it was made from expires. */
  readonly validUntil: number;
}

interface Cached<T> extends Loaded<T> {
  readonly generation: number;
  readonly at: number;
}

export class Canaries {
  readonly #deps: CanaryDeps;
  readonly #compiled = new Lru<NeedleSet>(COMPILED_MAX);
  readonly #registered = new Lru<number>(REGISTERED_MAX);
  readonly #live = new Lru<Cached<{ set: NeedleSet; evicted: number }>>(COMPILED_MAX);
  readonly #foreign = new Lru<Cached<ForeignWindows | null>>(COMPILED_MAX);

  constructor(deps: CanaryDeps) {
    this.#deps = deps;
  }

  /** Plans the derived canaries of a trusted text. */
  plant({ text, carrier, tenant, policy, requestId }: PlantRequest): CanaryPlan {
    const [current, ...previous] = this.#deps.secrets.keys('canary').map(({ key }) => key);
    return plantDerived(text, {
      key: current as Uint8Array,
      previousKeys: previous,
      tenant,
      carrier,
      nowMs: this.#deps.now(),
      bucketHours: policy.canary.bucketHours,
      requestId: policy.canary.scope === 'request' ? requestId : null,
    });
  }

  /** Plans a canary that the caller chose. */
  plantGiven(text: string, token: string): CanaryPlan {
    return plantGiven(text, token);
  }

  /** Remembers tokens of a tenant until their time is over. Resolves when the store has them. */
  async register(
    tenant: string,
    tokens: readonly string[],
    carrier: CanaryRecord['carrier'],
    policy: Policy,
  ): Promise<void> {
    const now = this.#deps.now();
    const lifetime = policy.canary.ttlHours * HOUR_MS;
    for (const value of tokens) {
      const id = this.idOf(value);
      const key = `${tenant}/${id}`;
      // Renewed when half of the lifetime is over.
      if ((this.#registered.get(key) ?? 0) > now + lifetime / 2) continue;
      await this.#deps.store.putCanary({
        id,
        tenant,
        sealed: this.#deps.secrets.seal(Buffer.from(value, 'utf8'), aad(tenant)),
        carrier,
        derived: carrier !== 'caller',
        createdAt: now,
        expiresAt: now + lifetime,
      });
      this.#registered.set(key, now + lifetime);
    }
  }

  /** Safe to show: a keyed hash of the token. */
  idOf(value: string): string {
    return createHmac('sha256', this.#deps.secrets.key('fingerprint')).update(value, 'utf8').digest('hex').slice(0, 16);
  }

  /** The needles of a request's own tokens, which the caller bounds: the first in every form, more in single ones. */
  own(values: readonly string[]): NeedleSet[] {
    const tokens = [...new Set(values)].map((value) => ({ id: this.idOf(value), value }));
    const full = withinBytes(tokens, FULL_BYTES_MAX);
    const rest = tokens.filter((token) => !full.includes(token));
    return [
      ...(full.length > 0 ? [this.#compile(full, 'full')] : []),
      ...(rest.length > 0 ? [this.#compile(rest, 'basic')] : []),
    ];
  }

  /**
   * The live tokens of a tenant, newest first up to the policy's bound, and how many were left out.
   * `fresh` sees every token registered before the call; otherwise a set may be up to a second old.
   */
  async live(tenant: string, policy: Policy, fresh: boolean): Promise<{ set: NeedleSet; evicted: number }> {
    const max = policy.canary.liveTokensMax;
    return this.#refreshed(this.#live, `${max}/${tenant}`, fresh, async () => {
      const { records, more } = await this.#deps.store.liveCanaries(tenant, this.#deps.now(), max);
      const tokens = records.flatMap((record) => this.#unseal(record));
      const kept = withinBytes(tokens, LIVE_BYTES_MAX);
      const value = { set: this.#compile(kept, 'basic'), evicted: more + tokens.length - kept.length };
      return { value, validUntil: firstExpiry(records) };
    });
  }

  /** Derived tokens of every other tenant; null when there are none. */
  async foreign(tenant: string): Promise<ForeignWindows | null> {
    return this.#refreshed(this.#foreign, tenant, false, async () => {
      const records = await this.#deps.store.foreignCanaries(tenant, this.#deps.now(), FOREIGN_MAX);
      const values = records.flatMap((record) => this.#unseal(record)).map((token) => token.value);
      return { value: values.length === 0 ? null : new ForeignWindows(values), validUntil: firstExpiry(records) };
    });
  }

  async #refreshed<T>(cache: Lru<Cached<T>>, key: string, fresh: boolean, load: () => Promise<Loaded<T>>): Promise<T> {
    const now = this.#deps.now();
    const known = cache.get(key);
    if (!fresh && known !== undefined && now - known.at < REFRESH_MS) return known.value;
    const generation = await this.#deps.store.canaryGeneration();
    const current = known !== undefined && known.generation === generation && now < known.validUntil;
    const loaded = current ? known : await load();
    cache.set(key, { value: loaded.value, validUntil: loaded.validUntil, generation, at: now });
    return loaded.value;
  }

  #compile(tokens: readonly CanaryToken[], depth: 'full' | 'basic'): NeedleSet {
    const key = `${depth} ${tokens.map((token) => token.id).join(' ')}`;
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    const set = compileNeedles(tokens, depth);
    this.#compiled.set(key, set);
    return set;
  }

  #unseal(record: CanaryRecord): CanaryToken[] {
    const value = this.#deps.secrets.open(record.sealed, aad(record.tenant));
    return value === null ? [] : [{ id: record.id, value: Buffer.from(value).toString('utf8') }];
  }
}

function aad(tenant: string): string {
  return `canary/${tenant}`;
}

function bytesOf(tokens: readonly CanaryToken[]): number {
  return tokens.reduce((sum, { value }) => sum + Buffer.byteLength(value, 'utf8'), 0);
}

/** The first tokens that together are no larger than `max`. */
function withinBytes(tokens: readonly CanaryToken[], max: number): CanaryToken[] {
  let left = max;
  return tokens.filter((token) => {
    left -= bytesOf([token]);
    return left >= 0;
  });
}

function firstExpiry(records: readonly CanaryRecord[]): number {
  return records.reduce((first, { expiresAt }) => Math.min(first, expiresAt), Number.POSITIVE_INFINITY);
}
