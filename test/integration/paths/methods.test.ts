/** Which methods each kind of path has, and POST requests without a body. */
import { describe, expect, it } from 'vitest';
import { head, RawClient } from '../chat/support.ts';
import { createdId, good, RESPONSES, send } from '../responses/support.ts';
import { ROUTES, useBench, WEST, WEST_PREFIXES } from './support.ts';

const bench = useBench();
const seen = () => bench.first.requests.length + bench.west.requests.length;

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'];
const PREFIXES = ['/v1', '/openai/v1', '/openai', ...WEST_PREFIXES];
/** HEAD is GET without the body of the answer. */
const FAMILIES: readonly (readonly [path: string, allow: string])[] = [
  ...ROUTES.map(({ url }) => [url, 'POST'] as const),
  ...PREFIXES.flatMap((prefix) => [
    [`${prefix}/responses/resp_1`, 'GET, DELETE'] as const,
    [`${prefix}/responses/resp_1/input_items`, 'GET'] as const,
    [`${prefix}/responses/resp_1/cancel`, 'POST'] as const,
    [`${prefix}/models`, 'GET'] as const,
    [`${prefix}/models/org/model`, 'GET'] as const,
  ]),
];

describe('a method that a path does not have', () => {
  it.each(FAMILIES)('is 405 with those it has: %s has %s', async (path, allow) => {
    const allowed = allow.split(', ');
    const other = METHODS.filter(
      (method) => !allowed.includes(method) && !(method === 'HEAD' && allowed.includes('GET')),
    );
    for (const method of other) {
      const answer = await send(bench.gateway, path, { method });
      expect([method, answer.status, answer.headers.get('allow')]).toEqual([method, 405, allow]);
      if (method !== 'HEAD') expect(answer.text).toContain('"code":"method_not_allowed"');
    }
    expect(seen()).toBe(0);
  });

  it('is said in the words of each API', async () => {
    const openai = await send(bench.gateway, '/v1/chat/completions');
    expect(Object.keys(JSON.parse(openai.text))).toEqual(['error']);
    const anthropic = await send(bench.gateway, `/anthropic/${WEST}/v1/messages`);
    expect(JSON.parse(anthropic.text)).toMatchObject({ type: 'error', error: { code: 'method_not_allowed' } });
  });
});

describe('HEAD', () => {
  it('answers like GET, without the body', async () => {
    const got = await send(bench.gateway, '/v1/models');
    const asked = await send(bench.gateway, '/v1/models', { method: 'HEAD' });
    expect([asked.status, asked.text, asked.headers.get('content-length')]).toEqual([
      200,
      '',
      String(Buffer.byteLength(got.text)),
    ]);
  });

  it('needs a key like GET', async () => {
    expect((await send({ url: bench.gateway.url, key: 'none' }, '/v1/models', { method: 'HEAD' })).status).toBe(401);
  });
});

describe('POST /responses/{id}/cancel', () => {
  const cancel = (id: string) => `${RESPONSES}/${id}/cancel`;

  it.each([
    ['nothing at all', [], ''],
    ['an empty body', ['content-length: 0'], ''],
    ['an empty body of a JSON type', ['content-type: application/json', 'content-length: 0'], ''],
    ['an empty object', ['content-type: application/json', 'content-length: 2'], '{}'],
    ['an object in chunks', ['content-type: application/json', 'transfer-encoding: chunked'], '2\r\n{}\r\n0\r\n\r\n'],
    ['a body of no type', ['content-length: 4'], 'null'],
  ])('with %s is forwarded without a body, and the connection serves on', async (_, lines, body) => {
    const id = await createdId(bench.gateway);
    const client = await RawClient.open(bench.gateway);
    const start = [
      `POST ${cancel(id)} HTTP/1.1`,
      'host: gateway.test',
      `authorization: Bearer ${bench.gateway.key}`,
      ...lines,
    ];
    client.send(`${start.join('\r\n')}\r\n\r\n${body}`);
    const answer = await client.whole();
    expect([answer.status, (JSON.parse(answer.body) as { status: string }).status]).toEqual([200, 'cancelled']);
    const { method, path, rawBody, headers } = bench.first.last;
    expect([method, path, rawBody.length]).toEqual(['POST', `/v1/responses/${id}/cancel`, 0]);
    expect(headers['content-type']).toBeUndefined();
    client.text = '';
    client.send(head(bench.gateway, [], 'GET /v1/models HTTP/1.1'));
    expect((await client.whole()).status).toBe(200);
    client.close();
  });

  it('is not held up by a body that never comes', async () => {
    const id = await createdId(bench.gateway);
    const client = await RawClient.open(bench.gateway);
    client.send(head(bench.gateway, ['content-length: 100000'], `POST ${cancel(id)} HTTP/1.1`));
    expect((await client.whole()).status).toBe(200);
    client.close();
  });

  it('leaves a response that says so', async () => {
    const id = await createdId(bench.gateway);
    expect(good(await send(bench.gateway, cancel(id), { method: 'POST' })).status).toBe('cancelled');
    expect(good(await send(bench.gateway, `${RESPONSES}/${id}`)).status).toBe('cancelled');
  });
});
