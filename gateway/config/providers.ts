/** What the schema cannot see of providers and routes: fields that exclude or need each other, and names. */
import type { GatewayConfig, ProviderConfig } from '../../config/schema.ts';
import { isReservedHeader } from '../upstream/headers.ts';
import { DEFAULT_URLS, serves } from '../upstream/kinds.ts';
import { callersKeyProblems, DEMO_PROVIDER, ENVIRONMENT_PROVIDER, namedProviders } from '../upstream/settings.ts';
import { parseUpstreamUrl } from '../upstream/url.ts';

/** One line each, with the path; no line quotes an address or a header value, which may hold a key. */
export function providerConfigProblems(config: GatewayConfig): string[] {
  const problems = Object.entries(config.providers).flatMap(([name, provider]) =>
    problemsOf(provider).map((problem) => `providers.${name}.${problem}`),
  );
  const configured = Object.keys(config.providers);
  // These two may come from the environment, which a file cannot know.
  const known = new Set([...configured, ENVIRONMENT_PROVIDER, ...(configured.length === 0 ? [DEMO_PROVIDER] : [])]);
  for (const { path, provider } of namedProviders(config)) {
    if (known.has(provider)) continue;
    problems.push(`${path}: found "${provider}"; expected one of the providers ${[...known].join(', ')}`);
  }
  return [...problems, ...surfaceProblems(config), ...callersKeyProblems(config)];
}

function problemsOf(provider: ProviderConfig): string[] {
  const { kind, url, keyEnv, auth, headers = {}, apiVersion } = provider;
  const problems: string[] = [];
  if (kind === 'demo') {
    if (url !== undefined) problems.push('url: found an address; expected none for kind demo');
    if (keyEnv !== undefined) problems.push(`keyEnv: found "${keyEnv}"; expected none for kind demo`);
    if (auth !== undefined) problems.push(`auth: found "${auth}"; expected none for kind demo`);
  } else problems.push(...urlProblems(url, kind));
  if (apiVersion !== undefined && kind !== 'azure')
    problems.push(`apiVersion: found "${apiVersion}"; expected none for kind ${kind}`);
  if (auth === 'passthrough' && keyEnv !== undefined)
    problems.push(`keyEnv: found "${keyEnv}"; expected none with auth: passthrough`);
  for (const name of Object.keys(headers)) {
    if (isReservedHeader(name))
      problems.push(`headers.${name}: found a header that the gateway itself sets or keeps back; expected another`);
  }
  return problems;
}

function urlProblems(url: string | undefined, kind: ProviderConfig['kind']): string[] {
  if (url === undefined) {
    return DEFAULT_URLS[kind] === null ? [`url: found nothing; expected an address for kind ${kind}`] : [];
  }
  try {
    parseUpstreamUrl(url);
    return [];
  } catch (error) {
    return [
      `url: found a value of ${url.length} characters; ${error instanceof Error ? error.message : 'expected a URL'}`,
    ];
  }
}

/** A route that names an endpoint its provider does not have would refuse every such call. */
function surfaceProblems({ providers, routing }: GatewayConfig): string[] {
  return routing.routes.flatMap(({ provider: name, surfaces = [] }, index) => {
    const provider = Object.hasOwn(providers, name) ? providers[name] : undefined;
    if (provider === undefined) return [];
    return surfaces
      .filter((surface) => !serves(provider.kind, surface))
      .map(
        (surface) =>
          `routing.routes.${index}.surfaces: found "${surface}"; expected endpoints that kind ${provider.kind} has`,
      );
  });
}
