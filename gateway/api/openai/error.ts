import type { ErrorRenderer } from '../../app.ts';
import { openaiErrorBody } from '../../errors.ts';

/** The four-field error object, which every SDK turns into a typed error, with advice on retrying. */
export const renderOpenaiError: ErrorRenderer = (deps, exchange, error) => {
  const status = error.code === 'content_filter' ? deps.config.responses.blockStatus : error.status;
  if (error.code === 'content_filter') exchange.action = 'block';
  exchange.json(status, openaiErrorBody(error), {
    'x-should-retry': error.retry ? 'true' : 'false',
    'x-portcullis-telemetry-id': exchange.requestId,
    'x-portcullis-action': exchange.action ?? 'none',
    ...(error.retryAfter !== null && { 'retry-after': String(error.retryAfter) }),
    ...(error.status === 401 && { 'www-authenticate': 'Bearer' }),
    ...(error.status === 405 && { allow: exchange.route === '/v1/models' ? 'GET' : 'POST' }),
  });
};
