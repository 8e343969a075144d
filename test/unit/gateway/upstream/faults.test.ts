/** What a provider, or the way to it, may do wrong, and the one error each becomes. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { within } from '../../../helpers/deadline.ts';
import { client, deadlines, fetchAll, httpServer, POST, Recorder, rawServer, sleep } from './harness.ts';

const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n';

describe('no connection', () => {
  it('answers upstream_unreachable when the connection is refused, and recovers once the provider is back', async () => {
    const server = createServer((_request, response) => void response.end('back'));
    const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const close = () => new Promise((resolve) => server.close(resolve));
    await listen(0);
    const { port } = server.address() as AddressInfo;
    await close();
    const upstream = client(`http://127.0.0.1:${port}`);
    expect((await fetchAll(upstream)).outcome).toBe('upstream_unreachable');
    expect((await fetchAll(upstream)).outcome).toBe('upstream_unreachable');
    await listen(port);
    expect((await fetchAll(upstream)).text).toBe('back');
    server.closeAllConnections();
    await close();
  });

  it('answers upstream_unreachable when the name does not resolve', async () => {
    expect((await fetchAll(client('http://no-such-host.invalid'))).outcome).toBe('upstream_unreachable');
  });

  it('answers upstream_unreachable when the other side does not speak TLS', async () => {
    const origin = await httpServer((_request, response) => void response.end());
    expect((await fetchAll(client(origin.replace('http:', 'https:')))).outcome).toBe('upstream_unreachable');
  });

  it('answers upstream_timeout when a TLS handshake is never answered', async () => {
    const origin = await rawServer(() => {});
    const upstream = client(origin.replace('http:', 'https:'), deadlines({ upstreamConnectMs: 100 }));
    expect((await fetchAll(upstream)).outcome).toBe('upstream_timeout');
  });
});

describe('deadlines', () => {
  it('answers upstream_timeout when headers never arrive', async () => {
    const origin = await rawServer(() => {});
    const sink = await fetchAll(client(origin, deadlines({ upstreamHeaderMs: 100 })));
    expect([sink.outcome, sink.head]).toEqual(['upstream_timeout', null]);
  });

  it('answers upstream_timeout when only half of the headers arrive', async () => {
    const origin = await rawServer((socket) => void socket.write(HEAD));
    expect((await fetchAll(client(origin, deadlines({ upstreamHeaderMs: 100 })))).outcome).toBe('upstream_timeout');
  });

  it('answers upstream_timeout when the stream falls silent', async () => {
    const origin = await httpServer((_request, response) => void response.write('data: x\n\n'));
    const sink = await fetchAll(client(origin, deadlines({ upstreamIdleMs: 100 })));
    expect([sink.outcome, sink.text]).toEqual(['upstream_timeout', 'data: x\n\n']);
  });

  it('answers upstream_timeout at the total deadline although chunks keep coming, and closes the connection', async () => {
    let closed = false;
    const origin = await httpServer((_request, response) => {
      const timer = setInterval(() => response.write('data: x\n\n'), 10);
      response.on('close', () => {
        clearInterval(timer);
        closed = true;
      });
    });
    const start = Date.now();
    const sink = await fetchAll(client(origin, deadlines({ upstreamTotalMs: 150 })));
    expect(sink.outcome).toBe('upstream_timeout');
    expect(sink.chunks.length).toBeGreaterThan(1);
    expect(Date.now() - start).toBeLessThan(1500);
    await sleep(50);
    expect(closed).toBe(true);
  });

  it('applies the total deadline to a request that waits for a connection', async () => {
    let requests = 0;
    const origin = await httpServer((_request, response) => {
      requests += 1;
      response.flushHeaders();
    });
    const upstream = client(origin, { connectionsMax: 1 });
    // Holds the only connection for longer than the second one may wait.
    const first = new Recorder();
    const call = upstream.call(POST, first);
    await within(8000, first.headed, 'head');
    const second = await fetchAll(upstream, { totalMs: 150 });
    expect(second.outcome).toBe('upstream_timeout');
    call.abort();
    await sleep(50);
    expect(requests).toBe(1);
  });
});

describe('a provider that dies', () => {
  const cases: [string, string, string, string][] = [
    ['before any byte', '', 'upstream_unreachable', ''],
    ['inside the headers', HEAD, 'upstream_unreachable', ''],
    ['after the headers', `${HEAD}transfer-encoding: chunked\r\n\r\n`, 'upstream_error', ''],
    ['inside a chunk', `${HEAD}transfer-encoding: chunked\r\n\r\n9\r\ndata: `, 'upstream_error', 'data: '],
    [
      'inside a chunk of a closing connection',
      `${HEAD}connection: close\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: `,
      'upstream_error',
      'data: ',
    ],
    ['before the declared length', `${HEAD}content-length: 9\r\n\r\ndata: `, 'upstream_error', 'data: '],
    [
      'before the declared length of a closing connection',
      `${HEAD}connection: close\r\ncontent-length: 9\r\n\r\ndata: `,
      'upstream_error',
      'data: ',
    ],
    ['after a body that ends with the connection', `${HEAD}connection: close\r\n\r\ndata: x`, 'end', 'data: x'],
  ];
  it.each(cases)('%s', async (_when, bytes, outcome, text) => {
    for (const close of ['end', 'destroy'] as const) {
      const origin = await rawServer((socket) => {
        socket.write(bytes, () => setTimeout(() => socket[close](), 20));
      });
      const sink = await fetchAll(client(origin));
      expect([sink.outcome, sink.text], close).toEqual([outcome, text]);
    }
  });

  it('by reset, after the headers', async () => {
    const origin = await rawServer((socket) => {
      socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n`);
      setTimeout(() => socket.resetAndDestroy(), 20);
    });
    const sink = await fetchAll(client(origin));
    expect([sink.outcome, sink.text]).toEqual(['upstream_error', 'data: x\n\n']);
  });

  it('by reset, before the headers', async () => {
    const origin = await rawServer((socket) => void socket.resetAndDestroy());
    expect((await fetchAll(client(origin))).outcome).toBe('upstream_unreachable');
  });
});

describe('an answer that cannot be used', () => {
  it.each([301, 302, 303, 304, 307, 308])('%i is bad_upstream and is not followed', async (status) => {
    const paths: string[] = [];
    const origin = await httpServer((request, response) => {
      paths.push(request.url ?? '');
      response.writeHead(status, { location: '/elsewhere' }).end();
    });
    const sink = await fetchAll(client(origin));
    expect([sink.outcome, sink.head]).toEqual(['bad_upstream', null]);
    await sleep(20);
    expect(paths).toEqual(['/v1/chat/completions']);
  });

  const cases: [string, string][] = [
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
    ['a space in a header name', `${HEAD}bad name: x\r\n\r\n`],
    ['a control character in a header value', `${HEAD}x-a: b\u0001c\r\n\r\n`],
    ['both content-length and transfer-encoding', `${HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n`],
    ['two different lengths', `${HEAD}content-length: 5\r\ncontent-length: 6\r\n\r\nhello`],
    ['headers of 64 KB', `${HEAD}x-large: ${'a'.repeat(64 * 1024)}\r\n\r\n`],
    ['2,000 headers', `${HEAD}${Array.from({ length: 2000 }, (_, i) => `x-h-${i}: value\r\n`).join('')}\r\n`],
    ['a chunk size that is no number', `${HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n`],
  ];
  it.each(cases)('%s is bad_upstream', async (_what, bytes) => {
    const origin = await rawServer((socket) => void socket.write(bytes));
    const sink = await fetchAll(client(origin));
    expect(sink.outcome).toBe('bad_upstream');
  });

  it('keeps the answer out of the error', async () => {
    const origin = await rawServer((socket) => void socket.write('HTTP/1.1 200 OK\r\nbad sk-marker-4711: x\r\n\r\n'));
    const error = (await fetchAll(client(origin))).errors[0];
    expect(error?.code).toBe('bad_upstream');
    const cause = error?.cause as Error;
    expect(JSON.stringify([cause, Object.entries(cause), cause.message, cause.stack])).not.toContain('marker');
  });
});
