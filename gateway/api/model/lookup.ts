/** Lookups that no prompt goes to: model lists, single models. Read for canaries like every other answer. */
import type { SurfaceId } from '../../../config/schema.ts';
import type { Deps } from '../../deps.ts';
import type { Exchange } from '../../http/exchange.ts';
import { openaiErrors } from '../../surface/errorDialect.ts';
import { readLeaves } from '../../wire/dataAnswer.ts';
import { answerWhole } from './answer.ts';
import { checkProvider, type Place } from './place.ts';
import { admit, openSession } from './session.ts';

export interface Lookup {
  readonly surface: SurfaceId;
  readonly path: string;
  /** Decides which provider is asked. */
  readonly model: string | null;
  readonly place: Place;
}

/** GET of `path` below the provider's base URL. */
export async function lookup(deps: Deps, exchange: Exchange, { surface, path, model, place }: Lookup): Promise<void> {
  const caller = await admit(deps, exchange);
  checkProvider(deps, surface, place);
  const turn = {
    deps,
    exchange,
    session: await openSession(deps, caller, []),
    upstream: deps.providers.route({ surface, model, provider: place.provider }),
    request: { method: 'GET', path, query: '', headers: exchange.headers, body: null },
    format: {
      read: readLeaves,
      restore: (text: string) => text,
      depthMax: deps.config.limits.jsonDepthMax,
      errors: openaiErrors,
    },
    receipt: null,
    sentChars: null,
    keep: null,
  };
  await answerWhole(turn);
}
