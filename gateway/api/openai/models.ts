/** GET /v1/models: the provider's own list, read for canaries like every other answer. */
import type { Deps } from '../../deps.ts';
import { authenticate, presentedKey } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { countOutput } from '../../telemetry/guards.ts';
import { collect } from '../../upstream/collect.ts';
import { openSession } from './chat.ts';
import { checkError, checkHeaders, checkJson } from './whole.ts';

export async function listModels(deps: Deps, exchange: Exchange): Promise<void> {
  const caller = await authenticate(deps, presentedKey(exchange.headers, null), 'proxy', null);
  exchange.tenant = caller.tenant;
  exchange.tokenId = caller.token.id;
  const session = await openSession(deps, caller, []);
  const started = performance.now();
  const answer = await collect(
    deps.upstream,
    { method: 'GET', path: '/models', headers: exchange.headers, body: null },
    { bytesMax: deps.config.limits.outputBodyBytesMax, gone: exchange.gone },
  );
  exchange.upstreamMs = performance.now() - started;
  const depthMax = deps.config.limits.jsonDepthMax;
  try {
    checkHeaders(session, answer.head);
    const checked =
      answer.head.status >= 400 ? checkError(session, answer, depthMax) : checkJson(session, answer, depthMax);
    exchange.json(checked.status, checked.body, { 'x-portcullis-telemetry-id': exchange.requestId });
  } finally {
    countOutput(deps, exchange.requestId, session.end());
  }
}
