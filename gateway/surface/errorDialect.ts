/** How errors are written in the formats that clients read. */
import { ERRORS, type GatewayError, openaiErrorBody } from '../errors.ts';

export interface ErrorDialect {
  readonly body: (error: GatewayError) => string;
  /** For an answer of a provider that is no error object of the format. */
  readonly foreign: (status: number, message: string) => string;
}

/** The four-field error object, which every SDK of this family turns into a typed error. */
export const openaiErrors: ErrorDialect = {
  body: openaiErrorBody,
  foreign: (status, message) => {
    const entry = Object.values(ERRORS).find((candidate) => candidate.status === status);
    const type = entry?.type ?? (status >= 500 ? 'server_error' : 'invalid_request_error');
    return JSON.stringify({ error: { message, type, param: null, code: 'upstream_error' } });
  },
};
