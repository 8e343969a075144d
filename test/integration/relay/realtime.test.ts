/** The realtime tunnel: who gets one, what passes, how it ends. */
import type { Duplex } from 'node:stream';
import { WebSocket } from 'undici';
import { describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import { errorOf, expectIdle, idleAfterEach, metric, type RawClient, until, WAIT_MS } from '../chat/support.ts';
import {
  accept,
  handshake,
  limits,
  openWith,
  PROVIDER_KEY,
  rawHead,
  startRelay,
  useRelay,
  WEBSOCKET_KEY,
} from './provider.ts';

const rig = useRelay();
idleAfterEach(rig);

const open = (bytes: string, to = rig.gateway) => openWith(to, bytes);

/** A tunnel whose ends are both in hand. */
async function opened(to = rig.gateway): Promise<{ client: RawClient; socket: Duplex }> {
  let socket: Duplex | null = null;
  rig.mock.upgrade = (own, seen) => {
    socket = own;
    accept(own, seen);
  };
  const client = await open(handshake(to.open), to);
  await until('the answer to the handshake', () => client.text.includes('\r\n\r\n'));
  expect(client.text).toMatch(/^HTTP\/1\.1 101 /);
  return { client, socket: socket as unknown as Duplex };
}

const closed = (socket: Duplex) =>
  until('the provider is let go', () => socket.destroyed || socket.readableEnded, 1_000);

/** One text frame of a provider, which masks nothing. */
function frame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]);
}

describe('a handshake', () => {
  it.each([
    ['/v1/realtime?model=voice'],
    ['/openai/v1/realtime?model=voice'],
    ['/openai/default/v1/realtime?model=voice'],
    ['/openai/default/realtime?model=voice'],
  ])('at %s reaches the provider with its own key, and its 101 comes back', async (target) => {
    rig.mock.upgrade = (socket, seen) => accept(socket, seen, ['set-cookie: a=b', 'openai-processing-ms: 5']);
    const client = await open(handshake(rig.gateway.open, ['openai-beta: realtime=v1', 'cookie: c=d'], target));
    await until('the 101', () => client.text.includes('\r\n\r\n'));
    const { status, headers } = client.answer();
    expect(status).toBe(101);
    expect(headers.get('sec-websocket-accept')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    expect([headers.get('upgrade'), headers.get('connection')]).toEqual(['websocket', 'Upgrade']);
    expect([headers.get('set-cookie'), headers.get('openai-processing-ms')]).toEqual([undefined, '5']);
    expect([headers.get('transfer-encoding'), headers.get('content-length')]).toEqual([undefined, undefined]);
    expect(headers.get('x-portcullis-action')).toBe('pass');
    expect(headers.get('x-portcullis-receipt')).toMatch(/^v=1;seen=1;scanned=0;skipped=1;policy=/);
    const { last } = rig.mock;
    expect([last.method, last.url]).toEqual(['GET', '/v1/realtime?model=voice']);
    expect(last.headers).toMatchObject({
      upgrade: 'websocket',
      authorization: `Bearer ${PROVIDER_KEY}`,
      'openai-beta': 'realtime=v1',
      'sec-websocket-key': WEBSOCKET_KEY,
    });
    expect(last.headers.cookie).toBe(undefined);
    expect(rig.mock.everything).not.toContain(rig.gateway.open);
    client.close();
  });

  it.each([
    ['authorization', (key: string) => `authorization: Bearer ${key}`],
    ['x-api-key', (key: string) => `x-api-key: ${key}`],
    ['x-portcullis-key', (key: string) => `x-portcullis-key: ${key}`],
    ['a protocol', (key: string) => `sec-websocket-protocol: realtime, openai-insecure-api-key.${key}`],
  ])('brings its key in %s', async (_, line) => {
    const client = await open(handshake(null, [line(rig.gateway.open)]));
    await until('the 101', () => client.text.startsWith('HTTP/1.1 101 '));
    expect(rig.mock.everything).not.toContain(rig.gateway.open);
    expect(rig.mock.last.headers.authorization).toBe(`Bearer ${PROVIDER_KEY}`);
    client.close();
  });

  it('of a browser loses its key protocol and learns what the provider chose among the others', async () => {
    rig.mock.upgrade = (socket, seen) => {
      accept(socket, seen, ['sec-websocket-protocol: realtime']);
      socket.write(frame('hello'));
      // What the browser sends is its close.
      socket.once('data', () => socket.end(Buffer.from([0x88, 0])));
    };
    const key = `openai-insecure-api-key.${rig.gateway.open}`;
    const socket = new WebSocket(`${rig.gateway.url.replace('http', 'ws')}/v1/realtime`, ['realtime', key, 'other.v1']);
    const message = await within(
      WAIT_MS,
      new Promise((resolve, reject) => {
        socket.addEventListener('message', (event) => resolve(event.data));
        socket.addEventListener('error', reject);
      }),
      'a message',
    );
    expect([message, socket.protocol]).toEqual(['hello', 'realtime']);
    expect(rig.mock.last.headers['sec-websocket-protocol']).toBe('realtime, other.v1');
    expect(rig.mock.everything).not.toContain(rig.gateway.open);
    socket.close();
  });

  it('never forwards a key protocol, even beside a key in a header', async () => {
    const other = await rig.gateway.createKey(['proxy'], ['open']);
    const lines = [
      `sec-websocket-protocol: OpenAI-Insecure-Api-Key.${other}, openai-insecure-api-key.${rig.gateway.open}`,
    ];
    const client = await open(handshake(rig.gateway.open, lines));
    await until('the 101', () => client.text.startsWith('HTTP/1.1 101 '));
    expect(rig.mock.last.headers['sec-websocket-protocol']).toBe(undefined);
    expect(rig.mock.everything).not.toContain(other);
    client.close();
  });

  it('without a good key is 401, and nothing reaches the provider', async () => {
    for (const bytes of [handshake(null), handshake('wrong'), handshake(null, ['sec-websocket-protocol: realtime'])]) {
      const client = await open(bytes);
      const answer = await client.closed();
      expect([answer.status, errorOf(answer.body).code, answer.headers.get('connection')]).toEqual([
        401,
        'invalid_api_key',
        'close',
      ]);
      expect(answer.end).toBe('closed');
    }
    expect(rig.mock.seen).toEqual([]);
  });

  it('that the provider refuses is an ordinary answer', async () => {
    const body = '{"error":{"message":"No such model.","code":"model_not_found"}}';
    rig.mock.upgrade = (socket) => {
      const head = ['HTTP/1.1 404 Not Found', 'content-type: application/json', `content-length: ${body.length}`];
      socket.end([...head, '', body].join('\r\n'));
    };
    const client = await open(handshake(rig.gateway.open));
    const answer = await client.closed();
    expect([answer.status, answer.body, answer.headers.get('content-type')]).toEqual([404, body, 'application/json']);
    expect([answer.headers.get('connection'), answer.end]).toEqual(['close', 'closed']);
  });

  it.each<[string, (socket: Duplex) => void]>([
    ['another protocol than any it was offered', (s) => accept(s, rig.mock.last, ['sec-websocket-protocol: evil'])],
    [
      'a false proof',
      (s) => s.write('HTTP/1.1 101 X\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n'),
    ],
    ['another upgrade', (s) => s.write('HTTP/1.1 101 X\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n')],
    [
      'an extension nobody asked for',
      (s) => accept(s, rig.mock.last, ['sec-websocket-extensions: permessage-deflate']),
    ],
  ])('that the provider answers with %s is 502', async (_, answerWith) => {
    let socket: Duplex | null = null;
    rig.mock.upgrade = (own) => {
      socket = own;
      answerWith(own);
    };
    const client = await open(handshake(rig.gateway.open, ['sec-websocket-protocol: realtime']));
    const answer = await client.closed();
    expect([answer.status, errorOf(answer.body).code]).toEqual([502, 'bad_upstream']);
    await closed(socket as unknown as Duplex);
  });

  it('that the provider resets is 502', async () => {
    rig.mock.upgrade = (socket) => socket.destroy();
    expect((await (await open(handshake(rig.gateway.open))).closed()).status).toBe(502);
  });

  it('whose client leaves is let go at the provider', async () => {
    let socket: Duplex | null = null;
    rig.mock.upgrade = (own) => {
      socket = own.resume();
    };
    const client = await open(handshake(rig.gateway.open));
    await until('the provider sees it', () => socket !== null);
    client.socket.end();
    await closed(socket as unknown as Duplex);
    client.close();
  });
});

describe('a tunnel', () => {
  it('opens on a connection that served a request before', async () => {
    const client = await open(rawHead(rig.gateway.open, 'GET /v1/files'));
    expect((await client.whole()).status).toBe(200);
    client.send(handshake(rig.gateway.open));
    await until('the 101', () => client.text.includes('HTTP/1.1 101 '));
    client.close();
  });

  it('carries every byte both ways', async () => {
    const { client, socket } = await opened();
    const start = client.text.length;
    const all = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) % 256));
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      socket.write(chunk);
    });
    client.send(all);
    await until('all of it came back', () => client.text.length - start === all.length);
    expect(received.equals(all)).toBe(true);
    expect(Buffer.from(client.text.slice(start), 'latin1').equals(all)).toBe(true);
    client.close();
    await closed(socket);
  });

  it('gets what the client sent too early only behind the 101', async () => {
    let agree = (): void => {};
    const received: Buffer[] = [];
    rig.mock.upgrade = (socket, seen, head) => {
      received.push(head);
      socket.on('data', (chunk: Buffer) => received.push(chunk));
      agree = () => accept(socket, seen);
    };
    const early = 'GET /v1/files HTTP/1.1\r\nhost: a\r\n\r\n';
    const client = await open(handshake(rig.gateway.open) + early);
    await until('the provider sees the handshake', () => rig.mock.seen.length === 1);
    client.send('later');
    // By the time another request was served, the bytes would be there.
    await (
      await fetch(`${rig.gateway.url}/v1/files`, { headers: { authorization: `Bearer ${rig.gateway.open}` } })
    ).text();
    expect(Buffer.concat(received).toString()).toBe('');
    agree();
    await until('the early bytes', () => Buffer.concat(received).toString() === `${early}later`);
    expect(rig.mock.seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'GET /v1/realtime?model=voice',
      'GET /v1/files',
    ]);
    client.close();
  });

  it('ends for the client when the provider ends it, with everything sent before', async () => {
    const { client, socket } = await opened();
    socket.end('goodbye');
    const answer = await client.closed();
    expect([answer.body, answer.end]).toEqual(['goodbye', 'closed']);
  });

  it.each([
    ['closes', (client: RawClient) => client.socket.end('bye')],
    ['resets', (client: RawClient) => client.socket.resetAndDestroy()],
  ])('ends for the provider when the client %s', async (_, leave) => {
    const { client, socket } = await opened();
    socket.on('error', () => {}).resume();
    leave(client);
    await closed(socket);
  });

  it('breaks for the client when the provider resets', async () => {
    const { client, socket } = await opened();
    (socket as Duplex & { resetAndDestroy(): void }).resetAndDestroy();
    await client.closed();
  });

  it('is counted while it is open, noted as not inspected, and logged when it ends', async () => {
    const noted = await metric(rig.gateway, 'portcullis_not_inspected_total');
    const { client } = await opened();
    expect(await metric(rig.gateway, 'portcullis_in_flight_requests')).toBe(1);
    expect(await metric(rig.gateway, 'portcullis_open_streams')).toBe(1);
    expect(await metric(rig.gateway, 'portcullis_not_inspected_total')).toBe(noted + 1);
    const id = client.answer().headers.get('x-request-id') ?? 'none';
    client.close();
    await expectIdle(rig.gateway);
    const line = rig.gateway
      .logs()
      .split('\n')
      .find((entry) => entry.includes(id) && entry.includes('"request"'));
    expect(JSON.parse(line ?? '{}')).toMatchObject({
      route: '/v1/*',
      method: 'GET',
      status: 101,
      stream: true,
      tenant: 'open',
      action: 'pass',
      reason: 'not_inspected',
    });
  });

  it('stops the provider while the client does not read', async () => {
    const { client, socket } = await opened();
    client.socket.pause();
    const block = Buffer.alloc(1024 * 1024);
    let written = 0;
    const fill = (): void => {
      while (written < 300) {
        written += 1;
        if (!socket.write(block)) {
          socket.once('drain', fill);
          return;
        }
      }
    };
    fill();
    let before = -1;
    await until('the provider is stopped', async () => {
      const stopped = written === before;
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return stopped;
    });
    // Socket buffers on the way hold a few MB; the rest waits at the provider.
    expect(written).toBeLessThan(64);
    client.close();
  });
});

describe('limits', () => {
  it.each([
    ['silence', { upstreamIdleMs: 300 }],
    ['its whole time', { upstreamTotalMs: 300 }],
  ])('end a tunnel after %s', async (what, timeouts) => {
    const short = await rig.start(limits({}, timeouts));
    const { client, socket } = await opened(short);
    const talk = setInterval(() => socket.writable && what !== 'silence' && socket.write('x'), 50);
    await client.closed();
    clearInterval(talk);
    await closed(socket.resume());
    await expectIdle(short);
    expect(short.logs()).toContain('"code":"upstream_timeout"');
  });

  it('end every tunnel when the gateway has drained', async () => {
    const short = await startRelay(rig.mock, limits({}, { drainMs: 200 }));
    const { client, socket } = await opened(short);
    const ending = short.close();
    await client.closed();
    await within(WAIT_MS, ending, 'the gateway closes');
    await closed(socket.resume());
  });

  it('count tunnels among the requests in work', async () => {
    const full = await rig.start(limits({ concurrentRequestsMax: 1 }));
    const { client } = await opened(full);
    const answer = await (await open(handshake(full.open), full)).closed();
    expect([answer.status, errorOf(answer.body).code]).toEqual([503, 'overloaded']);
    client.close();
    await expectIdle(full);
  });
});
