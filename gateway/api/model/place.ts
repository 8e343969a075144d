/** What the path of a model call says beside its surface. */
import type { SurfaceId } from '../../../config/schema.ts';
import type { Deps } from '../../deps.ts';
import { GatewayError } from '../../errors.ts';

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
    if (error instanceof GatewayError && error.code === 'not_found') throw new GatewayError('unknown_provider');
    throw error;
  }
}
