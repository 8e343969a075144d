/** Which key a request presents, and what it may do. */
import type { IncomingHttpHeaders } from 'node:http';
import type { GatewayConfig, Policy } from '../../config/schema.ts';
import { policyOf } from '../config/load.ts';
import { GatewayError } from '../errors.ts';
import { hasScope, type Keys, mayUseTenant, type RefusalReason } from '../keys.ts';
import type { Scope, TokenRecord } from '../store/port.ts';

/** What an authenticated caller acts as. */
export interface Caller {
  readonly token: TokenRecord;
  readonly tenant: string;
  readonly policy: Policy;
}

/**
 * The presented key: `Authorization` with a scheme we know, then `X-API-Key`, then the body's `token`. The first one
 * present decides: a bad header is not forgiven for a good body.
 */
export function presentedKey(headers: IncomingHttpHeaders, bodyToken: string | null): string | null {
  const match = /^(?:bearer|token)[ \t]+(.*)$/i.exec(headers.authorization ?? ''); // linear: one class after a literal
  const fromScheme = match?.[1]?.trim();
  if (fromScheme) return fromScheme;
  const header = headers['x-api-key'];
  const fromHeader = (Array.isArray(header) ? header[0] : header)?.trim();
  if (fromHeader) return fromHeader;
  return bodyToken?.trim() ? bodyToken.trim() : null;
}

/** The state of a refused key, in the words of the validate API. */
export class Refused extends GatewayError {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason) {
    super('invalid_api_key');
    this.reason = reason;
  }
}

/** Throws `Refused`, or `permission_denied` when the key lacks the scope or the tenant. */
export async function authenticate(
  deps: { keys: Keys; config: GatewayConfig },
  key: string | null,
  scope: Scope,
  wantedTenant: string | null,
): Promise<Caller> {
  const result = key === null ? ({ kind: 'refused', reason: 'not_found' } as const) : await deps.keys.authenticate(key);
  if (result.kind === 'refused') throw new Refused(result.reason);
  const { token } = result;
  if (!hasScope(token, scope)) throw new GatewayError('permission_denied');
  const tenant = wantedTenant ?? token.defaultTenant;
  const policy = mayUseTenant(token, tenant) ? policyOf(deps.config, tenant) : null;
  if (policy === null) {
    throw new GatewayError('permission_denied', {
      message: 'The API key may not act for this tenant.',
      param: '/tenant',
    });
  }
  return { token, tenant, policy };
}
