/** The first steps of a direct call: who calls, and what the body says. */
import type { Deps } from '../../deps.ts';
import { authenticate, type Caller, presentedKey, Refused } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { type JsonObject, member } from '../../wire/json.ts';
import { invalid, readObject } from '../../wire/request.ts';

export interface Opened {
  readonly caller: Caller;
  readonly source: string;
  readonly root: JsonObject;
}

/** Reads and authenticates. A key in a header is checked before a byte of the body is read. */
export async function openCall(deps: Deps, exchange: Exchange): Promise<Opened> {
  const { limits, timeouts } = deps.config;
  const fromHeader = presentedKey(exchange.headers, null);
  if (fromHeader !== null) {
    const checked = await deps.keys.authenticate(fromHeader);
    if (checked.kind === 'refused') throw new Refused(checked.reason);
  }
  // The first header decides; that they differ is worth a look.
  const other = presentedKey({ 'x-api-key': exchange.headers['x-api-key'] }, null);
  if (other !== null && other !== fromHeader) {
    deps.log.warn('conflicting_keys', { requestId: exchange.requestId });
  }
  const { text } = await exchange.readText({
    bytesMax: limits.validateBodyBytesMax,
    timeoutMs: timeouts.clientBodyMs,
  });
  const root = readObject(text, { depthMax: limits.jsonDepthMax, nodesMax: limits.jsonNodesMax });
  const key = presentedKey(exchange.headers, stringOrNull(root, 'token'));
  const caller = await authenticate(deps, key, 'validate', stringOrNull(root, 'tenant'));
  exchange.tenant = caller.tenant;
  exchange.tokenId = caller.token.id;
  return { caller, source: text, root };
}

function stringOrNull(root: JsonObject, key: string): string | null {
  const node = member(root, key);
  if (node === null || node.kind === 'null') return null;
  if (node.kind !== 'string') throw invalid(`/${key}`, 'expected a string');
  return node.value;
}
