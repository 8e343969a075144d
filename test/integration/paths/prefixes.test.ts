/** Every prefix leads to the same guarded endpoints, and those that name a provider to that one. */
import { describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import { RawClient, WAIT_MS } from '../chat/support.ts';
import { errorView, send } from '../responses/support.ts';
import { CHAT, DEPLOYMENT, HOSTILE, PLAIN_PREFIXES, ROUTES, useBench, WEST, WEST_PREFIXES } from './support.ts';

const bench = useBench();

const seen = () => bench.first.requests.length + bench.west.requests.length;
const CANARY = /ref: [0-9a-f]{32}\b/;
const NOT_FOUND = '{"detail":"Not Found"}';

describe.each(ROUTES.map((route) => [route.url, route] as const))('POST %s', (_, route) => {
  it('reaches its provider at the plain path, with a canary where it has a place', async () => {
    const answer = await send(bench.gateway, route.url, { method: 'POST', body: route.body('Hello') });
    expect(answer.status, answer.text).toBe(200);
    expect(seen()).toBe(1);
    const request = bench[route.provider].last;
    expect(request.path).toBe(`/v1${route.path}`);
    expect(CANARY.test(request.text)).toBe(route.planted);
    expect(answer.text).not.toMatch(CANARY);
    expect((request.json as { model: string }).model).toBe(route.deployment ?? 'm');
  });

  it('is guarded', async () => {
    const answer = await send(bench.gateway, route.url, { method: 'POST', body: route.body(HOSTILE) });
    expect([answer.status, errorView(answer).error.code, seen()]).toEqual([400, 'content_filter', 0]);
  });

  it('needs a key', async () => {
    const door = { url: bench.gateway.url, key: 'none' };
    const answer = await send(door, route.url, { method: 'POST', body: route.body('Hello') });
    expect([answer.status, seen()]).toEqual([401, 0]);
  });
});

describe('stored responses and models', () => {
  it.each([...PLAIN_PREFIXES, '/openai', ...WEST_PREFIXES])('are served below %s', async (prefix) => {
    const mock = prefix.includes(WEST) ? bench.west : bench.first;
    mock.models = ['mock-model', 'org/large:model'];
    const ask = (path: string, method = 'GET') => send(bench.gateway, prefix + path, { method });
    const body = { model: 'm', instructions: 'Be kind.', input: 'Hello' };
    const { id } = JSON.parse((await send(bench.gateway, `${prefix}/responses`, { method: 'POST', body })).text) as {
      id: string;
    };
    for (const [path, method] of [
      [`/${id}`, 'GET'],
      [`/${id}?stream=true`, 'GET'],
      [`/${id}/input_items`, 'GET'],
      [`/${id}/cancel`, 'POST'],
      [`/${id}`, 'DELETE'],
    ] as const) {
      expect((await ask(`/responses${path}`, method)).status).toBe(200);
      expect(mock.last.path + (mock.last.query === '' ? '' : `?${mock.last.query}`)).toBe(`/v1/responses${path}`);
    }
    expect((await ask('/models')).text).toContain('"org/large:model"');
    for (const model of ['mock-model', 'org/large:model', 'org%2Flarge%3Amodel']) {
      const answer = await ask(`/models/${model}`);
      expect([answer.status, JSON.parse(answer.text)]).toMatchObject([200, { id: decodeURIComponent(model) }]);
    }
    expect(seen()).toBe(mock.requests.length);
  });
});

describe('a deployment in the path', () => {
  it.each(['/openai', `/openai/${WEST}/openai`])('wins over the model of the body below %s', async (prefix) => {
    const mock = prefix === '/openai' ? bench.first : bench.west;
    const path = `${prefix}/deployments/${encodeURIComponent('name with ü&"')}/chat/completions`;
    for (const body of [
      '{ "model" : "other", "messages":[{"role":"user","content":"Hi"}] }',
      '{ "messages":[{"role":"user","content":"Hi"}] }',
      '{ "model":null, "messages":[{"role":"user","content":"Hi"}] }',
    ]) {
      expect((await send(bench.gateway, path, { method: 'POST', body })).status).toBe(200);
      expect(mock.last.json).toEqual({ model: 'name with ü&"', messages: [{ role: 'user', content: 'Hi' }] });
    }
  });

  it('that is the one of the body changes no byte', async () => {
    const body = `{ "model" : "${DEPLOYMENT}", "messages":[{"role":"user","content":"Hi"}] }`;
    await send(bench.gateway, `/openai/deployments/${DEPLOYMENT}/chat/completions`, { method: 'POST', body });
    expect(bench.first.last.text).toBe(body);
  });
});

describe('a provider that does not exist', () => {
  const NAMES = [
    'nobody',
    'NOBODY',
    WEST.toUpperCase(),
    `${WEST}.`,
    `${WEST}%20`,
    '__proto__',
    'constructor',
    'toString',
    '%00',
    'a%0d%0ab',
    '..%2f',
    '%e4%bd%a0',
    '%ff',
    'x'.repeat(2_000),
    '*',
    ':provider',
    'v2',
  ];
  const TARGETS = NAMES.flatMap((name) => [
    [`POST /openai/${name}/chat/completions`],
    [`POST /openai/${name}/v1/responses`],
    [`POST /openai/${name}/openai/deployments/d/embeddings`],
    [`GET /openai/${name}/responses/resp_1`],
    [`GET /openai/${name}/v1/models/m`],
    [`POST /anthropic/${name}/v1/messages`],
  ]);

  it.each(TARGETS)('is not found: %s', async (target) => {
    const [method = '', path = ''] = target.split(' ');
    const answer = await send(bench.gateway, path, { method, ...(method === 'POST' && { body: '{' }) });
    expect([answer.status, answer.text, answer.headers.get('content-type')]).toEqual([
      404,
      NOT_FOUND,
      'application/json',
    ]);
    const stranger = await send({ url: bench.gateway.url, key: 'none' }, path, {
      method,
      ...(method === 'POST' && { body: '{' }),
    });
    expect(stranger.status).toBe(401);
    expect(seen()).toBe(0);
  });

  it.each(['/openai/nobody/chat/completions', '/anthropic/nobody/v1/messages'])(
    'is said before the body of %s is here',
    async (path) => {
      for (const length of [10, 10_000_000_000]) {
        const client = await RawClient.open(bench.gateway);
        const lines = [
          `POST ${path} HTTP/1.1`,
          'host: gateway.test',
          `authorization: Bearer ${bench.gateway.key}`,
          'content-type: application/json',
          `content-length: ${length}`,
        ];
        client.send(`${lines.join('\r\n')}\r\n\r\n{`);
        const answer = await client.whole();
        expect([answer.status, answer.body]).toEqual([404, NOT_FOUND]);
        client.close();
      }
    },
  );

  it('is said to a client that goes on sending', async () => {
    const body = Buffer.alloc(4_000_000, 32);
    const headers = { authorization: `Bearer ${bench.gateway.key}`, 'content-type': 'application/json' };
    const answer = await within(
      WAIT_MS,
      fetch(`${bench.gateway.url}/openai/nobody/chat/completions`, { method: 'POST', headers, body }),
      'the answer',
    );
    expect([answer.status, await answer.text()]).toEqual([404, NOT_FOUND]);
  });

  it('is said after what is wrong with the key', async () => {
    const key = await bench.gateway.createKey(['validate']);
    const answer = await send({ url: bench.gateway.url, key }, '/openai/nobody/chat/completions', {
      method: 'POST',
      body: {},
    });
    expect(answer.status).toBe(403);
  });
});

describe('a provider that a path names', () => {
  it('is asked for its own default where the body names no model', async () => {
    const { model: _unused, ...body } = CHAT.body('Hello') as { model: string };
    expect((await send(bench.gateway, `/openai/${WEST}/chat/completions`, { method: 'POST', body })).status).toBe(200);
    expect(bench.west.last.json).toMatchObject({ model: 'west-model' });
  });

  it("'s name may be encoded", async () => {
    const name = [...WEST].map((char) => `%${char.charCodeAt(0).toString(16)}`).join('');
    const answer = await send(bench.gateway, `/openai/${name}/chat/completions`, {
      method: 'POST',
      body: CHAT.body('Hello'),
    });
    expect([answer.status, bench.west.requests.length]).toEqual([200, 1]);
  });
});

describe('an Azure provider with a dated API', () => {
  const azure = useBench((config) => ({
    ...config,
    providers: {
      ...config.providers,
      dated: {
        kind: 'azure',
        url: config.providers[WEST]?.url?.replace(/\/v1$/, '') as string,
        apiVersion: '2024-10-21',
      },
    },
  }));

  it('is reached with the model of the body, which the path does not have to name', async () => {
    const answer = await send(azure.gateway, '/openai/dated/chat/completions', {
      method: 'POST',
      body: CHAT.body('Hello'),
    });
    expect(answer.status, answer.text).toBe(200);
    expect(azure.west.last.path).toBe('/openai/deployments/m/chat/completions');
    expect(azure.west.last.query).toBe('api-version=2024-10-21');
  });

  it('is reached with the deployment of the path, whatever version the client names', async () => {
    const path = '/openai/dated/openai/deployments/mine/chat/completions?api-version=2020-01-01';
    expect((await send(azure.gateway, path, { method: 'POST', body: CHAT.body('Hello') })).status).toBe(200);
    expect(azure.west.last.path).toBe('/openai/deployments/mine/chat/completions');
    expect(azure.west.last.query).toBe('api-version=2024-10-21');
  });

  it.each(['a%2fb', 'a%5cb', 'a%3fb', 'a%23b', 'a..b'])('has no deployment %s', async (name) => {
    azure.west.clear();
    const path = `/openai/dated/openai/deployments/${name}/chat/completions`;
    const answer = await send(azure.gateway, path, { method: 'POST', body: CHAT.body('Hello') });
    expect([errorView(answer).error.code, answer.status, azure.west.requests.length]).toEqual(['not_found', 404, 0]);
  });

  it('says which endpoints it does not have', async () => {
    const answer = await send(azure.gateway, '/openai/dated/moderations', { method: 'POST', body: { input: 'Hello' } });
    expect(errorView(answer)).toMatchObject({ status: 404, error: { code: 'endpoint_not_offered' } });
  });
});
