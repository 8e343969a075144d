/** What the path of a model call says beside its surface. */
import type { SurfaceId } from '../../../config/schema.ts';
import type { Deps } from '../../deps.ts';
import { GatewayError } from '../../errors.ts';
import type { Exchange } from '../../http/exchange.ts';

export interface Place {
  /** A provider by name. */
  readonly provider: string | null;
  /** An Azure deployment, which names the model. */
  readonly deployment: string | null;
}

/** Throws `unknown_provider` before a body is read for nothing. */
export function checkProvider(deps: Deps, surface: SurfaceId, { provider, deployment }: Place): void {
  if (provider === null) return;
  try {
    deps.providers.route({ surface, model: deployment, provider });
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    // What is wrong with the model has a place in the request, and the body may still name one.
    const ofModel = error.param !== null;
    if (ofModel && deployment === null) return;
    throw error.code === 'not_found' && !ofModel ? new GatewayError('unknown_provider') : error;
  }
}

/** The query of a request with its question mark; empty without one. */
export function queryOf({ incoming }: Exchange): string {
  const target = incoming.url ?? '';
  const at = target.indexOf('?');
  return at === -1 ? '' : target.slice(at);
}
