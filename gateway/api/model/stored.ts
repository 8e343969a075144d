/** Responses that a provider keeps: asked for again, their prompts, stopped, deleted. Only the tenant's own are known. */

import type { Deps } from '../../deps.ts';
import { GatewayError } from '../../errors.ts';
import type { Exchange } from '../../http/exchange.ts';
import { restorer } from '../../kept.ts';
import type { StreamDialect } from '../../stream/dialect.ts';
import { responsesSurface } from '../../surface/responses.ts';
import type { AnswerPart } from '../../wire/answer.ts';
import type { JsonNode } from '../../wire/json.ts';
import { readInputItems } from '../../wire/responsesAnswer.ts';
import { answerStream, answerWhole } from './answer.ts';
import { readLeaves } from './lookup.ts';
import { checkProvider, type Place } from './place.ts';
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
  if (place.provider !== null && place.provider !== stored.provider) throw new GatewayError('not_found');
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
      restore: restorer(stored.planted),
      depthMax: deps.config.limits.jsonDepthMax,
      errors: responsesSurface.errors,
    },
    receipt: null,
    sentChars: null,
    keep: null,
  };
  exchange.stream = method === 'GET' && below === '' && new URLSearchParams(query).get('stream') === 'true';
  if (exchange.stream) {
    await answerStream(turn, responsesSurface.stream as StreamDialect);
    return;
  }
  const { status } = await answerWhole(turn);
  if (method === 'DELETE' && status < 300) await deps.kept.forget(caller.tenant, id);
}

function queryOf({ incoming }: Exchange): string {
  const target = incoming.url ?? '';
  const at = target.indexOf('?');
  return at === -1 ? '' : target.slice(at);
}
