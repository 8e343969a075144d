import type { IncomingHttpHeaders } from 'node:http';
import { describe, expect, it } from 'vitest';
import { client, fetchAll, httpServer, rawServer } from './harness.ts';

/** The headers the provider sees for one call. */
async function sent(
  headers: IncomingHttpHeaders,
  requestHeaders: string[],
  apiKey: string | null = 'provider-key',
): Promise<IncomingHttpHeaders> {
  let seen: IncomingHttpHeaders = {};
  const origin = await httpServer((request, response) => {
    seen = request.headers;
    response.end();
  });
  const sink = await fetchAll(client(origin, { requestHeaders }, apiKey), { headers });
  expect(sink.outcome).toBe('end');
  delete seen.host;
  return seen;
}

describe('request headers', () => {
  it('are our own and those on the allow-list', async () => {
    const headers = {
      accept: 'text/event-stream',
      'accept-encoding': 'gzip, br',
      'openai-beta': 'assistants=v2',
      'x-trace': 'abc',
      'x-unlisted': 'no',
      'content-type': 'text/plain',
      'content-length': '999',
    };
    expect(await sent(headers, ['X-Trace', 'openai-*'])).toEqual({
      accept: 'text/event-stream',
      'accept-encoding': 'identity',
      authorization: 'Bearer provider-key',
      connection: 'keep-alive',
      'content-length': '13',
      'content-type': 'application/json',
      'openai-beta': 'assistants=v2',
      'user-agent': 'portcullis',
      'x-trace': 'abc',
    });
  });

  it('never carry credentials, cookies, addresses or framing, even when the list has everything', async () => {
    const headers = {
      authorization: 'Bearer client-key',
      'x-api-key': 'client-key',
      'api-key': 'client-key',
      cookie: 'a=b',
      forwarded: 'for=1.2.3.4',
      'x-forwarded-for': '1.2.3.4',
      'x-real-ip': '1.2.3.4',
      'proxy-authorization': 'x',
      'proxy-connection': 'x',
      connection: 'x-secret, keep-alive',
      'x-secret': 'named by connection',
      'keep-alive': 'timeout=5',
      te: 'trailers',
      trailer: 'x',
      'transfer-encoding': 'chunked',
      upgrade: 'h2c',
      expect: '100-continue',
      'content-encoding': 'gzip',
      host: 'evil.example',
      'user-agent': 'sdk/1',
    };
    expect(await sent(headers, ['*'])).toEqual({
      accept: '*/*',
      'accept-encoding': 'identity',
      authorization: 'Bearer provider-key',
      connection: 'keep-alive',
      'content-length': '13',
      'content-type': 'application/json',
      'user-agent': 'sdk/1',
    });
  });

  it('have no authorization when the provider needs no key', async () => {
    const seen = await sent({ authorization: 'Bearer client-key' }, ['authorization'], null);
    expect(seen.authorization).toBeUndefined();
  });

  it('have no content type without a body', async () => {
    let seen: IncomingHttpHeaders = {};
    const origin = await httpServer((request, response) => {
      seen = request.headers;
      response.end();
    });
    await fetchAll(client(origin), { method: 'GET', path: '/models', body: null });
    expect([seen['content-type'], seen['content-length']]).toEqual([undefined, undefined]);
  });
});

/** The headers the client gets for one answer. */
async function returned(lines: string[], responseHeaders: string[]): Promise<[string, string][]> {
  const origin = await rawServer((socket) => {
    socket.write(
      `HTTP/1.1 200 OK\r\ncontent-length: 0\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`,
      'latin1',
    );
  });
  const sink = await fetchAll(client(origin, { responseHeaders }));
  expect(sink.outcome).toBe('end');
  return [...(sink.head?.headers ?? [])].sort();
}

describe('response headers', () => {
  it('are those on the allow-list, repeated ones joined', async () => {
    const lines = ['X-Request-Id: r1', 'x-ratelimit-limit: 1', 'x-ratelimit-limit: 2', 'server: x', 'x-other: y'];
    expect(await returned(lines, ['x-request-id', 'X-RateLimit-*'])).toEqual([
      ['x-ratelimit-limit', '1, 2'],
      ['x-request-id', 'r1'],
    ]);
  });

  it('never carry cookies, framing, or what the connection header names, even when the list has everything', async () => {
    const lines = [
      'set-cookie: a=b',
      'connection: keep-alive, X-Secret',
      'x-secret: 1',
      'keep-alive: timeout=5',
      'proxy-authenticate: x',
      'trailer: x',
      'content-type: text/plain',
      'x-kept: 1',
    ];
    expect(await returned(lines, ['*'])).toEqual([['x-kept', '1']]);
  });

  it('are left out when longer than 8 KiB or not printable ASCII', async () => {
    const lines = [`x-long: ${'a'.repeat(8193)}`, `x-fits: ${'a'.repeat(100)}`, 'x-latin: \u00e9', '__proto__: x'];
    expect(await returned(lines, ['x-*'])).toEqual([['x-fits', 'a'.repeat(100)]]);
  });

  it('give the content type apart from the list', async () => {
    const origin = await httpServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' }).end();
    });
    const sink = await fetchAll(client(origin, { responseHeaders: ['*'] }));
    expect(sink.head?.contentType).toBe('text/event-stream; charset=utf-8');
    expect(sink.head?.headers.has('content-type')).toBe(false);
  });
});
