/**
 * The realtime endpoint: a WebSocket tunnel, open only to callers whose policy lists `realtime` as not inspected. The
 * handshake is read, checked and given the provider's key. The frames behind it are not inspected: whoever lists the
 * endpoint accepts that prompts, answers and tool calls pass there without any guard.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Deps } from '../../deps.ts';
import { GatewayError } from '../../errors.ts';
import { type EarlyBytes, switchProtocols } from '../../http/detached.ts';
import type { Exchange } from '../../http/exchange.ts';
import { tunnel } from '../../http/tunnel.ts';
import type { UpstreamUpgrade } from '../../upstream/call.ts';
import { cleanValue } from '../../upstream/headers.ts';
import { sendUnread } from './relay.ts';
import { isListed, type RelayTarget, relayTarget } from './relayTarget.ts';
import { admit } from './session.ts';

const REALTIME = 'realtime';
/** Browsers can set no header on a WebSocket, so their key stands among the protocols. */
const KEY_PROTOCOL = 'openai-insecure-api-key.';
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/; // linear: one class, anchored
const WEBSOCKET_KEY = /^[A-Za-z0-9+/]{22}==$/; // linear: one class of fixed length, anchored
/** RFC 6455 section 1.3. */
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Whether the request is a WebSocket handshake at the realtime endpoint, and nothing else besides. */
export function isRealtimeHandshake({ method, httpVersion, headers, url }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    httpVersion === '1.1' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['sec-websocket-version'] === '13' &&
    WEBSOCKET_KEY.test(headers['sec-websocket-key'] ?? '') &&
    headers['transfer-encoding'] === undefined &&
    Number(headers['content-length'] ?? 0) === 0 &&
    targetOf(url) !== null
  );
}

/** Runs one connection from handshake to close. Throws `GatewayError` when there is none. */
export async function realtime(deps: Deps, exchange: Exchange, client: Duplex, early: EarlyBytes): Promise<void> {
  const { headers, incoming } = exchange;
  const { key, protocols } = offered(headers['sec-websocket-protocol']);
  const caller = await admit(deps, exchange, key);
  const target = targetOf(incoming.url);
  if (target === null || !isListed(caller.policy, REALTIME)) throw new GatewayError('upgrade_refused');
  if (!protocols.every((protocol) => TOKEN.test(protocol))) throw new GatewayError('malformed_http');
  if (deps.lifecycle.draining) throw new GatewayError('draining');
  const handshake = handshakeOf(headers, protocols);
  const outcome = await sendUnread(deps, exchange, caller, target, handshake);
  if (outcome.kind !== 'upgraded') return;
  const { upgrade } = outcome;
  const answer = answerOf(upgrade, handshake, protocols);
  if (answer === null || client.destroyed) {
    upgrade.socket.destroy();
    throw new GatewayError('bad_upstream');
  }
  exchange.provider = upgrade.provider;
  exchange.stream = true;
  switchProtocols(exchange, { ...outcome.headers, ...answer, 'x-request-id': exchange.requestId });
  deps.metrics.streamOpened();
  const { upstreamIdleMs, upstreamTotalMs } = deps.config.timeouts;
  const started = performance.now();
  const end = await tunnel(client, upgrade.socket, early.take(), { idleMs: upstreamIdleMs, totalMs: upstreamTotalMs });
  exchange.upstreamMs += performance.now() - started;
  if (end === 'timeout') exchange.code = 'upstream_timeout';
  deps.metrics.streamClosed();
  exchange.outgoing.destroy();
}

function targetOf(url: string | undefined): RelayTarget | null {
  const target = relayTarget(url ?? '');
  return target?.path === `/${REALTIME}` ? target : null;
}

/** The key among the offered protocols, and the protocols without any entry that holds one. */
function offered(header: string | undefined): { key: string | null; protocols: string[] } {
  const all = (header ?? '').split(',').map((protocol) => protocol.trim());
  const keys = all.filter((protocol) => protocol.toLowerCase().startsWith(KEY_PROTOCOL));
  return {
    key: keys[0]?.slice(KEY_PROTOCOL.length) ?? null,
    protocols: all.filter((protocol) => protocol !== '' && !keys.includes(protocol)),
  };
}

/** For the provider; its own key takes the place of the client's among the ordinary headers. */
function handshakeOf(headers: IncomingHttpHeaders, protocols: readonly string[]): Record<string, string> {
  const extensions = cleanValue(headers['sec-websocket-extensions']);
  return {
    'sec-websocket-version': '13',
    'sec-websocket-key': headers['sec-websocket-key'] ?? '',
    ...(protocols.length > 0 && { 'sec-websocket-protocol': protocols.join(', ') }),
    ...(extensions !== null && { 'sec-websocket-extensions': extensions }),
  };
}

/** For the client; null where the provider accepted something else than was asked. */
function answerOf(
  { handshake }: UpstreamUpgrade,
  asked: Readonly<Record<string, string>>,
  protocols: readonly string[],
): Record<string, string> | null {
  const accept = createHash('sha1').update(`${asked['sec-websocket-key']}${ACCEPT_SUFFIX}`).digest('base64');
  const protocol = cleanValue(handshake['sec-websocket-protocol']);
  const extensions = cleanValue(handshake['sec-websocket-extensions']);
  const fits =
    handshake.upgrade?.toLowerCase() === 'websocket' &&
    handshake['sec-websocket-accept'] === accept &&
    (protocol === null || protocols.includes(protocol)) &&
    (extensions === null || asked['sec-websocket-extensions'] !== undefined);
  if (!fits) return null;
  return {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-accept': accept,
    ...(protocol !== null && { 'sec-websocket-protocol': protocol }),
    ...(extensions !== null && { 'sec-websocket-extensions': extensions }),
  };
}
