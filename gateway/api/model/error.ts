import type { ErrorRenderer } from '../../app.ts';
import type { ErrorDialect } from '../../surface/errorDialect.ts';

/** Errors in the dialect of a model API, with advice on retrying. */
export function renderModelError(dialect: ErrorDialect): ErrorRenderer {
  return (deps, exchange, error) => {
    const status = error.code === 'content_filter' ? deps.config.responses.blockStatus : error.status;
    if (error.code === 'content_filter') exchange.action = 'block';
    // The inline proxy's own words; its clients look for them.
    const body = error.code === 'unknown_provider' ? '{"detail":"Not Found"}' : dialect.body(error);
    exchange.json(status, body, {
      'x-should-retry': error.retry ? 'true' : 'false',
      'x-portcullis-telemetry-id': exchange.requestId,
      'x-portcullis-action': exchange.action ?? 'none',
      ...(error.retryAfter !== null && { 'retry-after': String(error.retryAfter) }),
      ...(error.status === 401 && { 'www-authenticate': 'Bearer' }),
      ...(error.status === 405 && { allow: exchange.allow }),
    });
  };
}
