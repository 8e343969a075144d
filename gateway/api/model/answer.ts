/** From a provider to the client through the output door, whole or streamed. The same for every format. */
import type { OutputSession } from '../../../engine/stream/session.ts';
import type { Receipt } from '../../../engine/types.ts';
import type { Deps } from '../../deps.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { StreamDialect } from '../../stream/dialect.ts';
import { type RelayOptions, type RelayOutcome, relayStream } from '../../stream/relay.ts';
import { recordUsage } from '../../telemetry/usage.ts';
import { collect, type WholeAnswer } from '../../upstream/collect.ts';
import type { RoutedRequest, Upstream } from '../../upstream/port.ts';
import type { JsonNode } from '../../wire/json.ts';
import { answerHeaders } from './headers.ts';
import { receiptHeader } from './receipt.ts';
import { concludeOutput } from './session.ts';
import { type AnswerFormat, type CheckedAnswer, checkAnswer, checkHeaders } from './whole.ts';

/** One call that was decided to be made. */
export interface Turn {
  readonly deps: Deps;
  readonly exchange: Exchange;
  readonly session: OutputSession;
  readonly upstream: Upstream;
  readonly request: RoutedRequest;
  readonly format: AnswerFormat;
  /** Of the input side; null where nothing was sent to a model. */
  readonly receipt: Receipt | null;
  /** Characters sent to a model; null where none was asked. */
  readonly sentChars: number | null;
  /** Looks at a whole answer, or at the first and last event of a stream. */
  readonly keep: ((root: JsonNode) => Promise<void>) | null;
}

/** Waits for the whole answer. Throws `GatewayError` when it may not leave. */
export async function answerWhole(turn: Turn): Promise<CheckedAnswer> {
  const { deps, exchange, upstream, request } = turn;
  const started = performance.now();
  const answer = await collect(upstream, request, {
    bytesMax: deps.config.limits.outputBodyBytesMax,
    gone: exchange.gone,
  });
  exchange.upstreamMs = performance.now() - started;
  const checked = await release(turn, answer);
  deps.metrics.timeToFirstByte((performance.now() - exchange.startedAt) / 1000);
  deps.metrics.addedLatency((performance.now() - exchange.startedAt - exchange.upstreamMs) / 1000);
  return checked;
}

/** Judges a whole answer and sends it. */
async function release(turn: Turn, answer: WholeAnswer): Promise<CheckedAnswer> {
  const { deps, exchange, session, format, receipt, sentChars, keep } = turn;
  exchange.provider = answer.head.provider;
  if (answer.head.status >= 500) deps.metrics.upstreamError('upstream_error');
  let checked: CheckedAnswer;
  try {
    checked = checkAnswer(session, answer, format);
    if (keep !== null && checked.root !== null) await keep(checked.root);
  } finally {
    concludeOutput(deps, exchange, session);
  }
  if (sentChars !== null) recordUsage(deps, exchange, checked.usage, sentChars, answer.body.length);
  exchange.json(checked.status, checked.body, answerHeaders(exchange, receipt, answer.head));
  return checked;
}

/** Relays a stream. Throws `GatewayError` when nothing of it may leave. */
export async function answerStream(turn: Turn, dialect: StreamDialect): Promise<void> {
  const { deps, exchange, session, upstream, request } = turn;
  const addedBefore = performance.now() - exchange.startedAt;
  let outcome: RelayOutcome;
  deps.metrics.streamOpened();
  try {
    outcome = await relayStream(upstream, request, exchange, session, relayOptions(turn, dialect, addedBefore));
  } finally {
    deps.metrics.streamClosed();
    exchange.upstreamMs = performance.now() - exchange.startedAt - addedBefore;
  }
  if (outcome.kind === 'provider_refused') {
    await release(turn, outcome);
    return;
  }
  if (outcome.kind === 'stopped') {
    exchange.code = outcome.code;
    if (outcome.code === 'content_filter') exchange.action = 'block';
    else deps.metrics.upstreamError(outcome.code);
  }
  concludeOutput(deps, exchange, session);
  if (outcome.kind === 'refused') throw outcome.error;
}

function relayOptions(turn: Turn, dialect: StreamDialect, addedBefore: number): RelayOptions {
  const { deps, exchange, session, format, receipt, sentChars, keep } = turn;
  const { limits, timeouts, responses } = deps.config;
  let firstData = 0;
  return {
    format: {
      dialect,
      restore: format.restore,
      ...(format.isOwn !== undefined && { isOwn: format.isOwn }),
      // The ids are known here at once; only other processes have to wait for the store.
      onBorder: keep === null ? null : (root) => void keep(root),
    },
    limits,
    clientWriteMs: timeouts.clientWriteMs,
    keepAliveMs: responses.keepAliveMs,
    holdFlushMs: responses.holdFlushMs,
    midStreamBlock: responses.midStreamBlock,
    closing: responses.streamReceipt ? () => `portcullis-receipt ${receiptHeader(session.end().receipt)}` : null,
    headers: (head) => answerHeaders(exchange, receipt, head),
    onHead: (head) => {
      firstData = performance.now();
      exchange.provider = head.provider;
      checkHeaders(session, head);
    },
    onFirstByte: () => {
      deps.metrics.timeToFirstByte((performance.now() - exchange.startedAt) / 1000);
      deps.metrics.addedLatency((addedBefore + performance.now() - firstData) / 1000);
    },
    onHeld: (chars) => deps.metrics.heldChars(chars),
    onUsage: (usage, chars) => {
      if (sentChars !== null) recordUsage(deps, exchange, usage, sentChars, chars);
    },
  };
}
