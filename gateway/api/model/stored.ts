/** Responses that a provider keeps: asked for again, their prompts, stopped, deleted. Only the tenant's own are known. */
import type { Deps } from '../../deps.ts';
import type { Caller } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { echoesOf, unknownId } from '../../kept.ts';
import type { StreamDialect } from '../../stream/dialect.ts';
import { responsesSurface } from '../../surface/responses.ts';
import type { AnswerPart } from '../../wire/answer.ts';
import { readLeaves } from '../../wire/dataAnswer.ts';
import type { JsonNode } from '../../wire/json.ts';
import { readInputItems } from '../../wire/responsesAnswer.ts';
import { answerStream, answerWhole } from './answer.ts';
import { checkProvider, type Place, queryOf } from './place.ts';
import { admit, openSession } from './session.ts';

interface StoredCall {
  readonly id: string;
  readonly place: Place;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Behind the response's own path. */
  readonly below: '' | '/input_items' | '/cancel';
  readonly read: (root: JsonNode) => AnswerPart | null;
}

/** GET /responses/{id}, whole or with `?stream=true` as the stream it was. */
export function retrieveResponse(deps: Deps, exchange: Exchange, id: string, place: Place): Promise<void> {
  return ask(deps, exchange, { id, place, method: 'GET', below: '', read: responsesSurface.readAnswer });
}

/** GET /responses/{id}/input_items: the prompt, without what the gateway planted in it. */
export function responseInputItems(deps: Deps, exchange: Exchange, id: string, place: Place): Promise<void> {
  return ask(deps, exchange, { id, place, method: 'GET', below: '/input_items', read: readInputItems });
}

/** POST /responses/{id}/cancel. Clients send no body; one that comes is not read. */
export function cancelResponse(deps: Deps, exchange: Exchange, id: string, place: Place): Promise<void> {
  return ask(deps, exchange, { id, place, method: 'POST', below: '/cancel', read: responsesSurface.readAnswer });
}

/** DELETE /responses/{id}. */
export function deleteResponse(deps: Deps, exchange: Exchange, id: string, place: Place): Promise<void> {
  return ask(deps, exchange, { id, place, method: 'DELETE', below: '', read: readLeaves });
}

async function ask(deps: Deps, exchange: Exchange, call: StoredCall): Promise<void> {
  const { id, place, method, below, read } = call;
  const caller = await admit(deps, exchange);
  checkProvider(deps, 'responses', place);
  const stored = await deps.kept.response(caller.tenant, id);
  // What another provider keeps is not here.
  if (place.provider !== null && place.provider !== stored.provider) throw unknownId(null);
  const upstream = deps.providers.route({ surface: 'responses', model: null, provider: stored.provider });
  exchange.provider = upstream.provider;
  const query = queryOf(exchange);
  const turn = {
    deps,
    exchange,
    session: await openSession(deps, caller, stored.tokens),
    upstream,
    request: {
      method,
      path: `/responses/${encodeURIComponent(id)}${below}`,
      query,
      headers: exchange.headers,
      body: null,
    },
    format: {
      read,
      ...echoesOf(stored.planted, stored.own),
      depthMax: deps.config.limits.jsonDepthMax,
      errors: responsesSurface.errors,
    },
    receipt: null,
    sentChars: null,
    keep: (root: JsonNode) => note(deps, exchange, caller, call, root),
  };
  exchange.stream = method === 'GET' && below === '' && new URLSearchParams(query).get('stream') === 'true';
  if (exchange.stream) {
    await answerStream(turn, responsesSurface.stream as StreamDialect);
    return;
  }
  await answerWhole(turn);
}

/** Before the client hears of it, so that it can use at once what is new, and nothing that is gone. */
async function note(
  deps: Deps,
  exchange: Exchange,
  { tenant }: Caller,
  { id, method, below }: StoredCall,
  root: JsonNode,
): Promise<void> {
  try {
    if (method === 'DELETE') await deps.kept.forget(tenant, id);
    // What runs in the background has its items later.
    else if (below !== '/input_items') {
      await deps.kept.addItems(tenant, id, responsesSurface.keptIds?.(root)?.itemIds ?? []);
    }
  } catch {
    // The answer itself is good. What the provider has deleted it will not give; what is not known is a 404.
    deps.log.warn('response_not_noted', { requestId: exchange.requestId, tenant });
  }
}
