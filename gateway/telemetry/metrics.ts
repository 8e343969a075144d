/**
 * Every metric of the gateway. Label values come from closed lists, so no caller can multiply time series, and no
 * metric can carry text.
 */
import { createHistogram } from 'node:perf_hooks';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Action } from '../../engine/types.ts';
import { ERRORS } from '../errors.ts';
import type { AttemptOutcome } from '../upstream/provider.ts';
import { DEMO_PROVIDER, ENVIRONMENT_PROVIDER } from '../upstream/settings.ts';

export type Direction = 'input' | 'output';
export type GuardOutcome = 'clean' | 'hit' | 'error_open' | 'error_closed' | 'not_run';

/** Routes, guards and upstream failure names that appear as label values; everything else is `other`. */
export interface MetricNames {
  readonly routes: readonly string[];
  readonly guards: readonly string[];
}

export const METRIC_NAMES: MetricNames = {
  routes: [
    '/v1/chat/completions',
    '/v1/responses',
    '/v1/responses/{id}',
    '/v1/responses/{id}/input_items',
    '/v1/responses/{id}/cancel',
    '/v1/messages',
    '/v1/messages/count_tokens',
    '/v1/completions',
    '/v1/embeddings',
    '/v1/moderations',
    '/v1/models',
    '/v1/models/{id}',
    '/v1/*',
    '/validate',
    '/validate_output',
    '/livez',
    '/readyz',
  ],
  guards: [
    'injection.rules',
    'injection.model',
    'hidden-text',
    'control-tokens',
    'canary',
    'tool-policy',
    'mime',
    'prompt-leak',
  ],
};

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const ACTIONS: readonly Action[] = ['pass', 'escalate', 'sanitize', 'block'];
const DIRECTIONS: readonly Direction[] = ['input', 'output'];
const OUTCOMES: readonly GuardOutcome[] = ['clean', 'hit', 'error_open', 'error_closed', 'not_run'];

/** Seconds; the goal is under a millisecond. */
const ADDED_LATENCY_BUCKETS = [0.0001, 0.00025, 0.0005, 0.00075, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1];
/** Seconds; dominated by the provider. */
const FIRST_BYTE_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];
/** Characters; the goal on benign text is a mean of 2. */
const HELD_CHARS_BUCKETS = [0, 1, 2, 4, 8, 16, 32, 64, 128, 512, 2048];

const NANOS_PER_SECOND = 1e9;
const NANOS_PER_MILLI = 1e6;
/** Milliseconds between two samples of the event loop. */
const LOOP_SAMPLE_MS = 10;

export interface RequestLabels {
  readonly route: string;
  readonly method?: string;
  readonly status: number;
  readonly stream: boolean;
}

export interface Metrics {
  readonly registry: Registry;
  /** One answered request. */
  request(labels: RequestLabels): void;
  guard(guard: string, direction: Direction, outcome: GuardOutcome): void;
  /** `tool` is the downstream tool that a prompt heads to, if it names one. */
  action(direction: Direction, action: Action, tool?: string | null): void;
  /** Time the gateway added, without waiting for the provider. */
  addedLatency(seconds: number): void;
  timeToFirstByte(seconds: number): void;
  /** Characters still held when a frame was released. */
  heldChars(chars: number): void;
  upstreamError(code: string): void;
  /** One attempt at a provider, or one that was left out. */
  upstreamAttempt(provider: string, outcome: AttemptOutcome): void;
  /** Whether the provider is left alone because it keeps failing. */
  providerOpen(provider: string, open: boolean): void;
  /** Tokens of a model call, as the provider counted them or as estimated from characters. */
  tokens(direction: Direction, source: 'provider' | 'estimated', count: number): void;
  /** A request that was relayed unread. */
  notInspected(): void;
  requestStarted(): void;
  requestEnded(): void;
  streamOpened(): void;
  streamClosed(): void;
  logDropped(): void;
  /** Live canaries beyond the bound on needles, as last seen. */
  canariesEvicted(count: number): void;
  foreignCanaryHit(): void;
  /** Prometheus text of everything. */
  render(): Promise<string>;
  readonly contentType: string;
  /** Stops the event-loop monitor. */
  close(): void;
}

/** `tools` and `providers` may appear as labels. Makes a registry of its own, so tests and several servers in one process do not share counts. */
export function createMetrics(
  names: MetricNames = METRIC_NAMES,
  tools: readonly string[] = [],
  providers: readonly string[] = [],
): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const stopLoopSampling = eventLoopGauge(registers);

  const requests = new Counter({
    name: 'portcullis_requests_total',
    help: 'Requests answered.',
    labelNames: ['route', 'method', 'status', 'stream'],
    registers,
  });
  const outcomes = new Counter({
    name: 'portcullis_guard_outcomes_total',
    help: 'What each guard ended with.',
    labelNames: ['guard', 'direction', 'outcome'],
    registers,
  });
  const actions = new Counter({
    name: 'portcullis_actions_total',
    help: 'Verdicts by action.',
    labelNames: ['direction', 'action', 'tool'],
    registers,
  });
  const upstreamErrors = new Counter({
    name: 'portcullis_upstream_errors_total',
    help: 'Provider calls that failed, by error code.',
    labelNames: ['code'],
    registers,
  });
  const upstreamAttempts = new Counter({
    name: 'portcullis_upstream_attempts_total',
    help: 'Attempts at each provider by outcome; skipped ones were not made.',
    labelNames: ['provider', 'outcome'],
    registers,
  });
  const providersOpen = new Gauge({
    name: 'portcullis_provider_open',
    help: 'Whether a provider is left alone because it keeps failing.',
    labelNames: ['provider'],
    registers,
  });
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, buckets, registers });
  const tokens = new Counter({
    name: 'portcullis_tokens_total',
    help: 'Tokens of model calls.',
    labelNames: ['direction', 'source'],
    registers,
  });
  const added = histogram(
    'portcullis_added_latency_seconds',
    'Time added by the gateway, without the provider.',
    ADDED_LATENCY_BUCKETS,
  );
  const firstByte = histogram(
    'portcullis_time_to_first_byte_seconds',
    'From request to first byte of the answer.',
    FIRST_BYTE_BUCKETS,
  );
  const held = histogram('portcullis_held_chars', 'Characters held back at each released frame.', HELD_CHARS_BUCKETS);
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
  const counter = (name: string, help: string) => new Counter({ name, help, registers });
  const inFlight = gauge('portcullis_in_flight_requests', 'Requests in work.');
  const openStreams = gauge('portcullis_open_streams', 'Streamed answers being relayed.');
  const evicted = gauge('portcullis_canaries_evicted', 'Live canaries left unchecked by the bound on needles.');
  const logsDropped = counter('portcullis_logs_dropped_total', 'Log lines and fields that were dropped.');
  const notInspected = counter('portcullis_not_inspected_total', 'Requests relayed unread, as a policy lists them.');
  const foreignHits = counter('portcullis_foreign_canary_hits_total', 'Canaries of another tenant seen in an answer.');

  const route = bounded(names.routes);
  const guardName = bounded(names.guards);
  const method = bounded(METHODS);
  const direction = bounded(DIRECTIONS);
  const outcome = bounded(OUTCOMES);
  const actionName = bounded(ACTIONS);
  const toolName = bounded(tools);
  const providerName = bounded([...providers, ENVIRONMENT_PROVIDER, DEMO_PROVIDER]);
  const code = bounded(Object.keys(ERRORS));

  return {
    registry,
    request: (labels) =>
      requests.inc({
        route: route(labels.route),
        method: method(labels.method ?? 'POST'),
        status: statusLabel(labels.status),
        stream: labels.stream ? 'true' : 'false',
      }),
    guard: (guard, way, result) =>
      outcomes.inc({ guard: guardName(guard), direction: direction(way), outcome: outcome(result) }),
    action: (way, action, tool = null) =>
      actions.inc({
        direction: direction(way),
        action: actionName(action),
        tool: tool === null ? 'none' : toolName(tool),
      }),
    addedLatency: (seconds) => observe(added, seconds),
    timeToFirstByte: (seconds) => observe(firstByte, seconds),
    heldChars: (chars) => observe(held, chars),
    upstreamError: (name) => upstreamErrors.inc({ code: code(name) }),
    upstreamAttempt: (provider, result) => upstreamAttempts.inc({ provider: providerName(provider), outcome: result }),
    providerOpen: (provider, open) => providersOpen.set({ provider: providerName(provider) }, open ? 1 : 0),
    tokens: (way, source, count) => tokens.inc({ direction: direction(way), source }, count),
    notInspected: () => notInspected.inc(),
    requestStarted: () => inFlight.inc(),
    requestEnded: () => inFlight.dec(),
    streamOpened: () => openStreams.inc(),
    streamClosed: () => openStreams.dec(),
    logDropped: () => logsDropped.inc(),
    canariesEvicted: (count) => evicted.set(Number.isFinite(count) ? count : 0),
    foreignCanaryHit: () => foreignHits.inc(),
    render: () => registry.metrics(),
    contentType: registry.contentType,
    close: stopLoopSampling,
  };
}

/**
 * Lag since the last scrape, so one bad second is not averaged away by a good day. Own samples, because
 * `monitorEventLoopDelay` loses the interval in which it is reset.
 */
function eventLoopGauge(registers: Registry[]): () => void {
  const lagNanos = createHistogram();
  let last = performance.now();
  const sampling = setInterval(() => {
    const now = performance.now();
    // A histogram starts at 1.
    lagNanos.record(Math.max(1, Math.round((now - last - LOOP_SAMPLE_MS) * NANOS_PER_MILLI)));
    last = now;
  }, LOOP_SAMPLE_MS).unref();
  new Gauge({
    name: 'portcullis_event_loop_lag_seconds',
    help: 'How late the event loop ran its timers since the last scrape.',
    labelNames: ['quantile'],
    registers,
    collect() {
      const sample = (nanos: number) => (lagNanos.count === 0 ? 0 : nanos / NANOS_PER_SECOND);
      this.set({ quantile: 'p50' }, sample(lagNanos.percentile(50)));
      this.set({ quantile: 'p99' }, sample(lagNanos.percentile(99)));
      this.set({ quantile: 'max' }, sample(lagNanos.max));
      lagNanos.reset();
    },
  });
  return () => clearInterval(sampling);
}

function bounded(values: readonly string[]): (value: string) => string {
  const known = new Set(values);
  return (value) => (known.has(value) ? value : 'other');
}

function statusLabel(status: number): string {
  return Number.isInteger(status) && status >= 100 && status <= 599 ? String(status) : 'other';
}

/** prom-client throws on NaN; a broken clock must not fail a request. */
function observe(histogram: Histogram, value: number): void {
  if (Number.isFinite(value) && value >= 0) histogram.observe(value);
}
