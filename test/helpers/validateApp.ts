/** A real gateway over HTTP for tests of the direct API: real store, keys and canaries, and rules made for the test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { controlTokensSchema, type GatewayConfig, type Policy, type RuleRecord } from '../../config/schema.ts';
import { compileControlTokens } from '../../engine/control/matcher.ts';
import { createEngine, type EngineParts } from '../../engine/index.ts';
import { compileRules } from '../../engine/rules/compile.ts';
import { buildApp } from '../../gateway/app.ts';
import { Canaries } from '../../gateway/canaries.ts';
import { configDir, loadConfig } from '../../gateway/config/load.ts';
import { readYaml } from '../../gateway/config/yaml.ts';
import type { Deps } from '../../gateway/deps.ts';
import { Kept } from '../../gateway/kept.ts';
import { createKeys, type NewToken } from '../../gateway/keys.ts';
import { deriveSecrets } from '../../gateway/secrets.ts';
import { openEmbedded } from '../../gateway/store/embedded.ts';
import type { Store } from '../../gateway/store/port.ts';
import { createLog } from '../../gateway/telemetry/log.ts';
import { createMetrics } from '../../gateway/telemetry/metrics.ts';
import { createProviders } from '../../gateway/upstream/providers.ts';
import { parseTree } from '../../gateway/wire/tree.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly json: any;
}

export interface ValidateApp {
  readonly url: string;
  readonly key: string;
  readonly deps: Deps;
  readonly store: Store;
  /** Every log line so far. */
  readonly logs: string[];
  createKey(token?: Partial<NewToken>): Promise<string>;
  /** Posts with the app's key unless headers are given. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  close(): Promise<void>;
}

export interface ValidateAppOptions {
  /** Changes to the default policy; `strict` tenants can be added in `config`. */
  readonly policy?: (policy: Policy) => Policy;
  readonly config?: (config: GatewayConfig) => GatewayConfig;
  readonly scanners?: EngineParts['scanners'];
}

/** One rule per action, each for a word that nothing else says. */
export const RULES: readonly RuleRecord[] = [
  rule('test-escalate', 'word-a', 0.4, 'zebraescalate'),
  rule('test-sanitize', 'word-b', 0.6, 'ignore all previous instructions'),
  rule('test-sanitize-word', 'word-c', 0.6, 'zebrasanitize'),
  rule('test-block', 'word-d', 0.9, 'zebrablock'),
];

function rule(id: string, family: string, score: number, pattern: string): RuleRecord {
  return {
    id,
    family,
    title: `finds ${pattern}`,
    status: 'stable',
    level: 1,
    score,
    provenance: ['user', 'document', 'tool'],
    patterns: [pattern],
    examples: { hit: [{ text: pattern }], miss: [{ text: 'nothing', why: 'another text' }] },
    falsePositives: [],
  };
}

/** Starts it on a free port. */
export async function startValidateApp(options: ValidateAppOptions = {}): Promise<ValidateApp> {
  const dir = mkdtempSync(join(tmpdir(), 'portcullis-validate-'));
  const store = openEmbedded(join(dir, 'store'));
  const secrets = deriveSecrets({ current: new Uint8Array(32).fill(7), previous: null });
  const config = configOf(options);
  const logs: string[] = [];
  const destination = new Writable({
    write(chunk, _encoding, done) {
      logs.push(String(chunk));
      done();
    },
  });
  const keys = createKeys({ store, secrets });
  const metrics = createMetrics();
  // Nothing listens there: the direct API never calls a provider.
  const upstream = { url: 'http://127.0.0.1:9/v1', key: null, model: null };
  const log = createLog({ level: 'debug', destination });
  const providers = createProviders({ config, upstream, demoUrl: null, env: {}, metrics, log });
  const deps: Deps = {
    config,
    engine: createEngine({
      rules: compileRules(RULES, {}),
      control: compileControlTokens(readYaml(join(configDir(), 'control-tokens.yaml'), controlTokensSchema)),
      limits: config.limits,
      parse: (text) => parseTree(text, config.limits.jsonDepthMax),
      fingerprintKey: secrets.key('fingerprint'),
      nowMicros: () => performance.now() * 1000,
      ...(options.scanners !== undefined && { scanners: options.scanners }),
    }),
    keys,
    canaries: new Canaries({ store, secrets, now: Date.now }),
    kept: new Kept({ store, secrets, now: Date.now, keptHours: 1, historyCharsMax: 1_000 }),
    providers,
    metrics,
    log,
    lifecycle: { draining: false, inFlight: 0 },
  };
  const server = createServer(
    getRequestListener(buildApp(deps).fetch, { autoCleanupIncoming: false, overrideGlobalObjects: false }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const createKey = async (token: Partial<NewToken> = {}): Promise<string> => {
    const made = await keys.createToken({
      name: 'test',
      scopes: ['validate'],
      defaultTenant: 'default',
      tenants: [],
      expiresAt: null,
      ...token,
    });
    return made.value;
  };
  const key = await createKey();
  return {
    url,
    key,
    deps,
    store,
    logs,
    createKey,
    post: (path, body, headers = { authorization: `Bearer ${key}` }) => post(`${url}${path}`, body, headers),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await deps.providers.destroy();
      metrics.close();
      await store.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function configOf({ policy = (same) => same, config = (same) => same }: ValidateAppOptions): GatewayConfig {
  const loaded = loadConfig();
  const base = loaded.policies.default as Policy;
  return config({
    ...loaded,
    tenants: { ...loaded.tenants, other: { policy: 'default' } },
    policies: { ...loaded.policies, default: policy(base) },
  });
}

/** Strings and bytes are sent as they are, anything else as JSON. */
async function post(url: string, body: unknown, headers: Record<string, string>): Promise<Answer> {
  const raw = typeof body === 'string' || body instanceof Uint8Array;
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: raw ? (body as string) : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: text === '' ? null : JSON.parse(text) };
}
