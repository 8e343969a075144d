/** A call that a model answers: the input door, the provider, the output door. The same for every format. */
import type { Deps } from '../../deps.ts';
import type { Caller } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { digestOf, echoesOf } from '../../kept.ts';
import type { Surface } from '../../surface/surface.ts';
import type { JsonNode } from '../../wire/json.ts';
import { answerStream, answerWhole } from './answer.ts';
import { checkProvider, type Place, queryOf } from './place.ts';
import { type PreparedCall, prepareCall } from './prepare.ts';
import { admit, openSession } from './session.ts';

/** Answers one call. Throws `GatewayError` for everything that ends before the first byte. */
export async function generate(deps: Deps, exchange: Exchange, surface: Surface, place: Place): Promise<void> {
  const caller = await admit(deps, exchange);
  checkProvider(deps, surface.id, place);
  const prepared = await prepareCall(deps, caller, exchange, surface, place);
  const { request, route, continued } = prepared;
  exchange.stream = request.stream && surface.stream !== null;
  exchange.provider = route.provider;
  const own = surface.keptIds === null ? [] : [...ownTexts(prepared), ...continued.own];
  const turn = {
    deps,
    exchange,
    session: await openSession(deps, caller, prepared.tokens),
    upstream: route,
    request: {
      method: 'POST',
      path: surface.path,
      query: queryOf(exchange),
      headers: exchange.headers,
      body: prepared.body,
    },
    format: {
      read: surface.readAnswer,
      ...echoesOf([...prepared.planted, ...continued.planted], own),
      depthMax: deps.config.limits.jsonDepthMax,
      errors: surface.errors,
    },
    receipt: prepared.verdict.receipt,
    sentChars: request.segments.reduce((sum, { text }) => sum + text.length, 0),
    keep:
      surface.keptIds === null
        ? null
        : (root: JsonNode) => keep(deps, exchange, caller, surface, { ...prepared, own }, root),
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
  prepared: PreparedCall & { readonly own: readonly string[] },
  root: JsonNode,
): Promise<void> {
  const ids = surface.keptIds?.(root) ?? null;
  if (ids === null) return;
  const { request, verdict, route, continued, tokens, planted, own } = prepared;
  const before = continued.segments.length;
  const history = [...continued.segments, ...request.segments].flatMap(({ role, text, trusted, aside }, index) => {
    if (trusted || aside === true || role === 'system' || role === 'developer') return [];
    return [{ role, text: index < before ? text : (verdict.rewritten[index] ?? text) }];
  });
  const whose = { tenant: caller.tenant, provider: exchange.provider ?? route.provider, ...ids, tokens };
  try {
    // What is not stored cannot be continued, but clients send its items back with their ids.
    if (!request.stored || !ids.stored) await deps.kept.keepItems(whose);
    else await deps.kept.keep({ ...whose, planted: [...planted, ...continued.planted], own, history });
  } catch {
    // The answer itself is good; what is lost is that it can be continued, which is then a 404.
    deps.log.warn('response_not_kept', { requestId: exchange.requestId, tenant: caller.tenant });
  }
}

/** Digests of the trusted texts, by which they are known when the provider repeats them. */
function ownTexts({ request }: PreparedCall): string[] {
  return request.segments
    .filter(({ role }) => role === 'system' || role === 'developer')
    .map(({ text }) => digestOf(text));
}
