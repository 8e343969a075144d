/** A call that a model answers: the input door, the provider, the output door. The same for every format. */
import type { Deps } from '../../deps.ts';
import type { Caller } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { restorer } from '../../kept.ts';
import type { Surface } from '../../surface/surface.ts';
import type { JsonNode } from '../../wire/json.ts';
import { answerStream, answerWhole } from './answer.ts';
import { checkProvider, type Place } from './place.ts';
import { type PreparedCall, prepareCall } from './prepare.ts';
import { admit, openSession } from './session.ts';

/** Answers one call. Throws `GatewayError` for everything that ends before the first byte. */
export async function generate(deps: Deps, exchange: Exchange, surface: Surface, place: Place): Promise<void> {
  const caller = await admit(deps, exchange);
  checkProvider(deps, surface.id, place);
  const prepared = await prepareCall(deps, caller, exchange, surface, place);
  const { request, route } = prepared;
  exchange.stream = request.stream && surface.stream !== null;
  exchange.provider = route.provider;
  const turn = {
    deps,
    exchange,
    session: await openSession(deps, caller, prepared.tokens),
    upstream: route,
    request: { method: 'POST', path: surface.path, query: '', headers: exchange.headers, body: prepared.body },
    format: {
      read: surface.readAnswer,
      restore: restorer([...prepared.planted, ...prepared.continued.planted]),
      depthMax: deps.config.limits.jsonDepthMax,
      errors: surface.errors,
    },
    receipt: prepared.verdict.receipt,
    sentChars: request.segments.reduce((sum, { text }) => sum + text.length, 0),
    keep: surface.keptIds === null ? null : (root: JsonNode) => keep(deps, exchange, caller, surface, prepared, root),
  };
  if (exchange.stream && surface.stream !== null) await answerStream(turn, surface.stream);
  else await answerWhole(turn);
}

/** Notes what the provider keeps of this answer, so that it can be asked for, continued and put back. */
async function keep(
  deps: Deps,
  exchange: Exchange,
  caller: Caller,
  surface: Surface,
  prepared: PreparedCall,
  root: JsonNode,
): Promise<void> {
  const ids = surface.keptIds?.(root) ?? null;
  if (ids === null) return;
  const { request, verdict, route, continued, tokens, planted } = prepared;
  const before = continued.segments.length;
  const history = [...continued.segments, ...request.segments].flatMap(({ role, text, trusted, aside }, index) => {
    if (trusted || aside === true || role === 'system' || role === 'developer') return [];
    return [{ role, text: index < before ? text : (verdict.rewritten[index] ?? text) }];
  });
  try {
    await deps.kept.keep({
      tenant: caller.tenant,
      provider: exchange.provider ?? route.provider,
      ...ids,
      tokens,
      planted: [...planted, ...continued.planted],
      history,
    });
  } catch {
    // The answer itself is good; what is lost is that it can be continued, which is then a 404.
    deps.log.warn('response_not_kept', { requestId: exchange.requestId, tenant: caller.tenant });
  }
}
