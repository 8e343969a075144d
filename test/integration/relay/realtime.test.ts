/** The realtime tunnel: who gets one, what passes, how it ends; and every other upgrade, which gets none. */
import type { Duplex } from 'node:stream';
import { WebSocket } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import { errorOf, expectIdle, metric, RawClient, until, WAIT_MS } from '../chat/support.ts';
import { accept, limits, PROVIDER_KEY, Provider, type RelayGateway, rawHead, startRelay } from './provider.ts';

let provider: Provider;
let gateway: RelayGateway;
beforeAll(async () => {
  provider = await Provider.start();
  gateway = await startRelay(provider);
});
afterAll(async () => {
  await gateway.close();
  await provider.close();
});
beforeEach(() => provider.clear());
afterEach(() => expectIdle(gateway));

const WEBSOCKET_KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const HANDSHAKE = ['connection: Upgrade', 'upgrade: websocket', 'sec-websocket-version: 13'];

/** The head of a handshake; `null` sends no key in a header. */
function handshake(key: string | null, lines: readonly string[] = [], target = '/v1/realtime?model=voice'): string {
  const own = [...HANDSHAKE, `sec-websocket-key: ${WEBSOCKET_KEY}`, ...(key === null ? [] : [`api-key: ${key}`])];
  return `${[`GET ${target} HTTP/1.1`, 'host: gateway.test', ...own, ...lines].join('\r\n')}\r\n\r\n`;
}

async function open(bytes: string, to = gateway): Promise<RawClient> {
  const client = await RawClient.open(to);
  client.send(bytes);
  return client;
}

/** A tunnel whose ends are both in hand. */
async function opened(to = gateway): Promise<{ client: RawClient; socket: Duplex }> {
  let socket: Duplex | null = null;
  provider.upgrade = (own, seen) => {
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
    provider.upgrade = (socket, seen) => accept(socket, seen, ['set-cookie: a=b', 'openai-processing-ms: 5']);
    const client = await open(handshake(gateway.open, ['openai-beta: realtime=v1', 'cookie: c=d'], target));
    await until('the 101', () => client.text.includes('\r\n\r\n'));
    const { status, headers } = client.answer();
    expect(status).toBe(101);
    expect(headers.get('sec-websocket-accept')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    expect([headers.get('upgrade'), headers.get('connection')]).toEqual(['websocket', 'Upgrade']);
    expect([headers.get('set-cookie'), headers.get('openai-processing-ms')]).toEqual([undefined, '5']);
    expect([headers.get('transfer-encoding'), headers.get('content-length')]).toEqual([undefined, undefined]);
    expect(headers.get('x-portcullis-action')).toBe('pass');
    expect(headers.get('x-portcullis-receipt')).toMatch(/^v=1;seen=1;scanned=0;skipped=1;policy=/);
    const { last } = provider;
    expect([last.method, last.url]).toEqual(['GET', '/v1/realtime?model=voice']);
    expect(last.headers).toMatchObject({
      upgrade: 'websocket',
      authorization: `Bearer ${PROVIDER_KEY}`,
      'openai-beta': 'realtime=v1',
      'sec-websocket-key': WEBSOCKET_KEY,
    });
    expect(last.headers.cookie).toBe(undefined);
    expect(provider.everything).not.toContain(gateway.open);
    client.close();
  });

  it.each([
    ['authorization', (key: string) => `authorization: Bearer ${key}`],
    ['x-api-key', (key: string) => `x-api-key: ${key}`],
    ['x-portcullis-key', (key: string) => `x-portcullis-key: ${key}`],
    ['a protocol', (key: string) => `sec-websocket-protocol: realtime, openai-insecure-api-key.${key}`],
  ])('brings its key in %s', async (_, line) => {
    const client = await open(handshake(null, [line(gateway.open)]));
    await until('the 101', () => client.text.startsWith('HTTP/1.1 101 '));
    expect(provider.everything).not.toContain(gateway.open);
    expect(provider.last.headers.authorization).toBe(`Bearer ${PROVIDER_KEY}`);
    client.close();
  });

  it('of a browser loses its key protocol and learns what the provider chose among the others', async () => {
    provider.upgrade = (socket, seen) => {
      accept(socket, seen, ['sec-websocket-protocol: realtime']);
      socket.write(frame('hello'));
      // What the browser sends is its close.
      socket.once('data', () => socket.end(Buffer.from([0x88, 0])));
    };
    const key = `openai-insecure-api-key.${gateway.open}`;
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/v1/realtime`, ['realtime', key, 'other.v1']);
    const message = await within(
      WAIT_MS,
      new Promise((resolve, reject) => {
        socket.addEventListener('message', (event) => resolve(event.data));
        socket.addEventListener('error', reject);
      }),
      'a message',
    );
    expect([message, socket.protocol]).toEqual(['hello', 'realtime']);
    expect(provider.last.headers['sec-websocket-protocol']).toBe('realtime, other.v1');
    expect(provider.everything).not.toContain(gateway.open);
    socket.close();
  });

  it('never forwards a key protocol, even beside a key in a header', async () => {
    const other = await gateway.createKey(['proxy'], ['open']);
    const lines = [`sec-websocket-protocol: OpenAI-Insecure-Api-Key.${other}, openai-insecure-api-key.${gateway.open}`];
    const client = await open(handshake(gateway.open, lines));
    await until('the 101', () => client.text.startsWith('HTTP/1.1 101 '));
    expect(provider.last.headers['sec-websocket-protocol']).toBe(undefined);
    expect(provider.everything).not.toContain(other);
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
    expect(provider.seen).toEqual([]);
  });

  it('that the provider refuses is an ordinary answer', async () => {
    const body = '{"error":{"message":"No such model.","code":"model_not_found"}}';
    provider.upgrade = (socket) => {
      const head = ['HTTP/1.1 404 Not Found', 'content-type: application/json', `content-length: ${body.length}`];
      socket.end([...head, '', body].join('\r\n'));
    };
    const client = await open(handshake(gateway.open));
    const answer = await client.closed();
    expect([answer.status, answer.body, answer.headers.get('content-type')]).toEqual([404, body, 'application/json']);
    expect([answer.headers.get('connection'), answer.end]).toEqual(['close', 'closed']);
  });

  it.each<[string, (socket: Duplex) => void]>([
    ['another protocol than any it was offered', (s) => accept(s, provider.last, ['sec-websocket-protocol: evil'])],
    [
      'a false proof',
      (s) => s.write('HTTP/1.1 101 X\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n'),
    ],
    ['another upgrade', (s) => s.write('HTTP/1.1 101 X\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n')],
    [
      'an extension nobody asked for',
      (s) => accept(s, provider.last, ['sec-websocket-extensions: permessage-deflate']),
    ],
  ])('that the provider answers with %s is 502', async (_, answerWith) => {
    let socket: Duplex | null = null;
    provider.upgrade = (own) => {
      socket = own;
      answerWith(own);
    };
    const client = await open(handshake(gateway.open, ['sec-websocket-protocol: realtime']));
    const answer = await client.closed();
    expect([answer.status, errorOf(answer.body).code]).toEqual([502, 'bad_upstream']);
    await closed(socket as unknown as Duplex);
  });

  it('that the provider resets is 502', async () => {
    provider.upgrade = (socket) => socket.destroy();
    expect((await (await open(handshake(gateway.open))).closed()).status).toBe(502);
  });

  it('whose client leaves is let go at the provider', async () => {
    let socket: Duplex | null = null;
    provider.upgrade = (own) => {
      socket = own.resume();
    };
    const client = await open(handshake(gateway.open));
    await until('the provider sees it', () => socket !== null);
    client.socket.end();
    await closed(socket as unknown as Duplex);
    client.close();
  });
});

describe('a tunnel', () => {
  it('opens on a connection that served a request before', async () => {
    const client = await open(rawHead(gateway.open, 'GET /v1/files'));
    expect((await client.whole()).status).toBe(200);
    client.send(handshake(gateway.open));
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
    provider.upgrade = (socket, seen, head) => {
      received.push(head);
      socket.on('data', (chunk: Buffer) => received.push(chunk));
      agree = () => accept(socket, seen);
    };
    const early = 'GET /v1/files HTTP/1.1\r\nhost: a\r\n\r\n';
    const client = await open(handshake(gateway.open) + early);
    await until('the provider sees the handshake', () => provider.seen.length === 1);
    client.send('later');
    // By the time another request was served, the bytes would be there.
    await (await fetch(`${gateway.url}/v1/files`, { headers: { authorization: `Bearer ${gateway.open}` } })).text();
    expect(Buffer.concat(received).toString()).toBe('');
    agree();
    await until('the early bytes', () => Buffer.concat(received).toString() === `${early}later`);
    expect(provider.seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
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
    const noted = await metric(gateway, 'portcullis_not_inspected_total');
    const { client } = await opened();
    expect(await metric(gateway, 'portcullis_in_flight_requests')).toBe(1);
    expect(await metric(gateway, 'portcullis_open_streams')).toBe(1);
    expect(await metric(gateway, 'portcullis_not_inspected_total')).toBe(noted + 1);
    const id = client.answer().headers.get('x-request-id') ?? 'none';
    client.close();
    await expectIdle(gateway);
    const line = gateway
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
    const short = await startRelay(provider, limits({}, timeouts));
    try {
      const { client, socket } = await opened(short);
      const talk = setInterval(() => socket.writable && what !== 'silence' && socket.write('x'), 50);
      await client.closed();
      clearInterval(talk);
      await closed(socket.resume());
      await expectIdle(short);
      expect(short.logs()).toContain('"code":"upstream_timeout"');
    } finally {
      await short.close();
    }
  });

  it('end every tunnel when the gateway has drained', async () => {
    const short = await startRelay(provider, limits({}, { drainMs: 200 }));
    const { client, socket } = await opened(short);
    const ending = short.close();
    await client.closed();
    await within(WAIT_MS, ending, 'the gateway closes');
    await closed(socket.resume());
  });

  it('count tunnels among the requests in work', async () => {
    const full = await startRelay(provider, limits({ concurrentRequestsMax: 1 }));
    try {
      const { client } = await opened(full);
      const answer = await (await open(handshake(full.open), full)).closed();
      expect([answer.status, errorOf(answer.body).code]).toEqual([503, 'overloaded']);
      client.close();
      await expectIdle(full);
    } finally {
      await full.close();
    }
  });
});

describe('every other upgrade', () => {
  const key = () => `authorization: Bearer ${gateway.open}`;
  const start = (first: string, ...lines: string[]) =>
    `${[first, 'host: gateway.test', key(), ...lines].join('\r\n')}\r\n\r\n`;
  const websocket = [...HANDSHAKE, `sec-websocket-key: ${WEBSOCKET_KEY}`];
  const cases: [string, () => string][] = [
    ['a policy that does not list it', () => handshake(gateway.closed)],
    ['an inspected endpoint', () => handshake(gateway.open, [], '/v1/chat/completions')],
    ['a listed endpoint that is not realtime', () => handshake(gateway.open, [], '/v1/audio/speech')],
    ['a path below realtime', () => handshake(gateway.open, [], '/v1/realtime/x')],
    ['a path that could be read in two ways', () => handshake(gateway.open, [], '/v1/audio/../realtime')],
    ['an escaped path', () => handshake(gateway.open, [], '/v1/%72ealtime')],
    ['h2c', () => start('GET /v1/realtime HTTP/1.1', 'connection: Upgrade', 'upgrade: h2c')],
    ['two protocols', () => start('GET /v1/realtime HTTP/1.1', ...websocket, 'upgrade: h2c')],
    ['POST', () => start('POST /v1/realtime HTTP/1.1', ...websocket, 'content-length: 0')],
    ['a body', () => `${start('GET /v1/realtime HTTP/1.1', ...websocket, 'content-length: 5')}hello`],
    [
      'a chunked body',
      () => `${start('GET /v1/realtime HTTP/1.1', ...websocket, 'transfer-encoding: chunked')}0\r\n\r\n`,
    ],
    ['HTTP/1.0', () => start('GET /v1/realtime HTTP/1.0', ...websocket)],
    ['another version', () => start('GET /v1/realtime HTTP/1.1', ...websocket.slice(0, 2), 'sec-websocket-version: 8')],
    ['no challenge', () => start('GET /v1/realtime HTTP/1.1', ...HANDSHAKE)],
  ];
  it.each(cases)('with %s is 426, and what is behind it is never a request', async (_, bytes) => {
    const client = await open(bytes() + start('GET /v1/files/smuggled HTTP/1.1') + start('GET /livez HTTP/1.1'));
    client.send(start('GET /v1/files/later HTTP/1.1'));
    const answer = await client.closed();
    expect([answer.status, errorOf(answer.body).code, answer.headers.get('connection')]).toEqual([
      426,
      'upgrade_refused',
      'close',
    ]);
    expect(answer.text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 426']);
    expect(provider.seen).toEqual([]);
  });

  it('that contradicts itself is 400', async () => {
    const client = await open(handshake(gateway.open, ['host: other.test']));
    expect((await client.closed()).status).toBe(400);
    expect(provider.seen).toEqual([]);
  });

  it('behind a request in work writes nothing into its answer', async () => {
    let finish = (): void => {};
    provider.answer = (response) => {
      response.writeHead(200, { 'content-type': 'audio/mpeg' });
      response.write('first half');
      finish = () => response.end('second half');
    };
    const client = await open(start('GET /v1/files/x/content HTTP/1.1'));
    await until('the first half', () => client.text.includes('first half'));
    client.send(handshake(gateway.open));
    const answer = await client.closed();
    finish();
    expect(answer.text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200']);
    expect(provider.seen.length).toBe(1);
  });
});
