/** A real gateway on loopback: real HTTP, real store in a temporary directory, real engine; only its provider is yours. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { GatewayConfig, Policy } from '../../config/schema.ts';
import type { Engine } from '../../engine/index.ts';
import { buildDeps, buildEngine } from '../../gateway/build.ts';
import { loadConfig } from '../../gateway/config/load.ts';
import type { Deps } from '../../gateway/deps.ts';
import { deriveSecrets, type Secrets } from '../../gateway/secrets.ts';
import { listen } from '../../gateway/server.ts';
import { openEmbedded } from '../../gateway/store/embedded.ts';
import type { Scope, Store } from '../../gateway/store/port.ts';
import { createLog } from '../../gateway/telemetry/log.ts';
import { createMetrics, METRIC_NAMES } from '../../gateway/telemetry/metrics.ts';

export interface GatewayOptions {
  /** Base URL of the provider. */
  readonly upstream: string;
  readonly upstreamKey?: string;
  readonly upstreamModel?: string | null;
  /** Where the keys of configured providers are looked up. */
  readonly env?: Readonly<Record<string, string>>;
  readonly config?: (config: GatewayConfig) => GatewayConfig;
  readonly engine?: (config: GatewayConfig, secrets: Secrets) => Engine;
}

export interface TestGateway {
  /** Without a path. */
  readonly url: string;
  readonly adminUrl: string;
  /** An admin key. */
  readonly key: string;
  readonly deps: Deps;
  readonly store: Store;
  readonly secrets: Secrets;
  /** Everything logged so far, at every level. */
  logs(): string;
  metrics(): Promise<string>;
  createKey(scopes: readonly Scope[], tenants?: readonly string[]): Promise<string>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  close(): Promise<void>;
}

// Compiling the shipped rules takes some hundred milliseconds and depends on nothing a test changes.
let shared: { engine: Engine; secrets: Secrets } | null = null;

export async function startGateway(options: GatewayOptions): Promise<TestGateway> {
  const config = (options.config ?? ((same) => same))(loadConfig());
  shared ??= sharedEngine();
  const { secrets } = shared;
  const sameLimits = JSON.stringify(config.limits) === JSON.stringify(loadConfig().limits);
  const engine = options.engine?.(config, secrets) ?? (sameLimits ? shared.engine : buildEngine(config, secrets));
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-test-'));
  const store = openEmbedded(join(dir, 'store'));
  let logged = '';
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      logged += chunk.toString('utf8');
      done();
    },
  });
  const deps = buildDeps({
    config,
    store,
    secrets,
    log: createLog({ level: 'debug', destination }),
    metrics: createMetrics(METRIC_NAMES, config.telemetry.toolLabels, Object.keys(config.providers)),
    upstream: {
      url: options.upstream,
      key: options.upstreamKey ?? null,
      model: options.upstreamModel === undefined ? 'mock-model' : options.upstreamModel,
    },
    env: options.env ?? {},
    engine,
  });
  const createKey = async (scopes: readonly Scope[], tenants: readonly string[] = ['*']): Promise<string> => {
    const { value } = await deps.keys.createToken({
      name: 'test',
      scopes,
      tenants,
      defaultTenant: tenants[0] === undefined || tenants[0] === '*' ? 'default' : tenants[0],
      expiresAt: null,
    });
    return value;
  };
  const key = await createKey(['admin']);
  const listening = await listen(deps, { host: '127.0.0.1', port: 0, adminHost: '127.0.0.1', adminPort: 0 });
  const url = `http://127.0.0.1:${listening.port}`;
  const adminUrl = `http://127.0.0.1:${listening.adminPort}`;
  return {
    url,
    adminUrl,
    key,
    deps,
    store,
    secrets,
    logs: () => logged,
    metrics: async () => (await fetch(`${adminUrl}/metrics`)).text(),
    createKey,
    post: (path, body, headers = {}) =>
      fetch(url + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    close: async () => {
      await listening.close();
      await store.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function sharedEngine(): { engine: Engine; secrets: Secrets } {
  const secrets = deriveSecrets({ current: randomBytes(32), previous: null });
  return { secrets, engine: buildEngine(loadConfig(), secrets) };
}

/** The default policy with parts replaced. */
export function withPolicy(change: (policy: Policy) => Policy): (config: GatewayConfig) => GatewayConfig {
  return (config) => ({
    ...config,
    policies: { ...config.policies, default: change(config.policies.default as Policy) },
  });
}
