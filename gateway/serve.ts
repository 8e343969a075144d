/** `portcullis serve`: reads environment and configuration, opens the store, listens, and drains on SIGTERM. */
import { join } from 'node:path';
import { buildDeps } from './build.ts';
import { CommandError } from './cli/command.ts';
import { print } from './cli/output.ts';
import { loadConfig } from './config/load.ts';
import { startDemoProvider } from './demo/provider.ts';
import { type Env, EnvError, readEnv } from './env.ts';
import { createKeys, type FirstKey } from './keys.ts';
import { deriveSecrets, loadSecretPair } from './secrets.ts';
import { type Listening, listen } from './server.ts';
import { openEmbedded } from './store/embedded.ts';
import type { Store } from './store/port.ts';
import { createLog, type Log } from './telemetry/log.ts';
import { createMetrics, METRIC_NAMES } from './telemetry/metrics.ts';
import { describeDefault, needsDemo, providerProblems } from './upstream/settings.ts';
import { welcome } from './welcome.ts';

/** Expired canaries are removed this often. */
const SWEEP_MS = 10 * 60_000;

/** Runs the server until it is told to stop. Throws before listening when something is wrong. */
export async function serve(): Promise<void> {
  const env = readEnv();
  const config = loadConfig(env.configFile ?? undefined);
  const sources = { config, upstream: env.upstream, env: process.env };
  const problems = providerProblems(sources);
  if (problems.length > 0) throw new EnvError(problems);
  const metrics = createMetrics(METRIC_NAMES, config.telemetry.toolLabels, Object.keys(config.providers));
  const log = createLog({ level: env.logLevel, onDrop: () => metrics.logDropped() });
  const secrets = deriveSecrets(env.secret ?? loadSecretPair(env.dataDir));
  const store = openEmbedded(join(env.dataDir, 'store'), {
    onCorrupt: (table) => log.error('damaged_record', { problem: table }),
  });
  const key = await prepareKeys(env, createKeys({ store, secrets }));
  const demo = needsDemo(sources) ? await startDemoProvider() : null;
  const deps = buildDeps({ ...sources, store, secrets, log, metrics, demoUrl: demo?.url ?? null });
  const listening = await listen(deps, env).catch(async (cause: NodeJS.ErrnoException) => {
    // Nothing may keep a process alive that serves nobody.
    await Promise.all([demo?.close(), deps.providers.destroy(), store.close()]);
    metrics.close();
    throw new CommandError(listenProblem(env, cause));
  });
  const sweeper = setInterval(() => sweep(store, log), SWEEP_MS);
  sweeper.unref();
  // Before anything says that the server is there: who reads that may stop it at once.
  const stopped = untilStopped(listening, log);
  print(welcome({ env, listening, key, provider: describeDefault(sources) }));
  log.info('listening', { host: env.host, port: listening.port });
  await stopped;
  clearInterval(sweeper);
  await demo?.close();
  await store.close();
}

/** The environment's key is seeded and never shown; without one a first key is made and shown by the run that made it. */
async function prepareKeys(env: Env, keys: ReturnType<typeof createKeys>): Promise<FirstKey | null> {
  await keys.seedEnvironmentKey(env.apiKey);
  return env.apiKey === null ? keys.ensureFirstKey(env.dataDir) : null;
}

function listenProblem(env: Env, cause: NodeJS.ErrnoException): string {
  const places = `${env.host}:${env.port} or ${env.adminHost}:${env.adminPort}`;
  if (cause.code === 'EADDRINUSE') return `cannot listen on ${places}: in use; set PORT or ADMIN_PORT to a free one`;
  return `cannot listen on ${places}: ${cause.code ?? cause.name}`;
}

/** Resolves when the server has drained. A second signal ends the process at once. */
function untilStopped(listening: Listening, log: Log): Promise<void> {
  return new Promise((resolve, reject) => {
    let stopping = false;
    const stop = (signal: NodeJS.Signals): void => {
      if (stopping) process.exit(1);
      stopping = true;
      log.info('draining', { signal });
      listening.close().then(() => {
        log.info('stopped');
        process.off('SIGTERM', stop).off('SIGINT', stop);
        resolve();
      }, reject);
    };
    process.on('SIGTERM', stop).on('SIGINT', stop);
  });
}

function sweep(store: Store, log: Log): void {
  store.sweep(Date.now()).then(
    (count) => {
      if (count > 0) log.debug('swept', { count });
    },
    () => log.error('sweep_failed'),
  );
}
