/**
 * Provider to client for one streamed answer: bytes to frames, frames through the output door, released bytes out.
 * Owns backpressure, the abort in both directions, keep-alive comments and the ways a stream can end.
 */
import type { OutputSession } from '../../engine/stream/session.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import { ClientGone, type Exchange } from '../http/exchange.ts';
import type { UpstreamCall, UpstreamHead } from '../upstream/call.ts';
import type { RoutedRequest, Upstream } from '../upstream/port.ts';
import type { Usage } from '../wire/answer.ts';
import { GuardedStream, type StreamFormat, type StreamLimits } from './guardedStream.ts';
import { SseError, SseParser } from './sse.ts';

export interface RelayOptions {
  readonly format: StreamFormat;
  readonly limits: StreamLimits & { readonly sseEventBytesMax: number; readonly outputBodyBytesMax: number };
  readonly clientWriteMs: number;
  readonly keepAliveMs: number;
  /** Silence of the provider after which waiting frames are cut. */
  readonly holdFlushMs: number;
  readonly midStreamBlock: 'error' | 'finish';
  /** A last comment for the client, such as the receipt. */
  readonly closing: (() => string) | null;
  /** Headers of the answer once its first frame may leave. */
  readonly headers: (head: UpstreamHead) => Readonly<Record<string, string>>;
  /** Reads the provider's headers; may block the session. */
  readonly onHead: (head: UpstreamHead) => void;
  readonly onFirstByte: () => void;
  /** Characters held at each release. */
  readonly onHeld: (chars: number) => void;
  /** What the answer cost, as far as it came; called once. */
  readonly onUsage: (usage: Usage | null, chars: number) => void;
}

/** How a stream ended. `refused` is for the caller to answer: nothing has been sent. */
export type RelayOutcome =
  | { readonly kind: 'complete' }
  | { readonly kind: 'stopped'; readonly code: ErrorCode }
  | { readonly kind: 'refused'; readonly error: GatewayError }
  | { readonly kind: 'provider_refused'; readonly head: UpstreamHead; readonly body: Buffer };

/** How long a provider may take to end its stream after `[DONE]`. */
const PROVIDER_END_MS = 1_000;
const KEEP_ALIVE = ': keep-alive\n\n';

/** Runs one stream. Throws `ClientGone` when the client leaves; the provider is aborted then. */
export function relayStream(
  upstream: Upstream,
  request: RoutedRequest,
  exchange: Exchange,
  session: OutputSession,
  options: RelayOptions,
): Promise<RelayOutcome> {
  return new Promise((resolve, reject) => {
    if (exchange.gone.aborted) {
      reject(new ClientGone());
      return;
    }
    new Relay(upstream, request, exchange, session, options, resolve, reject);
  });
}

class Relay {
  readonly #exchange: Exchange;
  readonly #session: OutputSession;
  readonly #options: RelayOptions;
  readonly #stream: GuardedStream;
  readonly #parser: SseParser;
  readonly #call: UpstreamCall;
  readonly #resolve: (outcome: RelayOutcome) => void;
  readonly #reject: (error: Error) => void;
  readonly #onGone: () => void;
  #head: UpstreamHead | null = null;
  /** The body of an answer that is an error and no stream. */
  #errorBody: Buffer[] | null = null;
  #errorBytes = 0;
  #settled = false;
  /** Nothing was sent since the keep-alive timer last fired. */
  #silent = true;
  #writeTimer: NodeJS.Timeout | null = null;
  readonly #keepAlive: NodeJS.Timeout;
  #pauseTimer: NodeJS.Timeout | null = null;
  #stallTimer: NodeJS.Timeout | null = null;
  /** Frames that had left when the one in front began to wait. */
  #leftBefore = -1;
  #endTimer: NodeJS.Timeout | null = null;

  constructor(
    upstream: Upstream,
    request: RoutedRequest,
    exchange: Exchange,
    session: OutputSession,
    options: RelayOptions,
    resolve: (outcome: RelayOutcome) => void,
    reject: (error: Error) => void,
  ) {
    this.#exchange = exchange;
    this.#session = session;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#stream = new GuardedStream(session, options.format, options.limits);
    this.#parser = new SseParser({ eventBytesMax: options.limits.sseEventBytesMax }, (frame) =>
      this.#stream.onFrame(frame),
    );
    this.#onGone = () => this.#settle(() => this.#reject(new ClientGone()));
    exchange.gone.addEventListener('abort', this.#onGone, { once: true });
    this.#keepAlive = setInterval(() => this.#onKeepAlive(), options.keepAliveMs);
    this.#keepAlive.unref();
    this.#call = upstream.call(request, {
      onHead: (head) => this.#onHead(head),
      onData: (chunk) => this.#onData(chunk),
      onEnd: () => {
        this.#onProviderEnd();
        this.#onEnd();
      },
      onError: (error) => {
        this.#onProviderEnd();
        this.#fail(error);
      },
    });
  }

  #onHead(head: UpstreamHead): void {
    this.#head = head;
    if (head.status >= 400) {
      this.#errorBody = [];
      return;
    }
    this.#options.onHead(head);
    if (this.#session.blocked) this.#stop('blocked');
    // A stream was asked for: a page or a document in its place is no answer. No type at all is read as a stream.
    else if (/^(?:text\/html|application\/json)\b/i.test(head.contentType ?? ''))
      this.#fail(new GatewayError('bad_upstream'));
  }

  #onData(chunk: Buffer): void {
    if (this.#settled) return;
    if (this.#errorBody !== null) {
      this.#errorBytes += chunk.length;
      if (this.#errorBytes <= this.#options.limits.outputBodyBytesMax) this.#errorBody.push(chunk);
      else this.#fail(new GatewayError('bad_upstream'));
      return;
    }
    try {
      this.#parser.push(chunk);
    } catch (error) {
      if (!(error instanceof SseError)) throw error;
      this.#write();
      this.#fail(new GatewayError('bad_upstream', { cause: error }));
      return;
    }
    this.#advance();
  }

  #onEnd(): void {
    if (this.#settled) return;
    if (this.#errorBody !== null) {
      const outcome = {
        kind: 'provider_refused',
        head: this.#head as UpstreamHead,
        body: Buffer.concat(this.#errorBody),
      } as const;
      this.#settle(() => this.#resolve(outcome));
      return;
    }
    try {
      this.#parser.end();
    } catch (error) {
      if (!(error instanceof SseError)) throw error;
      this.#fail(new GatewayError('bad_upstream', { cause: error }));
      return;
    }
    this.#stream.onEnd();
    this.#advance();
  }

  /** Writes what was released and ends the stream when it is over. */
  #advance(): void {
    const { state } = this.#stream;
    if (state === 'blocked' || state === 'held_too_much') {
      // What was released before is safe; with nothing sent yet, a plain refusal tells the client more.
      if (this.#exchange.outgoing.headersSent) this.#write();
      this.#stop(state);
      return;
    }
    if (state === 'failed') {
      this.#write();
      this.#fail(new GatewayError(this.#exchange.outgoing.headersSent ? 'upstream_error' : 'bad_upstream'));
      return;
    }
    if (this.#stream.startsWithError && !this.#exchange.outgoing.headersSent) {
      this.#fail(new GatewayError('bad_upstream'));
      return;
    }
    this.#write();
    if (state === 'done') this.#complete();
    else if (this.#stream.waiting) {
      this.#watchPause();
      this.#watchStall();
    }
  }

  /** What is safe of a waiting frame does not wait longer than this for what comes next. */
  #watchPause(): void {
    if (this.#pauseTimer !== null) {
      this.#pauseTimer.refresh();
      return;
    }
    this.#pauseTimer = setTimeout(() => {
      if (this.#settled || this.#stream.state !== 'open') return;
      this.#stream.onPause();
      this.#advance();
    }, this.#options.holdFlushMs);
    this.#pauseTimer.unref();
  }

  /** Nor does a frame wait longer for a channel that has gone quiet, however much others have to say. */
  #watchStall(): void {
    const { released } = this.#stream;
    if (this.#stallTimer === null) {
      this.#stallTimer = setTimeout(() => {
        if (this.#settled || this.#stream.state !== 'open') return;
        this.#stream.onStall();
        const stays = this.#stream.released === this.#leftBefore;
        // The same frame may wait once more.
        this.#leftBefore = -1;
        // What changes nothing must not look like a frame that came, which would put off the pause.
        if (stays && this.#stream.state === 'open') this.#watchStall();
        else this.#advance();
      }, this.#options.holdFlushMs);
      this.#stallTimer.unref();
    } else if (released !== this.#leftBefore) this.#stallTimer.refresh();
    this.#leftBefore = released;
  }

  #complete(): void {
    const { outgoing } = this.#exchange;
    const { closing } = this.#options;
    this.#settle(() => {
      if (closing !== null) outgoing.write(`: ${closing()}\n\n`);
      outgoing.end();
      this.#resolve(this.#stream.endedInError ? { kind: 'stopped', code: 'upstream_error' } : { kind: 'complete' });
    }, 'let end');
  }

  /** The answer may not go on. What is held is dropped, the provider is aborted. */
  #stop(state: 'blocked' | 'held_too_much'): void {
    const verdict = this.#session.end();
    const unavailable = state === 'held_too_much' || verdict.unavailable;
    const error = unavailable
      ? new GatewayError('guardrail_unavailable', { retryAfter: 1 })
      : new GatewayError('content_filter');
    const { outgoing } = this.#exchange;
    this.#settle(() => {
      if (!outgoing.headersSent) {
        this.#resolve({ kind: 'refused', error });
        return;
      }
      const how = unavailable ? 'error' : this.#options.midStreamBlock;
      for (const frame of this.#stream.stopFrames(error, how)) outgoing.write(frame);
      outgoing.end();
      this.#resolve({ kind: 'stopped', code: error.code });
    });
  }

  /** The provider broke off. A stream that has begun ends with an error event, never as if it were complete. */
  #fail(error: GatewayError): void {
    const { outgoing } = this.#exchange;
    this.#settle(() => {
      if (!outgoing.headersSent) {
        this.#resolve({ kind: 'refused', error });
        return;
      }
      // Once text is out, what matters is that it is incomplete.
      const shown = error.code === 'upstream_timeout' ? error : new GatewayError('upstream_error', { cause: error });
      for (const frame of this.#stream.failFrames(shown)) outgoing.write(frame);
      outgoing.end();
      this.#resolve({ kind: 'stopped', code: shown.code });
    });
  }

  #write(): void {
    const frames = this.#stream.take();
    if (frames.length === 0) return;
    const { outgoing } = this.#exchange;
    if (!outgoing.headersSent) {
      this.#exchange.openStream(this.#options.headers(this.#head as UpstreamHead));
      this.#options.onFirstByte();
    }
    this.#options.onHeld(this.#session.heldChars);
    this.#silent = false;
    if (outgoing.write(frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames))) return;
    this.#call.pause();
    if (this.#writeTimer !== null) return;
    this.#writeTimer = setTimeout(() => outgoing.destroy(), this.#options.clientWriteMs);
    outgoing.once('drain', () => {
      if (this.#writeTimer !== null) clearTimeout(this.#writeTimer);
      this.#writeTimer = null;
      if (!this.#settled) this.#call.resume();
    });
  }

  #onKeepAlive(): void {
    const { outgoing } = this.#exchange;
    if (this.#silent && outgoing.headersSent && !outgoing.writableNeedDrain) outgoing.write(KEEP_ALIVE);
    this.#silent = true;
  }

  /** Exactly once: nothing is read or written after it but what `action` does. */
  #settle(action: () => void, provider: 'abort' | 'let end' = 'abort'): void {
    if (this.#settled) return;
    this.#settled = true;
    clearInterval(this.#keepAlive);
    if (this.#pauseTimer !== null) clearTimeout(this.#pauseTimer);
    if (this.#stallTimer !== null) clearTimeout(this.#stallTimer);
    if (this.#writeTimer !== null) clearTimeout(this.#writeTimer);
    this.#exchange.gone.removeEventListener('abort', this.#onGone);
    this.#parser.stop();
    if (provider === 'abort') this.#call.abort();
    else this.#letEnd();
    this.#options.onUsage(this.#stream.usage, this.#stream.chars);
    action();
  }

  /** A complete answer's connection can serve the next one, once the provider has ended it; what it still says is dropped. */
  #letEnd(): void {
    this.#endTimer = setTimeout(() => this.#call.abort(), PROVIDER_END_MS);
    this.#endTimer.unref();
    this.#call.resume();
  }

  #onProviderEnd(): void {
    if (this.#endTimer !== null) clearTimeout(this.#endTimer);
  }
}
