/** Which key a request presents, and what it may do. */
import { createHash, timingSafeEqual } from 'node:crypto';
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

/** Says which key is the gateway's where the caller sends a key of the provider as well. Never forwarded. */
const GATEWAY_KEY_HEADER = 'x-portcullis-key';
/** Every key that the gateway makes begins so. */
const GATEWAY_KEY_PREFIX = 'pck_';
/** What a header to a provider can carry. */
const CALLERS_KEY_CHARS_MAX = 8192;

/**
 * The presented key: `X-Portcullis-Key`, then `Authorization` with a scheme we know, then `X-API-Key` and `API-Key`,
 * then the body's `token`. The first one present decides: a bad header is not forgiven for a good body.
 */
export function presentedKey(headers: IncomingHttpHeaders, bodyToken: string | null): string | null {
  return headerValue(headers, GATEWAY_KEY_HEADER) ?? providerKey(headers) ?? (bodyToken?.trim() || null);
}

/**
 * The caller's own key of a provider. Null unless the caller proved itself to the gateway with another one: a key that
 * stands where the gateway's is looked for must never be forwarded, nor any other key of the gateway. Those are known
 * by their form; only the one that the environment gives may have another.
 */
export function callersOwnKey(headers: IncomingHttpHeaders, environmentKey: string | null): string | null {
  const ours = headerValue(headers, GATEWAY_KEY_HEADER);
  const theirs = providerKey(headers);
  if (ours === null || theirs === null || theirs === ours || theirs.length > CALLERS_KEY_CHARS_MAX) return null;
  if (theirs.startsWith(GATEWAY_KEY_PREFIX) || (environmentKey !== null && sameText(theirs, environmentKey)))
    return null;
  return /^[!-~]+$/.test(theirs) ? theirs : null; // linear: one class, anchored
}

/** Takes the same time wherever the first difference is. */
function sameText(a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => createHash('sha256').update(text).digest()) as [Buffer, Buffer];
  return timingSafeEqual(left, right);
}

/** In the places where SDKs put a key: OpenAI's, Anthropic's, Azure's. */
function providerKey(headers: IncomingHttpHeaders): string | null {
  const match = /^(?:bearer|token)[ \t]+(.*)$/i.exec(headers.authorization ?? ''); // linear: one class after a literal
  return match?.[1]?.trim() || headerValue(headers, 'x-api-key') || headerValue(headers, 'api-key');
}

function headerValue(headers: IncomingHttpHeaders, name: string): string | null {
  const header = headers[name];
  return (Array.isArray(header) ? header[0] : header)?.trim() || null;
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
