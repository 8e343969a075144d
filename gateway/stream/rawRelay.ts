/**
 * Provider to client for one answer that nobody reads: any status, any bytes, with backpressure, a bound on bytes and
 * the abort in both directions. An answer that breaks off breaks the client's connection, so it never looks complete.
 *
 * Known gap: an answer with neither length nor chunks ends with its connection, and a reset there looks like its end.
 */
import { GatewayError } from '../errors.ts';
import { ClientGone, type Exchange } from '../http/exchange.ts';
import type { MeteredBody } from '../http/meteredBody.ts';
import type { UpstreamCall, UpstreamHead, UpstreamSink, UpstreamUpgrade } from '../upstream/call.ts';
import type { RoutedRequest, Upstream } from '../upstream/port.ts';

export interface RawRelayOptions {
  /** Of the request, when it has one. */
  readonly body: MeteredBody | null;
  /** Of the answer. */
  readonly bytesMax: number;
  readonly clientWriteMs: number;
  readonly headers: (head: UpstreamHead) => Readonly<Record<string, string>>;
  readonly onHead: (head: UpstreamHead) => void;
}

/** `broken`: the head was out, and the client's connection is closed. */
export type RawOutcome =
  | { readonly kind: 'complete' }
  | { readonly kind: 'broken'; readonly error: GatewayError; readonly bytes: number }
  | {
      readonly kind: 'upgraded';
      readonly upgrade: UpstreamUpgrade;
      /** For the client, without those of the handshake. */
      readonly headers: Readonly<Record<string, string>>;
    };

/** How long a client may go on sending behind a complete answer: closed too early, it would not see the answer. */
const LINGER_MS = 2_000;

/** Runs one exchange. Throws `GatewayError` when nothing was sent, and `ClientGone`; the provider is aborted then. */
export function relayRaw(
  upstream: Upstream,
  request: RoutedRequest,
  exchange: Exchange,
  options: RawRelayOptions,
): Promise<RawOutcome> {
  return new Promise((resolve, reject) => {
    if (exchange.gone.aborted) {
      options.body?.stop();
      reject(new ClientGone());
      return;
    }
    new RawRelay(exchange, options, resolve, reject).start(upstream, request);
  });
}

class RawRelay implements UpstreamSink {
  readonly #exchange: Exchange;
  readonly #options: RawRelayOptions;
  readonly #resolve: (outcome: RawOutcome) => void;
  readonly #reject: (error: Error) => void;
  readonly #onGone: () => void;
  #call: UpstreamCall | null = null;
  #writeTimer: NodeJS.Timeout | null = null;
  #bytes = 0;
  #settled = false;

  constructor(
    exchange: Exchange,
    options: RawRelayOptions,
    resolve: (outcome: RawOutcome) => void,
    reject: (error: Error) => void,
  ) {
    this.#exchange = exchange;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onGone = () => this.#settle(() => this.#reject(new ClientGone()));
  }

  start(upstream: Upstream, request: RoutedRequest): void {
    const { body } = this.#options;
    this.#exchange.gone.addEventListener('abort', this.#onGone, { once: true });
    if (body !== null) body.onFault = (error) => this.#fail(error);
    this.#call = upstream.call(request, this);
    if (this.#settled) this.#call.abort();
  }

  onHead(head: UpstreamHead): void {
    const { bytesMax, headers, onHead } = this.#options;
    const { incoming, outgoing, requestId } = this.#exchange;
    onHead(head);
    if ((head.contentLength ?? 0) > bytesMax) {
      this.#fail(tooLong());
      return;
    }
    const bodiless = head.status === 204;
    outgoing.writeHead(head.status, {
      ...headers(head),
      ...(head.contentType !== null && { 'content-type': head.contentType }),
      ...(head.contentLength !== undefined && !bodiless && { 'content-length': head.contentLength }),
      'cache-control': 'no-store',
      'x-request-id': requestId,
      // Nobody will read what is left of the request.
      ...(!incoming.complete && { connection: 'close' }),
    });
    outgoing.flushHeaders();
  }

  onData(chunk: Buffer): void {
    if (this.#settled) return;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#options.bytesMax) {
      this.#fail(tooLong());
      return;
    }
    const { outgoing } = this.#exchange;
    if (outgoing.write(chunk)) return;
    this.#call?.pause();
    if (this.#writeTimer !== null) return;
    this.#writeTimer = setTimeout(() => outgoing.destroy(), this.#options.clientWriteMs);
    outgoing.once('drain', () => {
      if (this.#writeTimer !== null) clearTimeout(this.#writeTimer);
      this.#writeTimer = null;
      if (!this.#settled) this.#call?.resume();
    });
  }

  onEnd(): void {
    this.#settle(() => {
      this.#finish();
      this.#resolve({ kind: 'complete' });
    }, 'let end');
  }

  onError(error: GatewayError): void {
    this.#fail(error);
  }

  onUpgrade(upgrade: UpstreamUpgrade): void {
    if (this.#settled) {
      upgrade.socket.destroy();
      return;
    }
    const { provider, headers: passed } = upgrade;
    const headers = this.#options.headers({ provider, status: 101, headers: passed, contentType: null });
    this.#settle(() => this.#resolve({ kind: 'upgraded', upgrade, headers }), 'let end');
  }

  #fail(error: GatewayError): void {
    const { outgoing } = this.#exchange;
    this.#settle(() => {
      if (!outgoing.headersSent) {
        this.#reject(error);
        return;
      }
      outgoing.destroy();
      this.#resolve({ kind: 'broken', error, bytes: this.#bytes });
    });
  }

  /** Ends the answer once the client has sent its request, or had time to. */
  #finish(): void {
    const { incoming, outgoing } = this.#exchange;
    if (incoming.complete) {
      outgoing.end();
      return;
    }
    const end = (): void => {
      clearTimeout(timer);
      outgoing.end();
    };
    const timer = setTimeout(end, LINGER_MS);
    timer.unref();
    incoming.once('end', end).once('close', end);
    incoming.resume();
  }

  /** Exactly once: nothing is read or written after it but what `action` does. */
  #settle(action: () => void, provider: 'abort' | 'let end' = 'abort'): void {
    if (this.#settled) return;
    this.#settled = true;
    if (this.#writeTimer !== null) clearTimeout(this.#writeTimer);
    this.#exchange.gone.removeEventListener('abort', this.#onGone);
    if (provider === 'abort') this.#call?.abort();
    this.#options.body?.stop();
    action();
  }
}

function tooLong(): GatewayError {
  return new GatewayError('bad_upstream', { message: 'The answer of the provider is larger than the limit.' });
}
