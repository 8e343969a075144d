/** One provider: its connections, its form of requests, its breaker and the model it uses by default. */
import type { IncomingHttpHeaders } from 'node:http';
import type { GatewayConfig, SurfaceId } from '../../config/schema.ts';
import { callersOwnKey } from '../http/auth.ts';
import { Breaker } from './breaker.ts';
import type { UpstreamAttempt, UpstreamSink } from './call.ts';
import { UpstreamClient, type UpstreamRequest } from './client.ts';
import { DefaultModel } from './defaultModel.ts';
import { basePathOf, placeOf, serves } from './kinds.ts';
import type { RoutedRequest } from './port.ts';
import type { ProviderSettings } from './settings.ts';
import { parseUpstreamUrl } from './url.ts';

export type AttemptOutcome = 'ok' | 'refused' | 'unreachable' | 'timeout' | 'error' | 'aborted' | 'skipped';

/** Where a request goes within a provider. */
export interface Aim {
  readonly surface: SurfaceId;
  /** For providers whose paths name the model. */
  readonly model: string | null;
}

export interface ProviderOptions {
  readonly config: GatewayConfig;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly onOpen: (provider: string, open: boolean) => void;
  /** A key of the gateway itself, which goes to no provider. */
  readonly environmentKey: string | null;
}

export class Provider {
  readonly name: string;
  /** Used where a call names none, if configured. */
  readonly model: string | null;
  /** Called with the caller's key. */
  readonly passthrough: boolean;
  readonly breaker: Breaker;
  readonly #settings: ProviderSettings;
  readonly #environmentKey: string | null;
  readonly #client: UpstreamClient;
  readonly #defaultModel: DefaultModel;

  constructor(settings: ProviderSettings, { config, now, onOpen, environmentKey }: ProviderOptions) {
    const { name, kind, model, passthrough } = settings;
    const { origin, basePath } = parseUpstreamUrl(settings.url);
    this.name = name;
    this.model = model;
    this.passthrough = passthrough;
    this.#settings = settings;
    this.#environmentKey = environmentKey;
    this.#client = new UpstreamClient(
      { name, kind, origin, basePath: basePathOf(kind, basePath), apiKey: settings.key, headers: settings.headers },
      {
        timeouts: config.timeouts,
        connectionsMax: config.upstream.connectionsMax,
        requestHeaders: config.upstream.requestHeaders,
        responseHeaders: config.upstream.responseHeaders,
      },
    );
    this.breaker = new Breaker({ ...config.upstream.breaker, now, onChange: (open) => onOpen(name, open) });
    const aim: Aim = { surface: 'models', model: null };
    // Without a key of ours there is no list to ask for; Azure's dated API lists base models, not deployments.
    const lists = !passthrough && settings.apiVersion === null && serves(kind, 'models');
    const asked = { call: (request: RoutedRequest, sink: UpstreamSink) => this.send(request, aim, {}, sink) };
    this.#defaultModel = new DefaultModel(lists ? asked : null, model, config.limits);
  }

  serves(surface: SurfaceId): boolean {
    return serves(this.#settings.kind, surface);
  }

  /** Throws `GatewayError` when a request for this cannot be put into the provider's form. */
  checkAim({ surface, model }: Aim): void {
    placeOf(this.#settings, surface, model, { path: '/', query: '' });
  }

  defaultModel(): Promise<string | null> {
    return this.#defaultModel.get();
  }

  /** The key of the caller to send, undefined to send ours; null when the caller sent none where one is needed. */
  credentialOf(headers: IncomingHttpHeaders): string | undefined | null {
    return this.passthrough ? callersOwnKey(headers, this.#environmentKey) : undefined;
  }

  /** One attempt. Throws `GatewayError` for a place that the provider cannot have. */
  send(
    request: RoutedRequest,
    { surface, model }: Aim,
    options: Pick<UpstreamRequest, 'credential' | 'totalMs'>,
    sink: UpstreamSink,
  ): UpstreamAttempt {
    return this.#client.call({ ...request, ...placeOf(this.#settings, surface, model, request), ...options }, sink);
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  destroy(): Promise<void> {
    return this.#client.destroy();
  }
}
