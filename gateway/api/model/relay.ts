/**
 * Endpoints that the gateway does not inspect: audio, images, files, batches and whatever else a policy lists. They
 * are relayed as they are and recorded as not inspected; everything else below `/v1` is refused as if it did not exist.
 */
import type { Deps } from '../../deps.ts';
import { GatewayError } from '../../errors.ts';
import type { Caller } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { bodyTooLarge, MeteredBody } from '../../http/meteredBody.ts';
import { type RawOutcome, type RawRelayOptions, relayRaw } from '../../stream/rawRelay.ts';
import { cleanValue } from '../../upstream/headers.ts';
import type { RequestBody, RoutedRequest } from '../../upstream/port.ts';
import { answerHeaders } from './headers.ts';
import { checkProvider } from './place.ts';
import { isListed, type RelayTarget, relayTarget } from './relayTarget.ts';
import { admit } from './session.ts';
import { recordUnread } from './unread.ts';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** Relays one request. Throws `GatewayError` for everything that must not be, or cannot be. */
export async function relayUnread(deps: Deps, exchange: Exchange): Promise<void> {
  const caller = await admit(deps, exchange);
  const target = listedTarget(exchange, caller);
  checkBody(exchange, deps.config.limits.relayBodyBytesMax);
  await sendUnread(deps, exchange, caller, target);
}

/**
 * Records and sends one request, and relays its answer. With the headers of a handshake it may end as `upgraded`, which
 * is the caller's to go on with.
 */
export async function sendUnread(
  deps: Deps,
  exchange: Exchange,
  caller: Caller,
  { provider, path, query }: RelayTarget,
  upgrade?: Readonly<Record<string, string>>,
): Promise<RawOutcome> {
  const { incoming, headers } = exchange;
  const { limits, timeouts } = deps.config;
  const place = { provider, deployment: null };
  checkProvider(deps, 'relay', place);
  const route = deps.providers.route({ surface: 'relay', model: null, provider });
  exchange.provider = route.provider;
  const receipt = await recordUnread(deps, exchange, caller);
  const started = performance.now();
  let streams = false;
  const body = hasBody(exchange)
    ? new MeteredBody(incoming, { bytesMax: limits.relayBodyBytesMax, timeoutMs: timeouts.clientBodyMs })
    : null;
  const request: RoutedRequest = {
    method: incoming.method ?? '',
    path,
    query,
    headers,
    body: bodyOf(exchange, body),
    ...(upgrade !== undefined && { upgrade }),
  };
  const options: RawRelayOptions = {
    body,
    bytesMax: limits.relayBodyBytesMax,
    clientWriteMs: timeouts.clientWriteMs,
    headers: (head) => answerHeaders(exchange, receipt, head),
    onHead: (head) => {
      exchange.provider = head.provider;
      if (head.status >= 500) deps.metrics.upstreamError('upstream_error');
      deps.metrics.timeToFirstByte((performance.now() - exchange.startedAt) / 1000);
      streams = /^text\/event-stream\b/i.test(head.contentType ?? '');
      if (streams) deps.metrics.streamOpened();
      exchange.stream = streams;
    },
  };
  try {
    const outcome = await relayRaw(route, request, exchange, options);
    if (outcome.kind === 'broken') noteBreak(deps, exchange, outcome);
    return outcome;
  } finally {
    if (streams) deps.metrics.streamClosed();
    exchange.upstreamMs = performance.now() - started;
  }
}

/** The endpoint that the caller's policy lists. What is unknown and what is not listed look alike. */
function listedTarget({ incoming }: Exchange, { policy }: Caller): RelayTarget {
  const target = METHODS.includes(incoming.method ?? '') ? relayTarget(incoming.url ?? '') : null;
  if (target === null || !isListed(policy, target.segment)) throw new GatewayError('endpoint_not_offered');
  return target;
}

function hasBody({ headers }: Exchange): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** Refuses before a provider hears of it. */
function checkBody(exchange: Exchange, bytesMax: number): void {
  const { incoming, headers } = exchange;
  if (!hasBody(exchange)) return;
  // Servers differ in whether they read one, so what follows it could be taken for another request.
  if (incoming.method === 'GET')
    throw new GatewayError('invalid_request', { message: 'A GET request carries no body.' });
  const type = headers['content-type'];
  const encoding = headers['content-encoding']?.toLowerCase() ?? 'identity';
  if (encoding !== 'identity' || (type !== undefined && cleanValue(type) === null)) {
    throw new GatewayError('unsupported_media_type', { message: 'The request body must not be compressed.' });
  }
  if (Number(headers['content-length'] ?? 0) > bytesMax) throw bodyTooLarge(bytesMax);
}

function bodyOf({ headers }: Exchange, body: MeteredBody | null): RequestBody | null {
  if (body === null) return null;
  const length = headers['content-length'];
  return {
    kind: 'stream',
    stream: body.stream,
    contentType: cleanValue(headers['content-type']),
    contentLength: length === undefined ? null : Number(length),
  };
}

function noteBreak(deps: Deps, exchange: Exchange, { error, bytes }: Extract<RawOutcome, { kind: 'broken' }>): void {
  const { requestId, provider } = exchange;
  exchange.code = error.code;
  if (error.code.includes('upstream')) deps.metrics.upstreamError(error.code);
  deps.log.warn('relay_broken_off', { requestId, code: error.code, bytes, ...(provider !== null && { provider }) });
}
