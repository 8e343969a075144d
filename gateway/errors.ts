/**
 * The one catalogue of errors. Callers match `code`, never the message; each API renders it in its own dialect.
 * Client texts say what the caller can do and never carry payload, rule or stack.
 */

interface ErrorEntry {
  readonly status: number;
  /** The `type` of OpenAI's error object. */
  readonly type:
    | 'invalid_request_error'
    | 'authentication_error'
    | 'permission_error'
    | 'rate_limit_error'
    | 'server_error';
  readonly message: string;
  /** Whether SDKs may try again; sent as `x-should-retry`. */
  readonly retry: boolean;
}

export const ERRORS = {
  invalid_json: {
    status: 400,
    type: 'invalid_request_error',
    message: 'The request body is not valid JSON.',
    retry: false,
  },
  duplicate_key: {
    status: 400,
    type: 'invalid_request_error',
    message: 'The request body repeats a key of one object.',
    retry: false,
  },
  json_too_deep: {
    status: 400,
    type: 'invalid_request_error',
    message: 'The request body is nested too deeply.',
    retry: false,
  },
  invalid_request: { status: 400, type: 'invalid_request_error', message: 'The request is not valid.', retry: false },
  content_filter: {
    status: 400,
    type: 'invalid_request_error',
    message: 'The request or the answer was stopped by a content policy.',
    retry: false,
  },
  invalid_api_key: {
    status: 401,
    type: 'authentication_error',
    message: 'The API key is missing or not valid.',
    retry: false,
  },
  provider_key_required: {
    status: 401,
    type: 'authentication_error',
    message:
      'This provider is called with your own key: send it in authorization, and the key of the gateway in x-portcullis-key.',
    retry: false,
  },
  permission_denied: { status: 403, type: 'permission_error', message: 'The API key may not do this.', retry: false },
  not_found: { status: 404, type: 'invalid_request_error', message: 'There is nothing at this path.', retry: false },
  unknown_provider: {
    status: 404,
    type: 'invalid_request_error',
    message: 'There is no provider of this name.',
    retry: false,
  },
  endpoint_not_offered: {
    status: 404,
    type: 'invalid_request_error',
    message: 'This endpoint is not offered by the gateway.',
    retry: false,
  },
  malformed_http: {
    status: 400,
    type: 'invalid_request_error',
    message: 'The request is not well-formed HTTP/1.1.',
    retry: false,
  },
  method_not_allowed: {
    status: 405,
    type: 'invalid_request_error',
    message: 'This method is not offered at this path.',
    retry: false,
  },
  body_timeout: {
    status: 408,
    type: 'invalid_request_error',
    message: 'The request body did not arrive in time.',
    retry: false,
  },
  request_too_large: {
    status: 413,
    type: 'invalid_request_error',
    message: 'The request is larger than the configured limit.',
    retry: false,
  },
  json_too_large: {
    status: 413,
    type: 'invalid_request_error',
    message: 'The request body has more JSON values than the configured limit.',
    retry: false,
  },
  uri_too_long: {
    status: 414,
    type: 'invalid_request_error',
    message: 'The request target is too long.',
    retry: false,
  },
  unsupported_media_type: {
    status: 415,
    type: 'invalid_request_error',
    message: 'The request body must be application/json in UTF-8, not compressed.',
    retry: false,
  },
  upgrade_refused: {
    status: 426,
    type: 'invalid_request_error',
    message: 'Only HTTP/1.1 is spoken here.',
    retry: false,
  },
  headers_too_large: {
    status: 431,
    type: 'invalid_request_error',
    message: 'The request headers are too many or too large.',
    retry: false,
  },
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error', message: 'Too many requests.', retry: true },
  internal_error: {
    status: 500,
    type: 'server_error',
    message: 'The gateway failed to handle the request.',
    retry: false,
  },
  bad_upstream: {
    status: 502,
    type: 'server_error',
    message: 'The provider gave an answer that could not be used.',
    retry: false,
  },
  provider_key_refused: {
    status: 502,
    type: 'server_error',
    message: 'The provider refused the key that the gateway sent.',
    retry: false,
  },
  upstream_error: {
    status: 502,
    type: 'server_error',
    message: 'The provider ended the answer before it was complete.',
    retry: false,
  },
  upstream_unreachable: {
    status: 502,
    type: 'server_error',
    message: 'The provider could not be reached.',
    retry: true,
  },
  upstream_unavailable: {
    status: 503,
    type: 'server_error',
    message: 'The provider keeps failing and is left alone for a moment.',
    retry: true,
  },
  guardrail_unavailable: {
    status: 503,
    type: 'server_error',
    message: 'A configured guard could not run.',
    retry: true,
  },
  overloaded: {
    status: 503,
    type: 'server_error',
    message: 'The gateway is at its limit of concurrent requests.',
    retry: true,
  },
  draining: { status: 503, type: 'server_error', message: 'The gateway is shutting down.', retry: true },
  upstream_timeout: {
    status: 504,
    type: 'server_error',
    message: 'The provider did not answer in time.',
    retry: false,
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

export interface GatewayErrorOptions {
  /** Replaces the catalogue text; must not carry payload. */
  readonly message?: string;
  /** JSON pointer or parameter name the message is about. */
  readonly param?: string;
  readonly cause?: unknown;
  /** Seconds for `retry-after`. */
  readonly retryAfter?: number;
}

/** An outcome the caller is told about. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly retryAfter: number | null;

  constructor(code: ErrorCode, options: GatewayErrorOptions = {}) {
    super(options.message ?? ERRORS[code].message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'GatewayError';
    this.code = code;
    this.param = options.param ?? null;
    this.retryAfter = options.retryAfter ?? null;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retry(): boolean {
    return ERRORS[this.code].retry;
  }
}

/** OpenAI's error object: `{"error":{message,type,param,code}}` as text. */
export function openaiErrorBody(error: GatewayError): string {
  return JSON.stringify({
    error: { message: error.message, type: ERRORS[error.code].type, param: error.param, code: error.code },
  });
}
