/** The address of a provider, as it stands in configuration. */
import { isRefusedAddress } from './address.ts';

export interface UpstreamUrl {
  readonly origin: string;
  /** Without a trailing slash; empty when the address has no path. */
  readonly basePath: string;
}

/**
 * Splits a base URL; a trailing slash is tolerated, `/v1` is neither added nor removed.
 * Throws an `Error` whose message never quotes the address, which may hold a credential.
 */
export function parseUpstreamUrl(url: string): UpstreamUrl {
  const text = url.trim();
  const parsed = URL.canParse(text) ? new URL(text) : null;
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new Error('expected an upstream address like https://api.example.com/v1');
  }
  if (parsed.username !== '' || parsed.password !== '' || /^[^/]*\/\/[^/?#]*@/.test(text))
    throw new Error('expected an upstream address without user name or password');
  if (text.includes('?') || text.includes('#'))
    throw new Error('expected an upstream address without query or fragment');
  if (isRefusedAddress(parsed.hostname)) throw new Error('expected an upstream address that is not link-local');
  return { origin: parsed.origin, basePath: parsed.pathname.replace(/\/+$/, '') };
}
