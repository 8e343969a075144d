/**
 * One request over the providers of its route. It is repeated only where nothing was accepted: no byte of it was
 * written, or the provider answered a status that sends it on. What has begun to arrive at the client never is.
 */
import { GatewayError } from '../errors.ts';
import type { Permit } from './breaker.ts';
import type { UpstreamAttempt, UpstreamCall, UpstreamHead, UpstreamSink } from './call.ts';
import { KeyEchoed } from './keyGuard.ts';
import { refusesKey, Withheld } from './keyRefusal.ts';
import type { RoutedRequest } from './port.ts';
import type { Aim, AttemptOutcome, Provider } from './provider.ts';

/** Statuses of a provider that cannot serve anybody. 500 is not among them: one prompt can cause it again and again. */
const OUTAGE: ReadonlySet<number> = new Set([502, 503, 504, 529]);

/** One provider of a route. */
export interface RouteTarget extends Aim {
  readonly provider: Provider;
  /** Takes the place of the model in the body. */
  readonly replacement: string | null;
}

export interface AttemptOptions {
  readonly attemptsMax: number;
  readonly fallbackStatuses: readonly number[];
  /** Of all attempts together. */
  readonly totalMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly onOutcome: (provider: string, outcome: AttemptOutcome) => void;
  /** The gateway's own key was refused with this status, or stands in the answer. */
  readonly onKeyTrouble: (provider: string, trouble: KeyTrouble, status: number) => void;
}

export type KeyTrouble = 'provider_key_refused' | 'provider_key_echoed';

/** A target and the leave to try it. */
interface Turn {
  readonly index: number;
  readonly permit: Permit;
}

/** Starts with the first target that may be tried; `start` is called once. */
export class RoutedCall implements UpstreamCall {
  readonly #targets: readonly RouteTarget[];
  readonly #request: RoutedRequest;
  readonly #sink: UpstreamSink;
  readonly #options: AttemptOptions;
  readonly #deadline: number;
  #attempt: UpstreamAttempt | null = null;
  #current: Turn | null = null;
  #attempts = 0;
  /** The current provider had its second chance. */
  #retried = false;
  #counted = false;
  #withheld: Withheld | null = null;
  #paused = false;
  #done = false;

  constructor(targets: readonly RouteTarget[], request: RoutedRequest, sink: UpstreamSink, options: AttemptOptions) {
    this.#targets = targets;
    this.#request = request;
    this.#sink = sink;
    this.#options = options;
    this.#deadline = options.now() + options.totalMs;
  }

  start(): this {
    const refusal = this.#refusal();
    const turn = refusal === null ? this.#turn(0) : null;
    if (turn !== null) this.#begin(turn);
    else this.#failSoon(refusal ?? this.#unavailable());
    return this;
  }

  pause(): void {
    this.#paused = true;
    this.#attempt?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#attempt?.resume();
  }

  abort(): void {
    if (this.#done) return;
    this.#done = true;
    this.#count('aborted');
    this.#current?.permit.released();
    this.#attempt?.abort();
  }

  #refusal(): GatewayError | null {
    const first = this.#targets[0]?.provider;
    return first?.credentialOf(this.#request.headers) === null ? new GatewayError('provider_key_required') : null;
  }

  /** The first target from `from` on that may be tried. */
  #turn(from: number): Turn | null {
    for (let index = from; index < this.#targets.length; index += 1) {
      const { provider } = this.#targets[index] as RouteTarget;
      if (provider.credentialOf(this.#request.headers) === null) continue;
      const permit = provider.breaker.enter();
      if (permit !== null) return { index, permit };
      this.#options.onOutcome(provider.name, 'skipped');
    }
    return null;
  }

  #begin(turn: Turn): void {
    const target = this.#targets[turn.index] as RouteTarget;
    this.#current = turn;
    this.#attempts += 1;
    this.#counted = false;
    try {
      const { provider, replacement } = target;
      const credential = provider.credentialOf(this.#request.headers) ?? undefined;
      const totalMs = Math.max(1, this.#deadline - this.#options.now());
      this.#attempt = provider.send(
        withModel(this.#request, replacement),
        target,
        credential === undefined ? { totalMs } : { totalMs, credential },
        this.#sinkOf(turn),
      );
      if (this.#paused) this.#attempt.pause();
    } catch (cause) {
      turn.permit.released();
      this.#counted = true;
      this.#failSoon(cause instanceof GatewayError ? cause : new GatewayError('internal_error', { cause }));
    }
  }

  #sinkOf(turn: Turn): UpstreamSink {
    return {
      onHead: (head) => this.#onHead(turn, head),
      onData: (chunk) => this.#onData(chunk),
      onEnd: () => {
        if (this.#withheld?.isOfKey) {
          this.#refuse(turn, this.#withheld.head.status);
          return;
        }
        this.#handOn();
        if (this.#done) return;
        turn.permit.succeeded();
        this.#count('ok');
        this.#done = true;
        this.#sink.onEnd();
      },
      onError: (error) => this.#onError(turn, error),
      onUpgrade: (upgrade) => {
        turn.permit.succeeded();
        this.#count('ok');
        this.#done = true;
        if (this.#sink.onUpgrade === undefined) upgrade.socket.destroy();
        else this.#sink.onUpgrade(upgrade);
      },
    };
  }

  #onHead(turn: Turn, head: UpstreamHead): void {
    const { index, permit } = turn;
    if (OUTAGE.has(head.status)) permit.failed();
    else permit.answered();
    if (head.status >= 500 || head.status === 429) this.#count('refused');
    if (this.#options.fallbackStatuses.includes(head.status)) {
      const next = this.#mayRepeat() ? this.#turn(index + 1) : null;
      if (next !== null) {
        permit.succeeded();
        this.#attempt?.abort();
        this.#beginSoon(next);
        return;
      }
    }
    const refusal = this.#targets[index]?.provider.passthrough === true ? 'no' : refusesKey(head.status);
    if (refusal === 'yes') this.#refuse(turn, head.status);
    else if (refusal === 'maybe') this.#withheld = new Withheld(head);
    else this.#sink.onHead(head);
  }

  #onData(chunk: Buffer): void {
    if (this.#withheld === null) this.#sink.onData(chunk);
    else if (!this.#withheld.add(chunk)) this.#handOn();
  }

  /** What was kept back is no word about our key. */
  #handOn(): void {
    if (this.#withheld === null) return;
    const { head, body } = this.#withheld;
    this.#withheld = null;
    this.#sink.onHead(head);
    if (!this.#done && body.length > 0) this.#sink.onData(body);
  }

  /** Our key was refused. The provider is there and answers; what it says stays here. */
  #refuse({ index, permit }: Turn, status: number): void {
    permit.succeeded();
    this.#count('refused');
    this.#done = true;
    this.#attempt?.abort();
    this.#options.onKeyTrouble((this.#targets[index] as RouteTarget).provider.name, 'provider_key_refused', status);
    this.#sink.onError(new GatewayError('provider_key_refused'));
  }

  #onError(turn: Turn, error: GatewayError): void {
    const { index, permit } = turn;
    const echoed = error instanceof KeyEchoed;
    if (echoed && refusesKey(error.upstreamStatus) !== 'no') {
      this.#refuse(turn, error.upstreamStatus);
      return;
    }
    const ours = error.code === 'internal_error';
    const sent = this.#attempt?.sent ?? true;
    this.#count(outcomeOf(error, sent));
    if (ours) permit.released();
    else if (echoed) {
      permit.succeeded();
      this.#options.onKeyTrouble(
        (this.#targets[index] as RouteTarget).provider.name,
        'provider_key_echoed',
        error.upstreamStatus,
      );
    } else permit.failed();
    const next = ours || sent || !this.#mayRepeat() ? null : (this.#again(index) ?? this.#turn(index + 1));
    if (next !== null) {
      this.#beginSoon(next);
      return;
    }
    this.#done = true;
    this.#sink.onError(error);
  }

  /** A second chance for the provider itself. */
  #again(index: number): Turn | null {
    if (this.#retried) return null;
    const permit = this.#targets[index]?.provider.breaker.enter() ?? null;
    if (permit === null) return null;
    this.#retried = true;
    return { index, permit };
  }

  /** Whether the request is whole and there is time and budget for it. */
  #mayRepeat(): boolean {
    const whole = this.#request.body?.kind !== 'stream' || this.#attempt?.sent === false;
    return whole && this.#attempts < this.#options.attemptsMax && this.#options.now() < this.#deadline;
  }

  /** undici's parsers must not be entered from inside a callback of another one. */
  #beginSoon(turn: Turn): void {
    if (turn.index !== this.#current?.index) this.#retried = false;
    this.#attempt = null;
    this.#withheld = null;
    this.#current = turn;
    queueMicrotask(() => {
      if (this.#done) turn.permit.released();
      else this.#begin(turn);
    });
  }

  #failSoon(error: GatewayError): void {
    queueMicrotask(() => {
      if (this.#done) return;
      this.#done = true;
      this.#sink.onError(error);
    });
  }

  #unavailable(): GatewayError {
    const waits = this.#targets.map(({ provider }) => provider.breaker.waitMs);
    return new GatewayError('upstream_unavailable', { retryAfter: Math.max(1, Math.ceil(Math.min(...waits) / 1000)) });
  }

  #count(outcome: AttemptOutcome): void {
    const target = this.#targets[this.#current?.index ?? -1];
    if (this.#counted || target === undefined || this.#attempt === null) return;
    this.#counted = true;
    this.#options.onOutcome(target.provider.name, outcome);
  }
}

function withModel(request: RoutedRequest, model: string | null): RoutedRequest {
  const { body } = request;
  if (model === null || body?.kind !== 'bytes') return request;
  return { ...request, body: { kind: 'bytes', of: () => body.of(model) } };
}

function outcomeOf(error: GatewayError, sent: boolean): AttemptOutcome {
  switch (error.code) {
    case 'upstream_timeout':
      return sent ? 'timeout' : 'unreachable';
    case 'upstream_unreachable':
      return sent ? 'error' : 'unreachable';
    case 'internal_error':
      return 'aborted';
    default:
      return 'error';
  }
}
