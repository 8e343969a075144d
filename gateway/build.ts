/** Puts a gateway together from configuration, environment and store. Opens no public port. */
import { join } from 'node:path';
import { controlTokensSchema, type GatewayConfig } from '../config/schema.ts';
import { compileControlTokens } from '../engine/control/matcher.ts';
import { createEngine, type Engine } from '../engine/index.ts';
import { compileRules } from '../engine/rules/compile.ts';
import { Canaries } from './canaries.ts';
import { configDir } from './config/load.ts';
import { loadRules } from './config/rules.ts';
import { readYaml } from './config/yaml.ts';
import type { Deps } from './deps.ts';
import { createKeys } from './keys.ts';
import type { Secrets } from './secrets.ts';
import type { Store } from './store/port.ts';
import type { Log } from './telemetry/log.ts';
import type { Metrics } from './telemetry/metrics.ts';
import { parseUpstreamUrl, UpstreamClient } from './upstream/client.ts';
import { DefaultModel } from './upstream/defaultModel.ts';

export interface BuildOptions {
  readonly config: GatewayConfig;
  readonly store: Store;
  readonly secrets: Secrets;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly upstream: { readonly url: string; readonly key: string | null; readonly model: string | null };
  readonly now?: () => number;
  /** Replaces the shipped engine; for tests of failing guards. */
  readonly engine?: Engine;
}

/** Loads rules and tables and compiles them. Throws `ConfigError` for a file that does not fit. */
export function buildEngine(config: GatewayConfig, secrets: Secrets): Engine {
  const { records, lexicon } = loadRules(join(configDir(), 'rules'));
  const table = readYaml(join(configDir(), 'control-tokens.yaml'), controlTokensSchema);
  return createEngine({
    rules: compileRules(records, lexicon),
    control: compileControlTokens(table),
    limits: config.limits,
    fingerprintKey: secrets.key('fingerprint'),
    nowMicros: () => performance.now() * 1000,
  });
}

/** Everything the routes need. */
export function buildDeps({
  config,
  store,
  secrets,
  log,
  metrics,
  upstream,
  engine,
  now = Date.now,
}: BuildOptions): Deps {
  const url = parseUpstreamUrl(upstream.url);
  const client = new UpstreamClient(
    { origin: url.origin, basePath: url.basePath, apiKey: upstream.key },
    {
      timeouts: config.timeouts,
      connectionsMax: config.upstream.connectionsMax,
      requestHeaders: config.upstream.requestHeaders,
      responseHeaders: config.upstream.responseHeaders,
    },
  );
  const model = new DefaultModel(client, upstream.model, config.limits);
  return {
    config,
    engine: engine ?? buildEngine(config, secrets),
    keys: createKeys({ store, secrets, now }),
    canaries: new Canaries({ store, secrets, now }),
    upstream: client,
    defaultModel: () => model.get(),
    metrics,
    log,
    lifecycle: { draining: false, inFlight: 0 },
  };
}
