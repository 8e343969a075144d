/**
 * Which headers cross the gateway. Both ways are allow-lists from the configuration, and some names never pass
 * whatever a list says: credentials, cookies, framing, and everything that belongs to one connection.
 */
import type { IncomingHttpHeaders } from 'node:http';

/** A response header value above this is left out, since a cut value could mean something else. */
const VALUE_BYTES_MAX = 8 * 1024;

/** RFC 9110 7.6.1 and the headers that frame one message. */
const PER_CONNECTION = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'content-encoding',
];

/** The gateway sets these itself, or they carry the client's credentials or address. */
const NEVER_SENT = new Set([
  ...PER_CONNECTION,
  'authorization',
  'x-api-key',
  'api-key',
  'cookie',
  'forwarded',
  'via',
  'x-real-ip',
  'host',
  'expect',
  'accept',
  'accept-encoding',
  'content-type',
  'content-md5',
  'content-digest',
]);
const NEVER_SENT_PREFIXES = ['proxy-', 'x-forwarded-', 'x-portcullis-'];

/** `content-type` is handed on separately; cookies of a provider are none of the client's business. */
const NEVER_RETURNED = new Set([...PER_CONNECTION, 'content-type', 'content-md5', 'content-digest', 'set-cookie']);

/** Names in lower case; an entry that ends in `*` is a prefix. */
export class HeaderAllowList {
  readonly #names: ReadonlySet<string>;
  readonly #prefixes: readonly string[];

  constructor(entries: readonly string[]) {
    const lower = entries.map((entry) => entry.trim().toLowerCase()).filter((entry) => entry !== '');
    this.#names = new Set(lower.filter((entry) => !entry.endsWith('*')));
    this.#prefixes = lower.filter((entry) => entry.endsWith('*')).map((entry) => entry.slice(0, -1));
  }

  has(name: string): boolean {
    return this.#names.has(name) || this.#prefixes.some((prefix) => name.startsWith(prefix));
  }
}

/** Whether only the gateway itself may set this header on a request; names in lower case. */
export function isReservedHeader(name: string): boolean {
  return NEVER_SENT.has(name) || NEVER_SENT_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** The client's headers that go on to the provider. */
export function pickRequestHeaders(client: IncomingHttpHeaders, allowed: HeaderAllowList): Map<string, string> {
  const out = new Map<string, string>();
  const dropped = namedByConnection(client.connection);
  for (const name in client) {
    if (!allowed.has(name) || isReservedHeader(name) || dropped?.has(name)) continue;
    const value = joined(client[name]);
    if (value !== null) out.set(name, value);
  }
  return out;
}

/** The provider's headers that go on to the client. */
export function pickResponseHeaders(upstream: IncomingHttpHeaders, allowed: HeaderAllowList): Map<string, string> {
  const out = new Map<string, string>();
  const dropped = namedByConnection(upstream.connection);
  for (const name in upstream) {
    if (!allowed.has(name) || NEVER_RETURNED.has(name) || dropped?.has(name)) continue;
    const value = cleanValue(upstream[name]);
    if (value !== null) out.set(name, value);
  }
  return out;
}

/** A value that may be sent on and scanned as it is: printable ASCII within the size limit; else null. */
export function cleanValue(value: string | readonly string[] | undefined): string | null {
  const text = joined(value);
  // Linear: one character class, anchored.
  return text !== null && text.length <= VALUE_BYTES_MAX && /^[\t\x20-\x7e]*$/.test(text) ? text : null;
}

function joined(value: string | readonly string[] | undefined): string | null {
  if (value === undefined) return null;
  return typeof value === 'string' ? value : value.join(', ');
}

function namedByConnection(connection: string | readonly string[] | undefined): Set<string> | null {
  const text = joined(connection);
  if (text === null || text === 'keep-alive' || text === 'close') return null;
  return new Set(text.split(',').map((token) => token.trim().toLowerCase()));
}
