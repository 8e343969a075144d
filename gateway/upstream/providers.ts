/** Every provider of the gateway by name, and which of them serves a request. */
import type { GatewayConfig, TargetConfig } from '../../config/schema.ts';
import { matchesName } from '../../engine/tools/constraints.ts';
import { GatewayError } from '../errors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { type AttemptOptions, RoutedCall, type RouteTarget } from './attempts.ts';
import type { Providers, Route, RouteQuery } from './port.ts';
import { Provider } from './provider.ts';
import { defaultProvider, environmentKey, type ProviderSources, readProviders } from './settings.ts';

export interface ProvidersOptions extends ProviderSources {
  /** Address of the demo provider, where one was started. */
  readonly demoUrl: string | null;
  readonly metrics: Pick<Metrics, 'upstreamAttempt' | 'upstreamError' | 'providerOpen'>;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
}

/** Makes the pools of all providers; nothing is connected yet. Throws `EnvError` when a key or a provider is missing. */
export function createProviders(options: ProvidersOptions): Providers {
  const { config, demoUrl, metrics, log, now = () => performance.now() } = options;
  const onOpen = (provider: string, open: boolean): void => {
    metrics.providerOpen(provider, open);
    if (open) log.warn('provider_left_alone', { provider });
    else log.info('provider_back', { provider });
  };
  const all = new Map<string, Provider>();
  const own = environmentKey(options.env);
  for (const settings of readProviders(options, demoUrl)) {
    all.set(settings.name, new Provider(settings, { config, now, onOpen, environmentKey: own }));
    metrics.providerOpen(settings.name, false);
  }
  const byDefault = defaultProvider(options) as string;
  const attempts: AttemptOptions = {
    attemptsMax: config.upstream.attemptsMax,
    fallbackStatuses: config.upstream.fallbackStatuses,
    totalMs: config.timeouts.upstreamTotalMs,
    now,
    onOutcome: (provider, outcome) => metrics.upstreamAttempt(provider, outcome),
    onKeyTrouble: (provider, trouble, status) => {
      log.warn(trouble, { provider, upstreamStatus: status });
      // An answer that breaks off for its echo is counted with the error that the client gets.
      if (trouble === 'provider_key_refused') metrics.upstreamError(trouble);
    },
  };
  return {
    route: (query) => routeOver(targetsOf(all, chainOf(config, query, byDefault), query), attempts),
    close: async () => void (await Promise.all([...all.values()].map((provider) => provider.close()))),
    destroy: async () => void (await Promise.all([...all.values()].map((provider) => provider.destroy()))),
  };
}

/** The first provider and its fallbacks. */
function chainOf(config: GatewayConfig, query: RouteQuery, byDefault: string): readonly TargetConfig[] {
  // Whoever names a provider wants that one.
  if (query.provider !== null) return [{ provider: query.provider }];
  const route = config.routing.routes.find(
    ({ models, surfaces }) =>
      (models === undefined || models.some((pattern) => matchesName(pattern, query.model ?? ''))) &&
      (surfaces === undefined || surfaces.includes(query.surface)),
  );
  return route === undefined ? [{ provider: byDefault }] : [route, ...(route.fallback ?? [])];
}

/** The first must be able to serve the call; fallbacks that cannot are left out. */
function targetsOf(
  all: ReadonlyMap<string, Provider>,
  chain: readonly TargetConfig[],
  { surface, model }: RouteQuery,
): RouteTarget[] {
  const targets: RouteTarget[] = [];
  for (const [index, target] of chain.entries()) {
    const provider = all.get(target.provider);
    if (provider === undefined) throw new GatewayError('not_found');
    const aim = { surface, model: target.model ?? model ?? provider.model };
    try {
      if (!provider.serves(surface)) throw new GatewayError('endpoint_not_offered');
      provider.checkAim(aim);
    } catch (error) {
      if (index === 0 || !(error instanceof GatewayError)) throw error;
      continue;
    }
    // A call that names no model carries the default of the first provider, which a fallback may not have.
    const replacement = target.model ?? (index > 0 && model === null ? provider.model : null);
    targets.push({ ...aim, provider, replacement });
  }
  return targets;
}

function routeOver(targets: readonly RouteTarget[], attempts: AttemptOptions): Route {
  const { provider, replacement } = targets[0] as RouteTarget;
  return {
    provider: provider.name,
    defaultModel: async () => replacement ?? provider.defaultModel(),
    call: (request, sink) => new RoutedCall(targets, request, sink, attempts).start(),
  };
}
