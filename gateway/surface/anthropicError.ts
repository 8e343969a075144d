/** Errors as the Anthropic API writes them. */
import { ERRORS, type ErrorCode, type GatewayError } from '../errors.ts';
import type { ErrorDialect } from './errorDialect.ts';

/** Types by status; where several errors share a status, the code decides. */
const TYPES: ReadonlyMap<number, string> = new Map([
  [401, 'authentication_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [504, 'timeout_error'],
  [529, 'overloaded_error'],
]);
const OVERLOADED: ReadonlySet<ErrorCode> = new Set(['overloaded', 'draining']);

/** An error as an object; `code` is ours, and lets programs tell a block from a mistake. */
export function anthropicError(error: GatewayError): Record<string, unknown> {
  const { code, message } = error;
  const type = OVERLOADED.has(code) ? 'overloaded_error' : typeOf(ERRORS[code].status);
  return { type: 'error', error: { type, message, code } };
}

/** The same as text. */
export function anthropicErrorBody(error: GatewayError): string {
  return JSON.stringify(anthropicError(error));
}

export const anthropicErrors: ErrorDialect = {
  body: anthropicErrorBody,
  foreign: (status, message) =>
    JSON.stringify({ type: 'error', error: { type: typeOf(status), message, code: 'upstream_error' } }),
};

function typeOf(status: number): string {
  return TYPES.get(status) ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
}
