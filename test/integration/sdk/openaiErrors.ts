/** Errors of the openai package, which SDKs built on it hand on as they are. */
import type OpenAI from 'openai';
import type { Failure, Sdk } from './sdk.ts';

export const OPENAI_TROUBLES: Sdk['troubles'] = {
  blocked: { sees: { type: 'BadRequestError', status: 400, code: 'content_filter' } },
  unauthorized: { sees: { type: 'AuthenticationError', status: 401, code: 'invalid_api_key' } },
  notFound: { sees: { type: 'NotFoundError', status: 404, code: 'model_not_found' } },
  tooLarge: { sees: { type: 'APIError', status: 413, code: 'request_too_large' } },
  rateLimited: { sees: { type: 'RateLimitError', status: 429, code: 'rate_limit_exceeded' } },
  serverError: { sees: { type: 'InternalServerError', status: 500 } },
  badUpstream: { sees: { type: 'InternalServerError', status: 502, code: 'bad_upstream' } },
  leakMidStream: { sees: { type: 'APIError', code: 'content_filter' } },
  toolRunStopped: { sees: { code: 'content_filter' } },
  brokenMidStream: { sees: { type: 'APIError', code: 'upstream_error' } },
};

export function openaiFailure(error: unknown): Failure {
  const { status, code, message, headers } = error as Partial<InstanceType<typeof OpenAI.APIError>>;
  return {
    type: (error as object).constructor.name,
    status: status ?? null,
    code: code ?? null,
    message: message ?? '',
    header: (name) => headers?.get(name) ?? null,
  };
}

/** The package's own retries. */
export const OPENAI_TRIES = 3;
