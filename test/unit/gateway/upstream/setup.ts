/** Providers over real servers: what each server was sent, and what the gateway counted and logged. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach } from 'vitest';
import type { GatewayConfig, ProviderConfig, RouteConfig } from '../../../../config/schema.ts';
import { loadConfig } from '../../../../gateway/config/load.ts';
import type { Providers, RoutedRequest, Upstream } from '../../../../gateway/upstream/port.ts';
import { createProviders } from '../../../../gateway/upstream/providers.ts';
import type { EnvironmentUpstream } from '../../../../gateway/upstream/settings.ts';
import { within } from '../../../helpers/deadline.ts';
import { httpServer, Recorder, sleep } from './harness.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Server {
  readonly url: string;
  readonly seen: Seen[];
}

/** A provider that answers with its name, or as the test says. The base URL has no path. */
export async function server(name: string, answer?: (response: ServerResponse, seen: Seen) => void): Promise<Server> {
  const seen: Seen[] = [];
  const url = await httpServer(async (request, response) => {
    let body = '';
    try {
      for await (const chunk of request) body += chunk;
    } catch {
      // The gateway gave up while it sent.
      return;
    }
    const { method = '', url: target = '', headers } = request;
    seen.push({ method, url: target, headers, body });
    if (answer === undefined) response.end(name);
    else answer(response, seen.at(-1) as Seen);
  });
  return { url, seen };
}

/** An origin at which nothing listens. */
export async function deadOrigin(): Promise<string> {
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  return `http://127.0.0.1:${port}`;
}

export interface Setup {
  readonly providers?: Readonly<Record<string, ProviderConfig>>;
  readonly routes?: readonly RouteConfig[];
  readonly default?: string | null;
  readonly upstream?: Partial<GatewayConfig['upstream']>;
  readonly timeouts?: Partial<GatewayConfig['timeouts']>;
  readonly environment?: EnvironmentUpstream | null;
  readonly env?: Readonly<Record<string, string>>;
  readonly demoUrl?: string | null;
  readonly now?: () => number;
  readonly onOutcome?: (line: string) => void;
}

export interface Made {
  readonly providers: Providers;
  /** Every attempt as `provider outcome`. */
  readonly outcomes: string[];
  /** Every change of a breaker as `provider open` or `provider closed`. */
  readonly changes: string[];
  /** Every warning and error that was counted, such as `provider_key_refused a 401`. */
  readonly troubles: string[];
}

export function configOf(setup: Setup): GatewayConfig {
  const config = loadConfig();
  return {
    ...config,
    timeouts: { ...config.timeouts, ...setup.timeouts },
    upstream: { ...config.upstream, ...setup.upstream },
    providers: { ...setup.providers },
    routing: { default: setup.default ?? null, routes: [...(setup.routes ?? [])] },
  };
}

export function make(setup: Setup): Made {
  const outcomes: string[] = [];
  const changes: string[] = [];
  const troubles: string[] = [];
  const providers = createProviders({
    config: configOf(setup),
    upstream: setup.environment ?? null,
    env: setup.env ?? {},
    demoUrl: setup.demoUrl ?? null,
    metrics: {
      upstreamAttempt: (provider, outcome) => {
        outcomes.push(`${provider} ${outcome}`);
        setup.onOutcome?.(`${provider} ${outcome}`);
      },
      upstreamError: (code) => void troubles.push(`counted ${code}`),
      providerOpen: (provider, open) => void changes.push(`${provider} ${open ? 'open' : 'closed'}`),
    },
    log: {
      info: () => {},
      warn: (event, fields) => void troubles.push([event, ...Object.values(fields ?? {})].join(' ')),
    },
    ...(setup.now !== undefined && { now: setup.now }),
  });
  cleanups.push(() => providers.destroy());
  return { providers, outcomes, changes, troubles };
}

/** A chat body whose model the route may replace. */
export const CHAT: RoutedRequest = {
  method: 'POST',
  path: '/chat/completions',
  query: '',
  headers: {},
  body: { kind: 'bytes', of: (model) => Buffer.from(`{"model":"${model ?? 'own'}"}`) },
};

/** Makes a call and waits until it is over. */
export async function send(to: Upstream, request: Partial<RoutedRequest> = {}): Promise<Recorder> {
  const sink = new Recorder();
  to.call({ ...CHAT, ...request }, sink);
  await within(8000, sink.settled, 'the end of the call');
  // A second callback would come in one of the next turns.
  await sleep(10);
  return sink;
}

/** The route of a chat call for this model. */
export function chat({ providers }: Made, model: string | null = 'own', provider: string | null = null) {
  return providers.route({ surface: 'chat', model, provider });
}
