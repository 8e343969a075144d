/**
 * One provider: a pool of kept-alive connections, and calls whose answers go straight to a sink as they arrive.
 * Knows deadlines, credentials and header policy; knows nothing of wire formats, and never retries, since a request
 * that was written may have been accepted.
 *
 * Known gap: an answer with neither length nor chunks ends with its connection, so undici reports a reset there as
 * an ordinary end. Whoever reads the stream must look for its finish.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { Pool } from 'undici';
import type { ProviderKind, Timeouts } from '../../config/schema.ts';
import { type Resolve, safeLookup } from './address.ts';
import { Call, type UpstreamAttempt, type UpstreamSink } from './call.ts';
import { HeaderAllowList, pickRequestHeaders } from './headers.ts';
import { addKindHeaders } from './kinds.ts';
import type { RequestBody } from './port.ts';

export type { UpstreamCall, UpstreamHead, UpstreamSink } from './call.ts';
export { parseUpstreamUrl, type UpstreamUrl } from './url.ts';

export interface UpstreamTarget {
  readonly name: string;
  readonly kind: ProviderKind;
  readonly origin: string;
  /** Such as `/v1`; empty for none. */
  readonly basePath: string;
  readonly apiKey: string | null;
  /** Sent with every request, in place of the client's of the same name. Names in lower case, none of them reserved. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface UpstreamOptions {
  readonly timeouts: Pick<Timeouts, 'upstreamConnectMs' | 'upstreamHeaderMs' | 'upstreamIdleMs' | 'upstreamTotalMs'>;
  readonly connectionsMax: number;
  /** Allow-lists; an entry that ends in `*` is a prefix. */
  readonly requestHeaders: readonly string[];
  readonly responseHeaders: readonly string[];
  /** Replaces the resolver of the system. */
  readonly resolve?: Resolve;
}

export interface UpstreamRequest {
  readonly method: string;
  /** Relative to the base path, such as `/chat/completions`. */
  readonly path: string;
  /** Empty, or with its question mark. */
  readonly query?: string;
  /** The client's headers; what is not on the allow-list stays here. */
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer | RequestBody | null;
  /** Asks for a WebSocket with these handshake headers. */
  readonly upgrade?: Readonly<Record<string, string>>;
  /** Replaces the provider's key for this request. */
  readonly credential?: string;
  /** Replaces the total deadline. */
  readonly totalMs?: number;
}

/** Node servers such as uvicorn close idle connections after 5 s without saying so. */
const KEEP_ALIVE_MS = 4_000;
/** All header names and values of one answer. */
const HEADER_BYTES_MAX = 16 * 1024;
const USER_AGENT = 'portcullis';

/** The provider the gateway calls; `close` or `destroy` it when done. */
export class UpstreamClient {
  readonly #target: UpstreamTarget;
  readonly #pool: Pool;
  readonly #requestHeaders: HeaderAllowList;
  readonly #responseHeaders: HeaderAllowList;
  readonly #totalMs: number;

  constructor(target: UpstreamTarget, options: UpstreamOptions) {
    this.#target = target;
    this.#pool = new Pool(target.origin, {
      connections: options.connectionsMax,
      pipelining: 1,
      allowH2: false,
      connect: { timeout: options.timeouts.upstreamConnectMs, lookup: safeLookup(options.resolve) },
      headersTimeout: options.timeouts.upstreamHeaderMs,
      bodyTimeout: options.timeouts.upstreamIdleMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
    });
    this.#requestHeaders = new HeaderAllowList(options.requestHeaders);
    this.#responseHeaders = new HeaderAllowList(options.responseHeaders);
    this.#totalMs = options.timeouts.upstreamTotalMs;
  }

  call(request: UpstreamRequest, sink: UpstreamSink): UpstreamAttempt {
    if (!request.path.startsWith('/')) throw new Error('expected a path that starts with a slash');
    const call = new Call(sink, {
      provider: this.#target.name,
      responseHeaders: this.#responseHeaders,
      totalMs: request.totalMs ?? this.#totalMs,
      key: request.credential === undefined ? this.#target.apiKey : null,
    });
    try {
      const { method } = request;
      const path = this.#target.basePath + request.path + (request.query ?? '');
      const upgrade = request.upgrade === undefined ? null : 'websocket';
      this.#pool.dispatch({ method, path, headers: this.#headers(request), body: bodyOf(request.body), upgrade }, call);
    } catch (cause) {
      call.onResponseError(null, cause);
    }
    call.started();
    return call;
  }

  /** Refuses new calls and waits for those under way. */
  async close(): Promise<void> {
    if (!this.#pool.closed && !this.#pool.destroyed) await this.#pool.close();
  }

  /** Ends every call with `upstream_unreachable` or `upstream_error`. */
  async destroy(): Promise<void> {
    await this.#pool.destroy();
  }

  /** As the flat list of names and values that undici takes. */
  #headers(request: UpstreamRequest): string[] {
    const headers = pickRequestHeaders(request.headers, this.#requestHeaders);
    if (!headers.has('user-agent')) headers.set('user-agent', USER_AGENT);
    for (const name in request.upgrade) headers.set(name, request.upgrade[name] as string);
    for (const name in this.#target.headers) headers.set(name, this.#target.headers[name] as string);
    addKindHeaders(this.#target.kind, headers, request.credential ?? this.#target.apiKey);
    headers.set('accept', request.headers.accept ?? '*/*');
    // Compressed text would only have to be decoded again before it can be inspected.
    headers.set('accept-encoding', 'identity');
    const { body } = request;
    if (body !== null && 'stream' in body) {
      if (body.contentType !== null) headers.set('content-type', body.contentType);
      if (body.contentLength !== null) headers.set('content-length', String(body.contentLength));
    } else if (body !== null) headers.set('content-type', 'application/json');
    return [...headers].flat();
  }
}

function bodyOf(body: UpstreamRequest['body']): Buffer | Readable | null {
  if (body === null || Buffer.isBuffer(body)) return body;
  if (body.kind === 'bytes') return body.of(null);
  // undici destroys a stream when its call ends early, and with it the client's connection, before it has its answer.
  return body.stream.iterator({ destroyOnReturn: false }) as unknown as Readable;
}
