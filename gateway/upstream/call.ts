/**
 * One exchange with a provider, as undici reports it, turned into the callbacks of a sink: deadlines, content codings,
 * breaks, and the one error each fault becomes.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import { type ErrorCode, GatewayError } from '../errors.ts';
import { Decoder, parseContentEncoding } from './decode.ts';
import { cleanValue, type HeaderAllowList, pickResponseHeaders } from './headers.ts';
import { KeyEchoed, KeyGuard } from './keyGuard.ts';

export interface UpstreamHead {
  /** Name of the provider that answered. */
  readonly provider: string;
  /** Never 1xx or 3xx. */
  readonly status: number;
  /** Names in lower case, allow-listed, printable ASCII values of at most 8 KiB. */
  readonly headers: ReadonlyMap<string, string>;
  readonly contentType: string | null;
  /** Bytes that will be handed on; absent when the provider did not say, or when codings are taken off. */
  readonly contentLength?: number;
}

/** A provider that agreed to speak another protocol. From here on its connection belongs to the sink. */
export interface UpstreamUpgrade {
  readonly provider: string;
  /** As in `UpstreamHead`. */
  readonly headers: ReadonlyMap<string, string>;
  /** Everything the provider sent with its 101. */
  readonly handshake: IncomingHttpHeaders;
  readonly socket: Duplex;
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
  /** In place of all others; only for a request that asks for an upgrade. */
  onUpgrade?(upgrade: UpstreamUpgrade): void;
}

export interface UpstreamCall {
  /** At most one more chunk, or the end with what was kept for it, arrives after it. The total deadline goes on. */
  pause(): void;
  resume(): void;
  /** Closes the provider's connection; safe at any time and more than once. */
  abort(): void;
}

export interface CallOptions {
  readonly provider: string;
  readonly responseHeaders: HeaderAllowList;
  readonly totalMs: number;
  /** The gateway's own key, where it was sent; an answer that holds it ends with `KeyEchoed`. */
  readonly key: string | null;
}

/** A call whose caller can learn whether it may be repeated. */
export interface UpstreamAttempt extends UpstreamCall {
  /** False as long as no byte of the request was written. */
  readonly sent: boolean;
}

/** Made for one dispatch; `started` is called when undici took it. */
export class Call implements UpstreamAttempt, Dispatcher.DispatchHandler {
  /** Set before the first byte is written: from then on the provider may have accepted the request. */
  sent = false;
  readonly #sink: UpstreamSink;
  readonly #provider: string;
  readonly #responseHeaders: HeaderAllowList;
  readonly #guard: KeyGuard | null;
  readonly #timer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | null = null;
  #decoder: Decoder | null = null;
  #decoderFull = false;
  /** The sink asked for a break. */
  #paused = false;
  #resumeQueued = false;
  /** Of the answer; 0 before its head. */
  #status = 0;
  /** The sink has its last callback, or asked for none. */
  #done = false;
  #starting = true;

  constructor(sink: UpstreamSink, { provider, responseHeaders, totalMs, key }: CallOptions) {
    this.#sink = sink;
    this.#provider = provider;
    this.#responseHeaders = responseHeaders;
    this.#guard = KeyGuard.of(key);
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
    if (this.#done) {
      controller.abort(new Error('the call was aborted'));
      return;
    }
    this.sent = true;
    if (this.#paused) controller.pause();
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (this.#done || status < 200) return;
    this.#status = status;
    // A redirect could send the prompt, and our key, anywhere.
    const codings = status >= 300 && status < 400 ? null : parseContentEncoding(headers['content-encoding']);
    if (codings === null) {
      this.#fail(new GatewayError('bad_upstream'));
      return;
    }
    if (codings.length > 0) {
      // From here on a break of the sink acts on the decoder, and a full decoder on the socket.
      this.#decoder = new Decoder(codings, {
        onData: (chunk) => this.#onBytes(chunk),
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
    const length = codings.length === 0 ? headers['content-length'] : undefined;
    const head: UpstreamHead = {
      provider: this.#provider,
      status,
      headers: pickResponseHeaders(headers, this.#responseHeaders),
      contentType: cleanValue(headers['content-type']),
      ...(length !== undefined && { contentLength: Number(length) }),
    };
    if (this.#guard?.isIn([...head.headers.values(), head.contentType ?? ''])) this.#fail(new KeyEchoed(status));
    else this.#deliver(() => this.#sink.onHead(head));
  }

  onRequestUpgrade(
    _controller: Dispatcher.DispatchController,
    status: number,
    handshake: IncomingHttpHeaders,
    socket: Duplex,
  ): void {
    this.#controller = null;
    // undici took its own listeners off; without one a reset would end the process.
    socket.on('error', () => socket.destroy());
    if (this.#done || this.#sink.onUpgrade === undefined) {
      socket.destroy();
      this.#fail(new GatewayError('bad_upstream'));
      return;
    }
    const headers = pickResponseHeaders(handshake, this.#responseHeaders);
    if (this.#guard?.isIn(headers.values())) {
      socket.destroy();
      this.#fail(new KeyEchoed(status));
      return;
    }
    this.#finish();
    this.#sink.onUpgrade({ provider: this.#provider, headers, handshake, socket });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#done) return;
    if (this.#decoder === null) this.#onBytes(chunk);
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
    const error = new GatewayError(errorCode(cause, this.#status !== 0), { cause: withoutPayload(cause) });
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

  /** Decoded bytes, less those that may begin our key. */
  #onBytes(chunk: Buffer): void {
    const safe = this.#guard === null ? chunk : this.#guard.push(chunk);
    if (safe === null) this.#fail(new KeyEchoed(this.#status));
    else if (safe.length > 0) this.#deliver(() => this.#sink.onData(safe));
  }

  #end(): void {
    const rest = this.#done ? undefined : this.#guard?.end();
    if (rest !== undefined && rest.length > 0) this.#deliver(() => this.#sink.onData(rest));
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
