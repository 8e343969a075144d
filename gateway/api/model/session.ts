/** The doors of a model call: who calls, and the output door with the canaries to look for. */
import type { OutputSession } from '../../../engine/stream/session.ts';
import type { Deps } from '../../deps.ts';
import { authenticate, type Caller, presentedKey } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { countOutput } from '../../telemetry/guards.ts';

/** Authenticates a call and notes for whom it is. `otherKey` counts where the usual headers hold none. */
export async function admit(deps: Deps, exchange: Exchange, otherKey: string | null = null): Promise<Caller> {
  const caller = await authenticate(deps, presentedKey(exchange.headers, otherKey), 'proxy', null);
  exchange.tenant = caller.tenant;
  exchange.tokenId = caller.token.id;
  return caller;
}

/** The output door with the request's own canaries, the tenant's live ones, and other tenants' as a watch list. */
export async function openSession(deps: Deps, caller: Caller, tokens: readonly string[]): Promise<OutputSession> {
  const own = deps.canaries.own(tokens);
  const live = await deps.canaries.live(caller.tenant, caller.policy, false);
  // A prompt's own canaries are live ones too; nothing is read twice for them.
  const known = new Set(own.flatMap((set) => set.tokens.map(({ id }) => id)));
  const others = live.set.tokens.some(({ id }) => !known.has(id));
  const sets = others ? [...own, live.set] : own;
  return deps.engine.openOutput({
    policy: caller.policy,
    sets,
    foreign: await deps.canaries.foreign(caller.tenant),
    evicted: live.evicted,
  });
}

/** Counts, and lets headers and log name the more severe side. */
export function concludeOutput(deps: Deps, exchange: Exchange, session: OutputSession): void {
  const verdict = session.end();
  // A request whose own action was `block` has no answer.
  if (verdict.action !== 'pass') exchange.action = verdict.action;
  countOutput(deps, exchange.requestId, verdict);
}
