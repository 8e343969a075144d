/** Errors of the direct API: the keys of an ordinary answer, so a client that reads `action` never meets `undefined`. */

import { NO_MODEL } from '../../../engine/index.ts';
import type { ErrorRenderer } from '../../app.ts';
import { Refused } from '../../http/auth.ts';

const NOTHING_READ = { redactions: [], coverage: { attachments_seen: 0, per_source: [] } } as const;
const NOTHING_FOUND = { findings: { canary_hits: [] } } as const;

/** Renders an error as a refusal that also says why. */
export const renderValidateError: ErrorRenderer = (deps, exchange, error) => {
  // A guard that cannot run is a 500 in this API, as its reference documents.
  const status = error.code === 'guardrail_unavailable' ? 500 : error.status;
  const body = {
    valid: false,
    reason: error instanceof Refused ? error.reason : 'block',
    action: 'block',
    risk: 0,
    ...(exchange.route === '/validate_output' ? NOTHING_FOUND : NOTHING_READ),
    telemetryId: exchange.requestId,
    modelVersion: NO_MODEL,
    rulesVersion: deps.engine.rulesVersion,
    error: { code: error.code, message: error.message, pointer: error.param },
  };
  exchange.json(status, JSON.stringify(body), {
    'x-portcullis-telemetry-id': exchange.requestId,
    'x-portcullis-action': 'block',
    ...(error.retryAfter !== null && { 'retry-after': String(error.retryAfter) }),
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
    ...(status === 405 && { allow: 'POST' }),
  });
};
