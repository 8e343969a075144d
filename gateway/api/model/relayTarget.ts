/** Which endpoint a raw request target names, for endpoints that are relayed unread. */
import { NEVER_RELAYED, type Policy } from '../../../config/schema.ts';

export interface RelayTarget {
  /** Named in the path, or null. */
  readonly provider: string | null;
  /** First below `/v1`. */
  readonly segment: string;
  /** Below the base URL, byte for byte as it came. */
  readonly path: string;
  /** Empty, or with its question mark. */
  readonly query: string;
}

const SEGMENT = /^[a-z][a-z0-9_-]*$/; // linear: one class, anchored
/**
 * What every server reads alike: no parameters behind a semicolon, and no encoded slash, backslash, dot, percent sign,
 * question mark, hash, semicolon or control character. Linear: each alternative begins with another character.
 */
const PLAIN = /^(?:[\w.~:@!$&'()*+,=-]|%(?!2[35ef]|3[bf]|5c|7f)[2-9a-f][0-9a-f])+$/i;
const QUERY = /^(?:\?[!-"$-~]*)?$/; // linear: one class, anchored

/**
 * Reads the target as it stands on the wire, since a normalised path can name another endpoint than the provider sees.
 * Null where any part of it could be read in two ways.
 */
export function relayTarget(url: string): RelayTarget | null {
  const mark = url.indexOf('?');
  const path = mark === -1 ? url : url.slice(0, mark);
  const query = mark === -1 ? '' : url.slice(mark);
  const [empty, ...segments] = path.split('/');
  const plain = segments.every((part) => PLAIN.test(part) && isUtf8(part) && part !== '.' && part !== '..');
  if (empty !== '' || !plain || !QUERY.test(query)) return null;
  const { provider, rest } = withoutPrefix(segments);
  const segment = rest[0];
  if (segment === undefined || !SEGMENT.test(segment)) return null;
  return { provider, segment, path: `/${rest.join('/')}`, query };
}

/** Bytes that are no UTF-8, such as overlong dots, are read by every server in its own way. */
function isUtf8(part: string): boolean {
  try {
    decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

/** Whether the policy lists the endpoint; inspected ones never count as listed. */
export function isListed(policy: Policy, segment: string): boolean {
  return Object.hasOwn(policy.relay, segment) && !NEVER_RELAYED.includes(segment);
}

/** `/v1`, `/openai/v1`, and those that name a provider, in Azure's form as well. */
function withoutPrefix(segments: readonly string[]): { provider: string | null; rest: readonly string[] } {
  const [first, second = null] = segments;
  if (first === 'v1') return { provider: null, rest: segments.slice(1) };
  if (first !== 'openai' || second === null) return { provider: null, rest: [] };
  if (second === 'v1') return { provider: null, rest: segments.slice(2) };
  const below = segments.slice(2);
  const inAzuresForm = below[0] === 'openai' ? below.slice(1) : below;
  return { provider: second, rest: inAzuresForm[0] === 'v1' ? inAzuresForm.slice(1) : inAzuresForm };
}
