/** The providers that configuration and environment name together, each with what a connection needs. */
import type { GatewayConfig, ProviderConfig, ProviderKind } from '../../config/schema.ts';
import { EnvError, isProviderKey } from '../env.ts';
import { DEFAULT_URLS } from './kinds.ts';
import { parseUpstreamUrl } from './url.ts';

/** The provider of PORTCULLIS_UPSTREAM_URL. */
export const ENVIRONMENT_PROVIDER = 'default';
/** The provider where nothing names one. */
export const DEMO_PROVIDER = 'demo';
/** Used where a call to the demo names no model. */
const DEMO_MODEL = 'demo-chat';

/** The provider that the environment names. */
export interface EnvironmentUpstream {
  readonly url: string;
  readonly key: string | null;
  readonly model: string | null;
  readonly kind?: ProviderKind;
}

export interface ProviderSources {
  readonly config: GatewayConfig;
  readonly upstream: EnvironmentUpstream | null;
  /** Where `keyEnv` is looked up. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface ProviderSettings {
  readonly name: string;
  readonly kind: ProviderKind;
  readonly url: string;
  readonly key: string | null;
  /** The caller's key is sent instead of one of ours. */
  readonly passthrough: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly model: string | null;
  readonly apiVersion: string | null;
}

/** Whether one of the providers is the demo, which must then be started. */
export function needsDemo({ config, upstream }: Omit<ProviderSources, 'env'>): boolean {
  const configured = Object.values(config.providers);
  return (upstream === null && configured.length === 0) || configured.some(({ kind }) => kind === 'demo');
}

/** Name of the provider of calls that no route fits; null when several could be meant. */
export function defaultProvider(sources: Omit<ProviderSources, 'env'>): string | null {
  const { config, upstream } = sources;
  if (config.routing.default !== null) return config.routing.default;
  const names = providerNames(sources);
  if (upstream !== null || names.includes(ENVIRONMENT_PROVIDER)) return ENVIRONMENT_PROVIDER;
  return names.length === 1 ? (names[0] as string) : null;
}

/** Host of the provider of calls that no route fits; null for the demo. */
export function describeDefault(sources: Omit<ProviderSources, 'env'>): string | null {
  const name = defaultProvider(sources) ?? DEMO_PROVIDER;
  const provider = Object.hasOwn(sources.config.providers, name) ? sources.config.providers[name] : undefined;
  const url = provider === undefined ? sources.upstream?.url : (provider.url ?? DEFAULT_URLS[provider.kind]);
  return typeof url === 'string' ? new URL(url).host : null;
}

/** What a start would fail with, one line each; none of them holds a key. */
export function providerProblems(sources: ProviderSources): string[] {
  const { config, upstream, env } = sources;
  const names = providerNames(sources);
  const known = names.join(', ');
  const problems: string[] = [];
  if (upstream !== null && Object.hasOwn(config.providers, ENVIRONMENT_PROVIDER)) {
    problems.push(`providers.${ENVIRONMENT_PROVIDER}: found beside PORTCULLIS_UPSTREAM_URL; expected another name`);
  }
  for (const [name, { keyEnv }] of Object.entries(config.providers)) {
    if (keyEnv === undefined) continue;
    const expected = `expected the key of the provider in the environment variable ${keyEnv}`;
    const value = textOf(env, keyEnv);
    if (value === '') problems.push(`providers.${name}.keyEnv: found nothing; ${expected}`);
    else if (!isProviderKey(value))
      problems.push(`providers.${name}.keyEnv: found blanks or characters that no header can carry; ${expected}`);
  }
  for (const { path, provider } of namedProviders(config)) {
    if (!names.includes(provider))
      problems.push(`${path}: found "${provider}"; expected one of the providers ${known}`);
  }
  problems.push(...callersKeyProblems(config));
  if (defaultProvider(sources) === null)
    problems.push(`routing.default: found nothing; expected one of the providers ${known}`);
  return problems;
}

/** Routes on which the caller's key for one provider would be sent to another. */
export function callersKeyProblems({ providers, routing }: GatewayConfig): string[] {
  return routing.routes.flatMap(({ provider, fallback = [] }, index) => {
    const chain = [provider, ...fallback.map((target) => target.provider)].flatMap((name, at) => {
      const origin = passthroughOrigin(Object.hasOwn(providers, name) ? providers[name] : undefined);
      return origin === null ? [] : [{ name, origin, at: at - 1 }];
    });
    const first = chain[0];
    return chain
      .filter(({ origin }) => origin !== first?.origin)
      .map(
        ({ name, at }) =>
          `routing.routes.${index}.fallback.${at}.provider: found "${name}", which would get the key that the caller has for "${first?.name}"; expected a provider at the same origin, or one with keyEnv`,
      );
  });
}

/** Where the caller's key goes; null for a provider that gets none. */
function passthroughOrigin(provider: ProviderConfig | undefined): string | null {
  if (provider?.auth !== 'passthrough') return null;
  try {
    return parseUpstreamUrl(provider.url ?? DEFAULT_URLS[provider.kind] ?? '').origin;
  } catch {
    return null; // An address that is none is a problem of its own.
  }
}

/** The key for the gateway that the environment gives; null for none. */
export function environmentKey(env: ProviderSources['env']): string | null {
  return textOf(env, 'PORTCULLIS_API_KEY') || null;
}

/** Throws `EnvError` when something is missing. */
export function readProviders(sources: ProviderSources, demoUrl: string | null): ProviderSettings[] {
  const problems = providerProblems(sources);
  if (problems.length > 0) throw new EnvError(problems);
  const { config, upstream, env } = sources;
  const settings: ProviderSettings[] = [];
  if (upstream !== null) {
    const { url, key, model, kind = 'openai-compatible' } = upstream;
    settings.push({ ...PLAIN, name: ENVIRONMENT_PROVIDER, kind, url, key, model });
  }
  for (const [name, provider] of Object.entries(config.providers)) {
    settings.push(settingsOf(name, provider, env, demoUrl));
  }
  if (settings.length === 0) settings.push(settingsOf(DEMO_PROVIDER, { kind: 'demo' }, env, demoUrl));
  return settings;
}

/** Every place of the configuration that names a provider. */
export function namedProviders({ routing }: GatewayConfig): { readonly path: string; readonly provider: string }[] {
  const named = routing.routes.flatMap(({ provider, fallback = [] }, index) => [
    { path: `routing.routes.${index}.provider`, provider },
    ...fallback.map((target, at) => ({
      path: `routing.routes.${index}.fallback.${at}.provider`,
      provider: target.provider,
    })),
  ]);
  return routing.default === null ? named : [{ path: 'routing.default', provider: routing.default }, ...named];
}

const PLAIN = { passthrough: false, headers: {}, apiVersion: null };

function settingsOf(
  name: string,
  provider: ProviderConfig,
  env: ProviderSources['env'],
  demoUrl: string | null,
): ProviderSettings {
  const demo = provider.kind === 'demo';
  const url = demo ? demoUrl : (provider.url ?? DEFAULT_URLS[provider.kind]);
  if (url === null) throw new Error(`the provider ${name} has no address`);
  return {
    name,
    kind: provider.kind,
    url,
    key: provider.keyEnv === undefined ? null : textOf(env, provider.keyEnv),
    passthrough: provider.auth === 'passthrough',
    headers: provider.headers ?? {},
    model: provider.model ?? (demo ? DEMO_MODEL : null),
    apiVersion: provider.apiVersion ?? null,
  };
}

function providerNames({ config, upstream }: Omit<ProviderSources, 'env'>): string[] {
  const names = Object.keys(config.providers);
  if (upstream !== null && !names.includes(ENVIRONMENT_PROVIDER)) names.unshift(ENVIRONMENT_PROVIDER);
  return names.length === 0 ? [DEMO_PROVIDER] : names;
}

function textOf(env: ProviderSources['env'], name: string): string {
  return (Object.hasOwn(env, name) ? env[name] : undefined)?.trim() ?? '';
}
