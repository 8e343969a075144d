/** POST /v1/chat/completions: the input door, the provider, the output door. */

import type { OutputSession } from '../../../engine/stream/session.ts';
import type { Receipt } from '../../../engine/types.ts';
import type { Deps } from '../../deps.ts';
import { authenticate, type Caller, presentedKey } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { relayStream } from '../../stream/relay.ts';
import { countOutput } from '../../telemetry/guards.ts';
import type { UpstreamHead } from '../../upstream/client.ts';
import { collect, type WholeAnswer } from '../../upstream/collect.ts';
import { type PreparedChat, prepareChat } from './prepare.ts';
import { receiptHeader } from './receipt.ts';
import { type CheckedAnswer, checkCompletion, checkError, checkHeaders } from './whole.ts';

/** Answers one chat completion. Throws `GatewayError` for everything that ends before the first byte. */
export async function chatCompletions(deps: Deps, exchange: Exchange): Promise<void> {
  const caller = await authenticate(deps, presentedKey(exchange.headers, null), 'proxy', null);
  exchange.tenant = caller.tenant;
  exchange.tokenId = caller.token.id;
  const prepared = await prepareChat(deps, caller, exchange);
  exchange.stream = prepared.request.stream;
  const session = await openSession(deps, caller, prepared.tokens);
  const addedBefore = performance.now() - exchange.startedAt;
  if (prepared.request.stream) await answerStream(deps, exchange, prepared, session, addedBefore);
  else await answerWhole(deps, exchange, prepared, session);
}

/** The output door with the request's own canaries, the tenant's live ones, and other tenants' as a watch list. */
export async function openSession(deps: Deps, caller: Caller, tokens: readonly string[]): Promise<OutputSession> {
  const own = deps.canaries.own(tokens);
  const live = await deps.canaries.live(caller.tenant, caller.policy, false);
  // A prompt's own canaries are live ones too; nothing is read twice for them.
  const others = live.set.tokens.some(({ id }) => !own?.tokens.some((token) => token.id === id));
  const sets = [...(own === null ? [] : [own]), ...(others ? [live.set] : [])];
  return deps.engine.openOutput({
    policy: caller.policy,
    sets,
    foreign: await deps.canaries.foreign(caller.tenant),
    evicted: live.evicted,
  });
}

async function answerWhole(
  deps: Deps,
  exchange: Exchange,
  prepared: PreparedChat,
  session: OutputSession,
): Promise<void> {
  const started = performance.now();
  const answer = await collect(deps.upstream, upstreamRequest(exchange, prepared), {
    bytesMax: deps.config.limits.outputBodyBytesMax,
    gone: exchange.gone,
  });
  exchange.upstreamMs = performance.now() - started;
  const checked = checkAnswer(deps, exchange, session, answer);
  deps.metrics.timeToFirstByte((performance.now() - exchange.startedAt) / 1000);
  deps.metrics.addedLatency((performance.now() - exchange.startedAt - exchange.upstreamMs) / 1000);
  exchange.json(checked.status, checked.body, answerHeaders(exchange, prepared.verdict.receipt, answer.head));
}

/** A completion, or the provider's error, through the session. */
function checkAnswer(deps: Deps, exchange: Exchange, session: OutputSession, answer: WholeAnswer): CheckedAnswer {
  const depthMax = deps.config.limits.jsonDepthMax;
  try {
    checkHeaders(session, answer.head);
    return answer.head.status >= 400
      ? checkError(session, answer, depthMax)
      : checkCompletion(session, answer, depthMax);
  } finally {
    concludeOutput(deps, exchange, session);
    if (answer.head.status >= 500) deps.metrics.upstreamError('upstream_error');
  }
}

/** Counts, and lets headers and log name the more severe side. */
function concludeOutput(deps: Deps, exchange: Exchange, session: OutputSession): void {
  const verdict = session.end();
  // A request whose own action was `block` has no answer.
  if (verdict.action !== 'pass') exchange.action = verdict.action;
  countOutput(deps, exchange.requestId, verdict);
}

async function answerStream(
  deps: Deps,
  exchange: Exchange,
  prepared: PreparedChat,
  session: OutputSession,
  addedBefore: number,
): Promise<void> {
  const { limits, timeouts, responses } = deps.config;
  let firstData = 0;
  deps.metrics.streamOpened();
  try {
    const outcome = await relayStream(deps.upstream, upstreamRequest(exchange, prepared), exchange, session, {
      limits,
      clientWriteMs: timeouts.clientWriteMs,
      keepAliveMs: responses.keepAliveMs,
      holdFlushMs: responses.holdFlushMs,
      midStreamBlock: responses.midStreamBlock,
      closing: responses.streamReceipt ? () => `portcullis-receipt ${receiptHeader(session.end().receipt)}` : null,
      headers: (head) => answerHeaders(exchange, prepared.verdict.receipt, head),
      onHead: (head) => {
        firstData = performance.now();
        checkHeaders(session, head);
      },
      onFirstByte: () => {
        deps.metrics.timeToFirstByte((performance.now() - exchange.startedAt) / 1000);
        deps.metrics.addedLatency((addedBefore + performance.now() - firstData) / 1000);
      },
      onHeld: (chars) => deps.metrics.heldChars(chars),
    });
    switch (outcome.kind) {
      case 'complete':
        break;
      case 'stopped':
        exchange.code = outcome.code;
        if (outcome.code === 'content_filter') exchange.action = 'block';
        if (outcome.code !== 'content_filter') deps.metrics.upstreamError(outcome.code);
        break;
      case 'refused':
        concludeOutput(deps, exchange, session);
        throw outcome.error;
      case 'provider_refused': {
        const checked = checkAnswer(deps, exchange, session, outcome);
        exchange.json(checked.status, checked.body, answerHeaders(exchange, prepared.verdict.receipt, outcome.head));
        return;
      }
    }
  } finally {
    deps.metrics.streamClosed();
    exchange.upstreamMs = performance.now() - exchange.startedAt - addedBefore;
  }
  concludeOutput(deps, exchange, session);
}

function upstreamRequest(exchange: Exchange, prepared: PreparedChat) {
  return { method: 'POST', path: '/chat/completions', headers: exchange.headers, body: prepared.body } as const;
}

function answerHeaders(exchange: Exchange, receipt: Receipt, head: UpstreamHead): Record<string, string> {
  const headers: Record<string, string> = Object.fromEntries(head.headers);
  // Our own request id is the one that our logs know; the provider's keeps a name of its own.
  const upstreamId = headers['x-request-id'];
  delete headers['x-request-id'];
  return {
    ...headers,
    ...(upstreamId !== undefined && { 'x-upstream-request-id': upstreamId }),
    'x-portcullis-action': exchange.action ?? 'pass',
    'x-portcullis-telemetry-id': exchange.requestId,
    'x-portcullis-receipt': receiptHeader(receipt),
  };
}
