/**
 * One provider: a pool of kept-alive connections, and calls whose answers go straight to a sink as they arrive.
 * Knows deadlines, header policy and content codings; knows nothing of wire formats, and never retries, since a
 * request that was written may have been accepted.
 *
 * Known gap: an answer with neither length nor chunks ends with its connection, so undici reports a reset there as
 * an ordinary end. Whoever reads the stream must look for its finish.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { type Dispatcher, Pool } from 'undici';
import type { Timeouts } from '../../config/schema.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import { Decoder, parseContentEncoding } from './decode.ts';
import { cleanValue, HeaderAllowList, pickRequestHeaders, pickResponseHeaders } from './headers.ts';

export { parseUpstreamUrl, type UpstreamUrl } from './url.ts';

export interface UpstreamTarget {
  readonly origin: string;
  /** Such as `/v1`; empty for none. */
  readonly basePath: string;
  /** Sent as a bearer token. */
  readonly apiKey: string | null;
}

export interface UpstreamOptions {
  readonly timeouts: Pick<Timeouts, 'upstreamConnectMs' | 'upstreamHeaderMs' | 'upstreamIdleMs' | 'upstreamTotalMs'>;
  readonly connectionsMax: number;
  /** Allow-lists; an entry that ends in `*` is a prefix. */
  readonly requestHeaders: readonly string[];
  readonly responseHeaders: readonly string[];
}

export interface UpstreamRequest {
  readonly method: string;
  /** Relative to the base path, such as `/chat/completions`. */
  readonly path: string;
  /** The client's headers; what is not on the allow-list stays here. */
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer | null;
}

export interface UpstreamHead {
  /** Never 1xx or 3xx. */
  readonly status: number;
  /** Names in lower case, allow-listed, printable ASCII values of at most 8 KiB. */
  readonly headers: ReadonlyMap<string, string>;
  readonly contentType: string | null;
}

/**
 * Where an answer goes. `onHead`, any number of `onData`, then exactly one of `onEnd` and `onError`; `onError` may
 * come at any point and nothing follows it. Nothing is called before `call` returns, and nothing after `abort`.
 * A callback that throws ends the call with `internal_error`.
 */
export interface UpstreamSink {
  onHead(head: UpstreamHead): void;
  /** Decoded bytes. */
  onData(chunk: Buffer): void;
  onEnd(): void;
  onError(error: GatewayError): void;
}

export interface UpstreamCall {
  /** At most one more chunk, or the end, arrives after it. The total deadline goes on. */
  pause(): void;
  resume(): void;
  /** Closes the provider's connection; safe at any time and more than once. */
  abort(): void;
}

/** Node servers such as uvicorn close idle connections after 5 s without saying so. */
const KEEP_ALIVE_MS = 4_000;
/** All header names and values of one answer. */
const HEADER_BYTES_MAX = 16 * 1024;
const USER_AGENT = 'portcullis';

/** The provider the gateway calls; `close` or `destroy` it when done. */
export class UpstreamClient {
  readonly #pool: Pool;
  readonly #basePath: string;
  readonly #ownHeaders: readonly string[];
  readonly #requestHeaders: HeaderAllowList;
  readonly #responseHeaders: HeaderAllowList;
  readonly #totalMs: number;

  constructor(target: UpstreamTarget, options: UpstreamOptions) {
    this.#pool = new Pool(target.origin, {
      connections: options.connectionsMax,
      pipelining: 1,
      allowH2: false,
      connect: { timeout: options.timeouts.upstreamConnectMs },
      headersTimeout: options.timeouts.upstreamHeaderMs,
      bodyTimeout: options.timeouts.upstreamIdleMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
    });
    this.#basePath = target.basePath;
    this.#ownHeaders = [
      // Compressed text would only have to be decoded again before it can be inspected.
      'accept-encoding',
      'identity',
      ...(target.apiKey === null ? [] : ['authorization', `Bearer ${target.apiKey}`]),
    ];
    this.#requestHeaders = new HeaderAllowList(options.requestHeaders);
    this.#responseHeaders = new HeaderAllowList(options.responseHeaders);
    this.#totalMs = options.timeouts.upstreamTotalMs;
  }

  call(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    if (!request.path.startsWith('/')) throw new Error('expected a path that starts with a slash');
    const headers = pickRequestHeaders(request.headers, this.#requestHeaders);
    if (request.headers['user-agent'] === undefined || !this.#requestHeaders.has('user-agent')) {
      headers.push('user-agent', USER_AGENT);
    }
    headers.push('accept', request.headers.accept ?? '*/*', ...this.#ownHeaders);
    if (request.body !== null) headers.push('content-type', 'application/json');

    const call = new Call(sink, this.#responseHeaders, this.#totalMs);
    try {
      const { method, body } = request;
      this.#pool.dispatch({ method, path: this.#basePath + request.path, headers, body }, call);
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
}

class Call implements UpstreamCall, Dispatcher.DispatchHandler {
  readonly #sink: UpstreamSink;
  readonly #responseHeaders: HeaderAllowList;
  readonly #timer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | null = null;
  #decoder: Decoder | null = null;
  #decoderFull = false;
  /** The sink asked for a break. */
  #paused = false;
  #resumeQueued = false;
  #headSeen = false;
  /** The sink has its last callback, or asked for none. */
  #done = false;
  #starting = true;

  constructor(sink: UpstreamSink, responseHeaders: HeaderAllowList, totalMs: number) {
    this.#sink = sink;
    this.#responseHeaders = responseHeaders;
    this.#timer = setTimeout(() => this.#fail(new GatewayError('upstream_timeout')), totalMs).unref();
  }

  started(): void {
    this.#starting = false;
  }

  pause(): void {
    this.#paused = true;
    if (this.#decoder !== null) this.#decoder.pause();
    else this.#controller?.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#decoder !== null) this.#decoder.resume();
    else this.#resumeSocket();
  }

  abort(): void {
    this.#finish();
    this.#controller?.abort(new Error('the call was aborted'));
  }

  // What undici calls.

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Aborted, or out of time, while it waited for a connection: the request is not written.
    if (this.#done) controller.abort(new Error('the call was aborted'));
    else if (this.#paused) controller.pause();
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (this.#done || status < 200) return;
    this.#headSeen = true;
    // A redirect could send the prompt, and our key, anywhere.
    const codings = status >= 300 && status < 400 ? null : parseContentEncoding(headers['content-encoding']);
    if (codings === null) {
      this.#fail(new GatewayError('bad_upstream'));
      return;
    }
    if (codings.length > 0) {
      // From here on a break of the sink acts on the decoder, and a full decoder on the socket.
      this.#decoder = new Decoder(codings, {
        onData: (chunk) => this.#deliver(() => this.#sink.onData(chunk)),
        onEnd: () => this.#end(),
        onError: (error) => this.#fail(error),
        onDrain: () => {
          this.#decoderFull = false;
          this.#resumeSocket();
        },
      });
      if (this.#paused) {
        this.#decoder.pause();
        controller.resume();
      }
    }
    const head: UpstreamHead = {
      status,
      headers: pickResponseHeaders(headers, this.#responseHeaders),
      contentType: cleanValue(headers['content-type']),
    };
    this.#deliver(() => this.#sink.onHead(head));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#done) return;
    if (this.#decoder === null) this.#deliver(() => this.#sink.onData(chunk));
    else if (!this.#decoder.write(chunk)) {
      this.#decoderFull = true;
      controller.pause();
    }
  }

  onResponseEnd(): void {
    this.#controller = null;
    if (this.#done) return;
    if (this.#decoder !== null) this.#decoder.end();
    else this.#end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, cause: unknown): void {
    this.#controller = null;
    const error = new GatewayError(errorCode(cause, this.#headSeen), { cause: withoutPayload(cause) });
    // undici reports some errors, such as a closed pool, before `dispatch` returns.
    if (this.#starting) queueMicrotask(() => this.#fail(error));
    else this.#fail(error);
  }

  /**
   * undici's parser may not be resumed from inside another one's callback, and callers cannot know whether they are
   * in one, so it happens when the stack is empty.
   */
  #resumeSocket(): void {
    if (this.#resumeQueued) return;
    this.#resumeQueued = true;
    queueMicrotask(() => {
      this.#resumeQueued = false;
      const wanted = this.#decoder === null ? !this.#paused : !this.#decoderFull;
      if (wanted && !this.#done) this.#controller?.resume();
    });
  }

  /** A sink that throws has a bug; its call ends with `internal_error` instead of being blamed on the provider. */
  #deliver(callback: () => void): void {
    try {
      callback();
    } catch (cause) {
      this.#fail(new GatewayError('internal_error', { cause }));
    }
  }

  #end(): void {
    if (this.#done) return;
    this.#finish();
    // A coding can be complete while the provider still sends.
    this.#controller?.abort(new Error('the answer is complete'));
    try {
      this.#sink.onEnd();
    } catch (cause) {
      this.#sink.onError(new GatewayError('internal_error', { cause }));
    }
  }

  #fail(error: GatewayError): void {
    if (this.#done) return;
    this.#finish();
    this.#controller?.abort(error);
    this.#sink.onError(error);
  }

  #finish(): void {
    this.#done = true;
    clearTimeout(this.#timer);
    this.#decoder?.destroy();
  }
}

/** undici's parser errors quote the answer, which has no place in logs. */
function withoutPayload(cause: unknown): unknown {
  if (cause instanceof Error && 'data' in cause) cause.data = undefined;
  return cause;
}

function errorCode(cause: unknown, headSeen: boolean): ErrorCode {
  const error = cause as { code?: unknown; name?: unknown; message?: unknown } | null;
  switch (error?.code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'ETIMEDOUT':
      return 'upstream_timeout';
    case 'UND_ERR_HEADERS_OVERFLOW':
      return 'bad_upstream';
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      // Before the head it stands for framing headers that contradict each other.
      return headSeen ? 'upstream_error' : 'bad_upstream';
    case 'UND_ERR_INVALID_ARG':
    case 'UND_ERR_NOT_SUPPORTED':
      return 'internal_error';
    default: {
      // undici gives parser errors no code, so only the text tells an answer that ends early from a malformed one.
      const malformed = error?.name === 'HTTPParserError' && !String(error.message).includes('Invalid EOF state');
      if (malformed) return 'bad_upstream';
      return headSeen ? 'upstream_error' : 'upstream_unreachable';
    }
  }
}
