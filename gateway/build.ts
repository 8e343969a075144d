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
import { Kept } from './kept.ts';
import { createKeys } from './keys.ts';
import type { Secrets } from './secrets.ts';
import type { Store } from './store/port.ts';
import type { Log } from './telemetry/log.ts';
import type { Metrics } from './telemetry/metrics.ts';
import { createProviders } from './upstream/providers.ts';
import type { EnvironmentUpstream } from './upstream/settings.ts';
import { parseTree } from './wire/tree.ts';

export interface BuildOptions {
  readonly config: GatewayConfig;
  readonly store: Store;
  readonly secrets: Secrets;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The provider that the environment names. */
  readonly upstream: EnvironmentUpstream | null;
  /** Address of the demo provider, where one was started. */
  readonly demoUrl?: string | null;
  /** Where the keys of configured providers are looked up; the environment of the process by default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
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
    parse: (text) => parseTree(text, config.limits.jsonDepthMax),
    fingerprintKey: secrets.key('fingerprint'),
    nowMicros: () => performance.now() * 1000,
  });
}

/** Everything the routes need. Throws `EnvError` when a provider lacks its key. */
export function buildDeps({
  config,
  store,
  secrets,
  log,
  metrics,
  upstream,
  demoUrl = null,
  env = process.env,
  engine,
  now = Date.now,
}: BuildOptions): Deps {
  const providers = createProviders({ config, upstream, demoUrl, env, metrics, log });
  return {
    config,
    engine: engine ?? buildEngine(config, secrets),
    keys: createKeys({ store, secrets, now }),
    canaries: new Canaries({ store, secrets, now }),
    kept: new Kept({
      store,
      secrets,
      now,
      keptHours: config.upstream.keptHours,
      historyCharsMax: config.limits.historyCharsMax,
    }),
    providers,
    metrics,
    log,
    lifecycle: { draining: false, inFlight: 0 },
  };
}
