/** POST /validate: a prompt and what comes with it, before a model reads it. */
import { atLeast } from '../../../engine/types.ts';
import type { Handler } from '../../app.ts';
import type { Deps } from '../../deps.ts';
import { GatewayError } from '../../errors.ts';
import type { Caller } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { hasScope } from '../../keys.ts';
import { type Carriers, carrierSegments, plantCarriers, readCarriers } from './carriers.ts';
import { debugOf } from './debug.ts';
import { type Judged, judge } from './judge.ts';
import { openCall } from './open.ts';
import { countUnknown, parseBody, type ValidateBody, validateSchema } from './request.ts';
import { answerHeaders, validateAnswer } from './respond.ts';
import { readSources } from './sources.ts';

/** Answers one call. Throws `GatewayError`. */
export const validate: Handler = async (deps, exchange) => {
  const { caller, root } = await openCall(deps, exchange);
  const body = parseBody(validateSchema, root, ['token']);
  checkLabel(body, caller);
  const unknownFields = countUnknown(root, validateSchema);
  if (unknownFields > 0) deps.log.debug('unknown_fields', { requestId: exchange.requestId, count: unknownFields });
  const carriers = readCarriers(body, deps.config.limits);
  const sources = readSources(body, deps.config.limits);
  const tool = body.tool?.trim() || null;
  const judged = await judge({ deps, exchange, caller, tool }, sources, carrierSegments(carriers));
  exchange.action = judged.action;
  label(deps, exchange, body, judged);
  // Whatever the verdict is: a caller in monitor mode still forwards.
  const planted = await plantCarriers(deps, exchange, caller, carriers);
  const debug =
    body.opts?.debug === true
      ? await debugOf({
          deps,
          caller,
          carriers,
          planted,
          judged,
          tool,
          unknownFields,
          startedAt: exchange.startedAt,
        })
      : null;
  const answer = validateAnswer({
    judged,
    planted,
    policy: caller.policy,
    known: await knownCanaries(deps, caller, carriers, planted.tokens, judged),
    returnSanitized: body.opts?.return_sanitized === true,
    telemetryId: exchange.requestId,
    debug,
  });
  exchange.json(200, JSON.stringify(answer), answerHeaders(exchange, judged.action, judged.receipt));
};

/** A label is stored for evaluation and never looked at here; who may set one is a matter of scope. */
function checkLabel(body: ValidateBody, { token }: Caller): void {
  if ((body.opts?.truth ?? null) === null || hasScope(token, 'labeller')) return;
  throw new GatewayError('permission_denied', { message: 'The API key may not label requests.', param: '/opts/truth' });
}

function label(deps: Deps, exchange: Exchange, body: ValidateBody, { action, risk }: Judged): void {
  const truth = body.opts?.truth ?? null;
  if (truth !== null) deps.log.info('labelled', { requestId: exchange.requestId, outcome: truth, action, risk });
}

/** What an excerpt must not quote. Only looked up where there are excerpts. */
async function knownCanaries(
  deps: Deps,
  { tenant, policy }: Caller,
  { given }: Carriers,
  planted: readonly string[],
  { action }: Judged,
): Promise<string[]> {
  if (!atLeast(action, 'sanitize')) return [];
  const { set } = await deps.canaries.live(tenant, policy, false);
  const values = [...(given === null ? [] : [given]), ...planted, ...set.tokens.map(({ value }) => value)];
  return [...new Set(values)];
}
