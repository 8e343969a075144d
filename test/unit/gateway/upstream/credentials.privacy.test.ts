/** Whose key goes where: ours in the form of each provider, the caller's only where it is asked for. */
import type { IncomingHttpHeaders } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { ProviderConfig, ProviderKind } from '../../../../config/schema.ts';
import { callersOwnKey, presentedKey } from '../../../../gateway/http/auth.ts';
import { chat, make, send, server } from './setup.ts';

const OURS = 'our-provider-key';
const CREDENTIALS = ['authorization', 'x-api-key', 'api-key', 'x-portcullis-key', 'cookie'];

/** The credentials that arrive, or the code of the refusal. */
async function arriving(
  provider: Omit<ProviderConfig, 'url'>,
  headers: IncomingHttpHeaders,
): Promise<Record<string, unknown> | string> {
  const it = await server('x');
  const made = make({
    providers: { it: { ...provider, url: it.url } },
    env: { THE_KEY: OURS, PORTCULLIS_API_KEY: ' key-of-the-environment-0001 ' },
  });
  const surface = provider.kind === 'anthropic' ? 'messages' : 'chat';
  const sink = await send(made.providers.route({ surface, model: 'm', provider: null }), { headers });
  const seen = it.seen[0]?.headers;
  if (seen === undefined) return sink.outcome;
  return Object.fromEntries(CREDENTIALS.flatMap((name) => (seen[name] === undefined ? [] : [[name, seen[name]]])));
}

describe('our key', () => {
  it.each<[ProviderKind, Record<string, string>]>([
    ['openai', { authorization: `Bearer ${OURS}` }],
    ['openai-compatible', { authorization: `Bearer ${OURS}` }],
    ['azure', { 'api-key': OURS }],
    ['anthropic', { 'x-api-key': OURS }],
  ])('goes to %s in its form, and no key of the caller with it', async (kind, expected) => {
    const callers = {
      authorization: 'Bearer callers',
      'x-api-key': 'callers',
      'api-key': 'callers',
      'x-portcullis-key': 'callers',
      cookie: 'callers=1',
    };
    expect(await arriving({ kind, keyEnv: 'THE_KEY' }, callers)).toEqual(expected);
    expect(await arriving({ kind }, callers)).toEqual({});
  });
});

describe('the key of the caller', () => {
  const passthrough = (kind: ProviderKind) => ({ kind, auth: 'passthrough' }) as const;

  it.each<[ProviderKind, IncomingHttpHeaders, Record<string, string>]>([
    ['openai', { authorization: 'Bearer callers' }, { authorization: 'Bearer callers' }],
    ['openai', { 'api-key': 'callers' }, { authorization: 'Bearer callers' }],
    ['azure', { 'api-key': 'callers' }, { 'api-key': 'callers' }],
    ['azure', { authorization: 'bearer  callers ' }, { 'api-key': 'callers' }],
    ['anthropic', { 'x-api-key': 'callers' }, { 'x-api-key': 'callers' }],
    ['openai-compatible', { 'x-api-key': 'callers' }, { authorization: 'Bearer callers' }],
  ])('goes to %s from %j as %j when the gateway has a key of its own', async (kind, headers, expected) => {
    expect(await arriving(passthrough(kind), { ...headers, 'x-portcullis-key': 'gateway' })).toEqual(expected);
  });

  it.each<[string, IncomingHttpHeaders]>([
    ['it may be the key of the gateway', { authorization: 'Bearer gateway' }],
    ['it may be the key of the gateway, elsewhere', { 'api-key': 'gateway', 'x-api-key': 'gateway' }],
    ['the header for the gateway is blank', { authorization: 'Bearer gateway', 'x-portcullis-key': ' ' }],
    ['it is the key of the gateway', { authorization: 'Bearer gateway', 'x-portcullis-key': 'gateway' }],
    ['there is none', { 'x-portcullis-key': 'gateway' }],
    ['it has another scheme', { authorization: 'Basic Y2FsbGVyczp4', 'x-portcullis-key': 'gateway' }],
    [
      'it is another key that the gateway made',
      { authorization: `Bearer pck_${'a'.repeat(43)}`, 'x-portcullis-key': 'gateway' },
    ],
    [
      'it is the key that the environment gives',
      { 'api-key': 'key-of-the-environment-0001', 'x-portcullis-key': 'gateway' },
    ],
    ['it has blanks', { 'x-api-key': 'a b', 'x-portcullis-key': 'gateway' }],
    ['it is too long', { 'x-api-key': 'a'.repeat(8193), 'x-portcullis-key': 'gateway' }],
  ])('is not sent when %s', async (_why, headers) => {
    expect(await arriving(passthrough('openai'), headers)).toBe('provider_key_required');
  });

  it('does not travel on to a fallback with a key of ours, nor ours to one without', async () => {
    const [a, b] = [await server('a', (response) => response.writeHead(503).end()), await server('b')];
    const made = make({
      providers: {
        own: { kind: 'openai', url: a.url, auth: 'passthrough' },
        ours: { kind: 'openai', url: b.url, keyEnv: 'THE_KEY' },
      },
      routes: [
        { provider: 'own', models: ['one'], fallback: [{ provider: 'ours' }] },
        { provider: 'ours', models: ['two'], fallback: [{ provider: 'own' }] },
      ],
      default: 'own',
      env: { THE_KEY: OURS },
      upstream: { fallbackStatuses: [503] },
    });
    await send(chat(made, 'one'), { headers: { authorization: 'Bearer callers', 'x-portcullis-key': 'gateway' } });
    await send(chat(made, 'two'), { headers: { authorization: 'Bearer gateway' } });
    expect(a.seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer callers']);
    expect(b.seen.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${OURS}`, `Bearer ${OURS}`]);
  });

  it('passes by a fallback that would need it', async () => {
    const [a, b] = [await server('a', (response) => response.writeHead(503).end('busy')), await server('b')];
    const made = make({
      providers: { ours: { kind: 'openai', url: a.url }, own: { kind: 'openai', url: b.url, auth: 'passthrough' } },
      routes: [{ provider: 'ours', fallback: [{ provider: 'own' }] }],
      default: 'ours',
      upstream: { fallbackStatuses: [503] },
    });
    const sink = await send(chat(made), { headers: { authorization: 'Bearer gateway' } });
    expect([sink.text, b.seen.length]).toEqual(['busy', 0]);
  });
});

describe('headers of a provider', () => {
  async function headersAt(provider: Omit<ProviderConfig, 'url'>, headers: IncomingHttpHeaders) {
    const it = await server('x');
    const made = make({ providers: { it: { ...provider, url: it.url } } });
    const surface = provider.kind === 'anthropic' ? 'messages' : 'chat';
    await send(made.providers.route({ surface, model: 'm', provider: null }), { headers });
    return it.seen[0]?.headers ?? {};
  }

  it('are sent with every request, in place of the client’s', async () => {
    const extra = { 'x-team': 'blue', 'openai-project': 'ours', 'user-agent': 'acme' };
    const seen = await headersAt(
      { kind: 'openai', headers: extra },
      { 'openai-project': 'theirs', 'user-agent': 'sdk' },
    );
    expect(seen).toMatchObject(extra);
  });

  it('name the version that Anthropic asks for, the client’s if it has one', async () => {
    expect((await headersAt({ kind: 'anthropic' }, {}))['anthropic-version']).toBe('2023-06-01');
    const sent = { 'anthropic-version': '2024-01-01', 'anthropic-beta': 'a,b' };
    expect(await headersAt({ kind: 'anthropic' }, sent)).toMatchObject(sent);
    expect((await headersAt({ kind: 'openai' }, {}))['anthropic-version']).toBeUndefined();
  });
});

describe('the key for the gateway', () => {
  it.each<[IncomingHttpHeaders, string | null, string | null]>([
    [
      { 'x-portcullis-key': 'one', authorization: 'Bearer two', 'x-api-key': 'three', 'api-key': 'four' },
      'five',
      'one',
    ],
    [{ authorization: 'Bearer two', 'x-api-key': 'three', 'api-key': 'four' }, 'five', 'two'],
    [{ 'x-api-key': 'three', 'api-key': 'four' }, 'five', 'three'],
    [{ 'api-key': ' four ' }, 'five', 'four'],
    [{ 'x-portcullis-key': ' ', authorization: 'Basic x' }, 'five', 'five'],
    [{}, null, null],
    [{}, ' ', null],
  ])('of %j and body %j is %j', (headers, body, expected) => {
    expect(presentedKey(headers, body)).toBe(expected);
  });

  it('is never taken for one of the caller', () => {
    expect(callersOwnKey({ authorization: 'Bearer gateway' }, null)).toBeNull();
    expect(callersOwnKey({ 'x-portcullis-key': 'gateway', authorization: 'Bearer gateway' }, null)).toBeNull();
  });
});
