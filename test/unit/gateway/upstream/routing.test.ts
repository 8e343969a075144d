/** Which provider a request goes to, in which form, and when one is left alone. */
import { describe, expect, it } from 'vitest';
import type { ProviderConfig, ProviderKind, SurfaceId } from '../../../../config/schema.ts';
import { GatewayError } from '../../../../gateway/errors.ts';
import type { RouteQuery } from '../../../../gateway/upstream/port.ts';
import { CHAT, chat, deadOrigin, type Made, make, type Setup, send, server } from './setup.ts';

const NOWHERE = 'http://127.0.0.1:9';
const compatible = (extra: Partial<ProviderConfig> = {}): ProviderConfig => ({
  kind: 'openai-compatible',
  url: NOWHERE,
  ...extra,
});

/** Name of the provider, or the code of the refusal. */
function routed({ providers }: Made, query: Partial<RouteQuery>): string {
  try {
    return providers.route({ surface: 'chat', model: null, provider: null, ...query }).provider;
  } catch (error) {
    if (error instanceof GatewayError) return error.code;
    throw error;
  }
}

describe('the provider of a request', () => {
  const made = () =>
    make({
      providers: { claude: { kind: 'anthropic' }, local: compatible(), gpt: { kind: 'openai' }, rest: compatible() },
      routes: [
        { provider: 'claude', models: ['claude-*'], surfaces: ['messages'] },
        { provider: 'gpt', models: ['gpt-*', 'o?', 'exact'] },
        { provider: 'local', models: ['*-7b-*', '*:free'], fallback: [{ provider: 'gpt', model: 'gpt-small' }] },
        { provider: 'local', surfaces: ['embeddings'] },
      ],
      default: 'rest',
    });

  it.each([
    [{ model: 'gpt-5' }, 'gpt'],
    [{ model: 'gpt-' }, 'gpt'],
    [{ model: 'exact' }, 'gpt'],
    [{ model: 'exactly' }, 'rest'],
    // No pattern language but the star.
    [{ model: 'o1' }, 'rest'],
    [{ model: 'my-7b-chat' }, 'local'],
    [{ model: 'any:free' }, 'local'],
    [{ model: 'claude-x' }, 'rest'],
    [{ model: 'claude-x', surface: 'messages' }, 'claude'],
    [{ model: 'other', surface: 'embeddings' }, 'local'],
    [{ model: 'gpt-5', surface: 'embeddings' }, 'gpt'],
    [{ model: null }, 'rest'],
    [{ model: null, surface: 'models' }, 'rest'],
    [{ model: 'gpt-5', provider: 'rest' }, 'rest'],
    [{ model: 'gpt-5', provider: 'nobody' }, 'not_found'],
    [{ model: 'gpt-5', provider: 'constructor' }, 'not_found'],
    [{ model: 'gpt-5', surface: 'messages' }, 'endpoint_not_offered'],
    [{ provider: 'claude' }, 'endpoint_not_offered'],
  ] as const)('of %j is %s', (query, provider) => {
    expect(routed(made(), query)).toBe(provider);
  });

  it('has no fallback when the caller names it', async () => {
    const b = await server('b');
    const both = make({
      providers: { a: compatible({ url: await deadOrigin() }), b: compatible({ url: b.url }) },
      routes: [{ provider: 'a', fallback: [{ provider: 'b' }] }],
      default: 'a',
    });
    expect((await send(chat(both, 'own', 'a'))).outcome).toBe('upstream_unreachable');
    expect((await send(chat(both, 'own'))).text).toBe('b');
  });

  it('passes over fallbacks that do not have the endpoint', async () => {
    const c = await server('c');
    const three = make({
      providers: {
        a: compatible({ url: await deadOrigin() }),
        b: { kind: 'anthropic', url: await deadOrigin() },
        c: compatible({ url: c.url }),
      },
      routes: [{ provider: 'a', fallback: [{ provider: 'b' }, { provider: 'c' }] }],
      default: 'a',
    });
    expect((await send(chat(three))).text).toBe('c');
    expect(three.outcomes).toEqual(['a unreachable', 'a unreachable', 'c ok']);
  });

  it.each<[string, Setup, string]>([
    ['the one of the environment', { environment: { url: NOWHERE, key: null, model: null } }, 'default'],
    [
      'the one of the environment beside others',
      { environment: { url: NOWHERE, key: null, model: null }, providers: { other: compatible() } },
      'default',
    ],
    ['the only one', { providers: { only: compatible() } }, 'only'],
    ['the one called default', { providers: { other: compatible(), default: compatible() } }, 'default'],
    ['the named one', { providers: { one: compatible(), two: compatible() }, default: 'two' }, 'two'],
    ['the demo', { demoUrl: NOWHERE }, 'demo'],
  ])('is %s where no route fits', (_which, setup, name) => {
    expect(routed(make(setup), {})).toBe(name);
  });
});

describe('the model', () => {
  it('is replaced by that of the route, and by that of each fallback', async () => {
    const b = await server('b');
    const made = make({
      providers: { a: compatible({ url: await deadOrigin() }), b: compatible({ url: b.url, model: 'default-of-b' }) },
      routes: [
        { provider: 'a', models: ['named'], fallback: [{ provider: 'b', model: 'for-b' }] },
        { provider: 'b', models: ['alias'], model: 'real' },
        { provider: 'a', fallback: [{ provider: 'b' }] },
      ],
      default: 'a',
    });
    for (const model of ['named', 'alias', 'other', null]) await send(chat(made, model));
    const models = b.seen.map(({ body }) => (JSON.parse(body) as { model: string }).model);
    expect(models).toEqual(['for-b', 'real', 'own', 'default-of-b']);
  });

  it('of calls that name none is that of the route, of the provider, or the first of its list', async () => {
    const listed = await server('list', (response) => response.end('{"data":[{"id":"first"},{"id":"second"}]}'));
    const made = make({
      providers: { asked: compatible({ url: `${listed.url}/v1` }), told: compatible({ model: 'configured' }) },
      routes: [{ provider: 'asked', surfaces: ['responses'], model: 'of-route' }],
      default: 'asked',
    });
    const model = (query: Partial<RouteQuery>) =>
      made.providers.route({ surface: 'chat', model: null, provider: null, ...query }).defaultModel();
    expect(await model({ surface: 'responses' })).toBe('of-route');
    expect(await model({ provider: 'told' })).toBe('configured');
    expect([await model({}), await model({})]).toEqual(['first', 'first']);
    expect(listed.seen.map(({ url }) => url)).toEqual(['/v1/models']);
  });

  it('of a passthrough provider is not asked for without a key', async () => {
    const listed = await server('list');
    const made = make({ providers: { own: { kind: 'openai', url: listed.url, auth: 'passthrough' } } });
    expect(await chat(made).defaultModel()).toBeNull();
    expect(listed.seen).toEqual([]);
  });
});

describe('the place at the provider', () => {
  const PATHS: Partial<Record<SurfaceId, string>> = {
    chat: '/chat/completions',
    completions: '/completions',
    embeddings: '/embeddings',
    responses: '/responses',
    messages: '/messages',
    models: '/models',
    relay: '/audio/speech',
  };

  interface PlaceOptions {
    readonly base?: string;
    readonly query?: string;
    readonly model?: string;
    readonly path?: string;
    readonly apiVersion?: string;
  }

  async function placeOf(
    kind: ProviderKind,
    surface: SurfaceId,
    { base = '', query = '', model = 'm', path = PATHS[surface] ?? '', ...extra }: PlaceOptions = {},
  ): Promise<string> {
    const target = await server('x');
    const made = make({ providers: { it: { kind, url: target.url + base, ...extra } } });
    const sink = await send(made.providers.route({ surface, model, provider: null }), { path, query });
    return target.seen[0]?.url ?? sink.outcome;
  }

  it.each<[ProviderKind, SurfaceId, PlaceOptions, string]>([
    ['openai', 'chat', { base: '/v1' }, '/v1/chat/completions'],
    ['openai-compatible', 'messages', { base: '/api/v1/' }, '/api/v1/messages'],
    ['openai', 'relay', { base: '/v1', query: '?a=b%20c' }, '/v1/audio/speech?a=b%20c'],
    ['anthropic', 'messages', { base: '/v1', query: '?beta=true' }, '/v1/messages?beta=true'],
    ['azure', 'chat', {}, '/openai/v1/chat/completions'],
    ['azure', 'chat', { query: '?api-version=2024-01-01&a=b' }, '/openai/v1/chat/completions?a=b'],
    ['azure', 'responses', { base: '/openai/v1/' }, '/openai/v1/responses'],
    ['azure', 'models', { base: '/openai' }, '/openai/v1/models'],
  ])('of %s for %s with %j is %s', async (kind, surface, options, expected) => {
    expect(await placeOf(kind, surface, options)).toBe(expected);
  });

  it.each<[SurfaceId, PlaceOptions, string]>([
    ['chat', {}, '/openai/deployments/m/chat/completions?api-version=2024-10-21'],
    ['chat', { base: '/openai' }, '/openai/deployments/m/chat/completions?api-version=2024-10-21'],
    ['embeddings', { model: 'a b%é' }, '/openai/deployments/a%20b%25%C3%A9/embeddings?api-version=2024-10-21'],
    [
      'completions',
      { base: '/x/openai/v1', query: '?x=1&api%2Dversion=other' },
      '/x/openai/deployments/m/completions?x=1&api-version=2024-10-21',
    ],
    ['responses', { query: '?api-version=other' }, '/openai/responses?api-version=2024-10-21'],
    ['relay', {}, '/openai/audio/speech?api-version=2024-10-21'],
  ])('of azure with a version for %s with %j is %s', async (surface, options, expected) => {
    expect(await placeOf('azure', surface, { ...options, apiVersion: '2024-10-21' })).toBe(expected);
  });

  it.each(['a/b', '..', '.', '', 'a..b', 'a\\b', 'a?b', 'a#b', 'a\ud800'])(
    'of azure refuses the model %j like one that does not exist',
    (model) => {
      const made = make({ providers: { it: { kind: 'azure', url: NOWHERE, apiVersion: '2024-10-21' } } });
      expect(routed(made, { model })).toBe('not_found');
    },
  );

  it('of azure with a version needs a model', () => {
    const azure: ProviderConfig = { kind: 'azure', url: NOWHERE, apiVersion: '2024-10-21' };
    expect(routed(make({ providers: { it: azure } }), {})).toBe('invalid_request');
    expect(routed(make({ providers: { it: { ...azure, model: 'm' } } }), {})).toBe('it');
    expect(routed(make({ providers: { it: azure } }), { surface: 'responses' })).toBe('it');
  });

  it.each([
    ['/responses/../files', ''],
    ['/responses/%2e%2E/files', ''],
    ['/responses/.', ''],
    ['/responses/a%2f..%2ffiles', ''],
    ['/responses/a%5cb', ''],
    ['/responses/a%252e', ''],
    ['/responses/a\\b', ''],
    ['/responses/a?b', ''],
    ['/responses/a b', ''],
    ['/responses/a', '?a#b'],
    ['/responses/a', '?a b'],
    ['/responses/a', 'a=b'],
    ['/responses/a', '?a\r\nb'],
  ])('is never outside the endpoint: %j %j', async (path, query) => {
    expect(await placeOf('openai-compatible', 'responses', { base: '/v1', path, query })).toBe('not_found');
  });
});

describe('a provider that keeps failing', () => {
  const upstream = { breaker: { failuresMax: 2, openMs: 10_000 }, attemptsMax: 1 };

  it('is not left alone for a 500, which one prompt can cause again and again', async () => {
    const a = await server('a', (response) => response.writeHead(500).end());
    const made = make({ providers: { a: compatible({ url: a.url }) }, upstream });
    for (let call = 0; call < 4; call += 1) expect((await send(chat(made))).head?.status).toBe(500);
    expect(a.seen).toHaveLength(4);
  });

  it('is left alone for a while, then tried once, then used again', async () => {
    let clock = 0;
    let status = 503;
    const a = await server('a', (response) => response.writeHead(status).end());
    const made = make({ providers: { a: compatible({ url: a.url }) }, upstream, now: () => clock });
    for (let call = 0; call < 2; call += 1) expect((await send(chat(made))).head?.status).toBe(503);
    clock = 8500;
    const refused = await send(chat(made));
    expect([refused.outcome, refused.errors[0]?.status, refused.errors[0]?.retryAfter]).toEqual([
      'upstream_unavailable',
      503,
      2,
    ]);
    clock = 10_000;
    expect((await send(chat(made))).head?.status).toBe(503);
    expect((await send(chat(made))).errors[0]?.retryAfter).toBe(10);
    clock = 20_000;
    status = 200;
    for (let call = 0; call < 2; call += 1) expect((await send(chat(made))).outcome).toBe('end');
    expect(made.outcomes.map((line) => line.slice(2))).toEqual(
      'refused refused skipped refused skipped ok ok'.split(' '),
    );
    expect(made.changes).toEqual(['a closed', 'a open', 'a open', 'a closed']);
    expect(a.seen).toHaveLength(5);
  });

  it('is passed over for the fallback', async () => {
    const [a, b] = [await server('a', (response) => response.writeHead(503).end()), await server('b')];
    const made = make({
      providers: { a: compatible({ url: a.url }), b: compatible({ url: b.url }) },
      routes: [{ provider: 'a', fallback: [{ provider: 'b' }] }],
      default: 'a',
      upstream,
    });
    for (let call = 0; call < 4; call += 1) await send(chat(made));
    expect(made.outcomes).toEqual(['a refused', 'a refused', 'a skipped', 'b ok', 'a skipped', 'b ok']);
  });

  it('is not one that says 429 or refuses a request', async () => {
    const statuses = [429, 400, 401, 404, 429, 429];
    const a = await server('a', (response) => response.writeHead(statuses.shift() ?? 200).end());
    const made = make({ providers: { a: compatible({ url: a.url }) }, upstream });
    const outcomes: string[] = [];
    for (let call = 0; call < 7; call += 1) outcomes.push((await send(chat(made))).outcome);
    expect(outcomes).toEqual(['end', 'end', 'provider_key_refused', 'end', 'end', 'end', 'end']);
    expect(made.changes).toEqual(['a closed']);
  });

  it.each<[string, Parameters<typeof server>[1]]>([
    ['breaks its answers off', (response) => response.write('x', () => setTimeout(() => response.destroy(), 10))],
    ['stays silent', () => {}],
    ['redirects', (response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end()],
  ])('is one that %s', async (_what, answer) => {
    const a = await server('a', answer);
    const made = make({
      providers: { a: compatible({ url: a.url }) },
      upstream,
      timeouts: { upstreamHeaderMs: 100 },
    });
    for (let call = 0; call < 3; call += 1) await send(chat(made));
    expect([made.changes, a.seen.length]).toEqual([['a closed', 'a open'], 2]);
  });

  it('counts in the second try too, which an open breaker prevents', async () => {
    const made = make({
      providers: { a: compatible({ url: await deadOrigin() }) },
      upstream: { ...upstream, attemptsMax: 3 },
    });
    expect((await send(chat(made))).outcome).toBe('upstream_unreachable');
    expect((await send(chat(made))).outcome).toBe('upstream_unavailable');
    expect(made.outcomes).toEqual(['a unreachable', 'a unreachable', 'a skipped']);
  });

  it('is tried by the next request when the one that tried it left', async () => {
    let clock = 0;
    let status = 503;
    const a = await server('a', (response) => {
      if (status !== 0) response.writeHead(status).end();
    });
    const made = make({ providers: { a: compatible({ url: a.url }) }, upstream, now: () => clock });
    for (let call = 0; call < 2; call += 1) await send(chat(made));
    clock = 10_000;
    status = 0;
    const nobody = { onHead: () => {}, onData: () => {}, onEnd: () => {}, onError: () => {} };
    const trial = chat(made).call(CHAT, nobody);
    expect((await send(chat(made))).outcome).toBe('upstream_unavailable');
    trial.abort();
    status = 200;
    expect((await send(chat(made))).outcome).toBe('end');
    expect(made.changes.at(-1)).toBe('a closed');
  });
});
