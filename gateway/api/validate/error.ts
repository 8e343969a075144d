/** Errors of the direct API: the keys of an ordinary answer, so a client that reads `action` never meets `undefined`. */

import { NO_MODEL } from '../../../engine/index.ts';
import type { ErrorRenderer } from '../../app.ts';
import { Refused } from '../../http/auth.ts';

/** Renders an error as a refusal that also says why. */
export const renderValidateError: ErrorRenderer = (deps, exchange, error) => {
  // A guard that cannot run is a 500 in this API, as its reference documents.
  const status = error.code === 'guardrail_unavailable' ? 500 : error.status;
  const versions = { modelVersion: NO_MODEL, rulesVersion: deps.engine.rulesVersion };
  const shared = {
    valid: false,
    reason: error instanceof Refused ? error.reason : 'block',
    action: 'block',
    risk: 0,
    telemetryId: exchange.requestId,
    ...versions,
  };
  const body = {
    ...shared,
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
