/** Bounds, breaks and backpressure of bodies that are relayed unread. */
import { get } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import { seeded } from '../../helpers/random.ts';
import { errorOf, expectIdle, metric, RawClient, until, WAIT_MS } from '../chat/support.ts';
import { bytes, json, limits, rawHead, useRelay } from './provider.ts';

const BYTES_MAX = 256 * 1024;
const random = seeded('relayed bodies');
const SPEECH = 'POST /v1/audio/speech';

const rig = useRelay(limits({ relayBodyBytesMax: BYTES_MAX }, { clientBodyMs: 500 }));
afterEach(async () => {
  await expectIdle(rig.gateway);
  rig.mock.clear();
  const answer = await fetch(`${rig.gateway.url}/v1/files`, {
    headers: { authorization: `Bearer ${rig.gateway.open}` },
  });
  expect(await answer.text()).toBe('{"ok":true}');
});

async function upload(lines: readonly string[], body: string | Buffer = '', start = SPEECH): Promise<RawClient> {
  const client = await RawClient.open(rig.gateway);
  client.send(rawHead(rig.gateway.open, start, lines));
  if (body.length > 0) client.send(body);
  return client;
}

const chunked = (size: number) => `${size.toString(16)}\r\n${'a'.repeat(size)}\r\n`;
const tooLarge = `The request body is larger than ${BYTES_MAX} bytes.`;
const brokenAnswers = () => metric(rig.gateway, 'portcullis_upstream_errors_total{code="upstream_error"}');

describe('a request body', () => {
  it('of exactly the bound passes, with a length and in chunks', async () => {
    const body = 'a'.repeat(BYTES_MAX);
    const counted = await upload([`content-length: ${BYTES_MAX}`, 'connection: close'], body);
    expect((await counted.closed()).status).toBe(200);
    expect(rig.mock.last.body.length).toBe(BYTES_MAX);
    expect(rig.mock.last.headers['content-length']).toBe(String(BYTES_MAX));
    const inChunks = await upload(['transfer-encoding: chunked', 'connection: close']);
    for (let sent = 0; sent < BYTES_MAX; sent += 65_536) inChunks.send(chunked(65_536));
    inChunks.send('0\r\n\r\n');
    expect((await inChunks.closed()).status).toBe(200);
    expect(rig.mock.last.body.length).toBe(BYTES_MAX);
    expect([rig.mock.last.headers['content-length'], rig.mock.last.headers['transfer-encoding']]).toEqual([
      undefined,
      'chunked',
    ]);
  });

  it('announced one byte longer is 413 before the provider hears of it, readable while the client sends', async () => {
    const client = await upload([`content-length: ${BYTES_MAX + 1}`], 'a'.repeat(1000));
    const answer = await client.whole();
    client.send('a'.repeat(BYTES_MAX + 1 - 1000));
    expect([answer.status, errorOf(answer.body)]).toEqual([
      413,
      { message: tooLarge, type: 'invalid_request_error', param: null, code: 'request_too_large' },
    ]);
    expect((await client.closed()).end).toBe('closed');
    expect(rig.mock.seen).toEqual([]);
  });

  it('that grows beyond it in chunks is 413 while the client sends, and the provider is let go', async () => {
    const client = await upload(['transfer-encoding: chunked']);
    for (let sent = 0; sent <= BYTES_MAX; sent += 65_536) client.send(chunked(65_536));
    const answer = await client.whole();
    expect([answer.status, errorOf(answer.body).code]).toEqual([413, 'request_too_large']);
    client.send('0\r\n\r\n');
    expect((await client.closed()).end).toBe('closed');
    await until('the provider loses its request', () => rig.mock.last.broken, 1_000);
    expect(rig.mock.last.body.length).toBeLessThanOrEqual(BYTES_MAX);
  });

  it('that never comes to its end is 408, and the provider is let go', async () => {
    const client = await upload(['content-length: 1000'], 'a'.repeat(10));
    const answer = await client.whole();
    expect([answer.status, errorOf(answer.body).code]).toEqual([408, 'body_timeout']);
    await until('the provider loses its request', () => rig.mock.last.broken, 1_000);
    client.close();
  });

  it.each([['gzip'], ['br'], ['zstd'], ['deflate'], ['gzip, gzip'], ['x']])('in %s is 415', async (coding) => {
    const client = await upload([`content-encoding: ${coding}`, 'content-length: 2', 'connection: close'], '{}');
    const answer = await client.closed();
    expect([answer.status, errorOf(answer.body).code]).toEqual([415, 'unsupported_media_type']);
    expect(rig.mock.seen).toEqual([]);
  });

  it('of a GET is refused, and what follows is not taken for a request', async () => {
    const inner = rawHead(rig.gateway.open, 'GET /v1/files/smuggled');
    const client = await upload([`content-length: ${inner.length}`], inner, 'GET /v1/files');
    const answer = await client.closed();
    expect([answer.status, answer.text.match(/HTTP\/1\.1 \d+/g)]).toEqual([400, ['HTTP/1.1 400']]);
    expect(rig.mock.seen).toEqual([]);
  });

  it('goes on as it comes, before its end is here', async () => {
    const client = await upload(['transfer-encoding: chunked', 'connection: close'], chunked(10));
    await until('the first chunk arrives', () => rig.mock.seen[0]?.body.length === 10);
    client.send(`${chunked(5)}0\r\n\r\n`);
    expect((await client.closed()).status).toBe(200);
    expect(rig.mock.last.body.toString()).toBe('a'.repeat(15));
  });

  it('whose client leaves ends the request at the provider', async () => {
    const client = await upload(['transfer-encoding: chunked'], chunked(10));
    await until('the first chunk arrives', () => rig.mock.seen[0]?.body.length === 10);
    client.close();
    await until('the provider loses its request', () => rig.mock.last.broken, 1_000);
  });

  it('that the provider refuses early gets that answer', async () => {
    rig.mock.early = json({ error: { message: 'Too long.' } }, 413);
    const client = await upload(['transfer-encoding: chunked'], chunked(10));
    await until('the answer', () => client.text.includes('Too long.'));
    client.send('0\r\n\r\n');
    const answer = await client.closed();
    expect([answer.status, answer.headers.get('connection'), answer.end]).toEqual([413, 'close', 'closed']);
  });
});

describe('a provider that does not read', () => {
  it('stops the client, whose time ends', async () => {
    const large = 512 * 1024 * 1024;
    const roomy = await rig.start(limits({ relayBodyBytesMax: large }, { clientBodyMs: 1_000 }));
    let read = (): void => {};
    rig.mock.early = (_response, _seen, request) => {
      read = () => request.resume();
    };
    const client = await RawClient.open(roomy);
    client.send(rawHead(roomy.open, SPEECH, [`content-length: ${large}`]));
    const block = Buffer.alloc(1024 * 1024);
    let taken = 0;
    const fill = (): void => {
      client.socket.write(block, (error) => {
        if (error || client.text !== '') return;
        taken += 1;
        fill();
      });
    };
    fill();
    await until('the refusal', () => client.text !== '');
    expect(client.answer().status).toBe(408);
    // Socket buffers on the way hold a few MB; the body is 512.
    expect(taken).toBeLessThan(64);
    read();
    await until('the provider is let go', () => rig.mock.last.broken, 1_000);
    client.close();
    await expectIdle(roomy);
  });
});

describe('an answer', () => {
  const ask = async (): Promise<Response> =>
    within(
      WAIT_MS,
      fetch(`${rig.gateway.url}/v1/files/x/content`, { headers: { authorization: `Bearer ${rig.gateway.open}` } }),
      'the head of the answer',
    );

  it('arrives byte for byte however it is cut', async () => {
    const body = Buffer.from(Array.from({ length: 20_000 }, () => random.int(256)));
    rig.mock.answer = (response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      for (let at = 0; at < body.length; ) {
        const end = at + 1 + random.int(3000);
        response.write(body.subarray(at, end));
        at = end;
      }
      response.end();
    };
    const response = await ask();
    expect(Buffer.from(await within(WAIT_MS, response.arrayBuffer(), 'the body')).equals(body)).toBe(true);
    expect(response.headers.get('content-length')).toBe(null);
  });

  it('of exactly the bound passes, one announced longer is 502', async () => {
    rig.mock.answer = bytes(Buffer.alloc(BYTES_MAX), 'audio/mpeg');
    expect((await (await ask()).arrayBuffer()).byteLength).toBe(BYTES_MAX);
    rig.mock.answer = bytes(Buffer.alloc(BYTES_MAX + 1), 'audio/mpeg');
    const refused = await ask();
    expect([refused.status, errorOf(await refused.text()).code]).toEqual([502, 'bad_upstream']);
  });

  it('that grows beyond the bound breaks off, is logged and counted', async () => {
    const before = await metric(rig.gateway, 'portcullis_upstream_errors_total{code="bad_upstream"}');
    rig.mock.answer = (response) => {
      response.writeHead(200, { 'content-type': 'audio/mpeg' });
      for (let i = 0; i <= BYTES_MAX; i += 65_536) response.write(Buffer.alloc(65_536));
      response.end();
    };
    const response = await ask();
    await expect(within(WAIT_MS, response.arrayBuffer(), 'the break')).rejects.toThrow();
    await expectIdle(rig.gateway);
    expect((await metric(rig.gateway, 'portcullis_upstream_errors_total{code="bad_upstream"}')) - before).toBe(1);
    expect(rig.gateway.logs()).toContain('"relay_broken_off"');
  });

  it.each([
    ['with a length', { 'content-length': '1000' }],
    ['in chunks', {}],
  ])('%s that the provider breaks off is never ended as if it were whole', async (_, headers) => {
    const before = await brokenAnswers();
    rig.mock.answer = (response) => {
      response.writeHead(200, { 'content-type': 'audio/mpeg', ...headers });
      response.write('half');
      setTimeout(() => response.destroy(), 20);
    };
    const client = await upload([], '', 'GET /v1/files/x/content');
    const answer = await client.closed();
    expect([answer.status, answer.body.includes('half'), answer.body.includes('\r\n0\r\n')]).toEqual([
      200,
      true,
      false,
    ]);
    await expectIdle(rig.gateway);
    expect((await brokenAnswers()) - before).toBe(1);
  });

  it('that never begins is 502 when the provider resets', async () => {
    rig.mock.answer = (response) => response.destroy();
    const response = await ask();
    expect([response.status, errorOf(await response.text()).code]).toEqual([502, 'upstream_unreachable']);
  });

  it('whose client leaves is let go at the provider', async () => {
    rig.mock.answer = (response) => {
      response.writeHead(200, { 'content-type': 'audio/mpeg' });
      response.write('half');
    };
    const client = await upload([], '', 'GET /v1/files/x/content');
    await until('the first bytes', () => client.text.includes('half'));
    client.close();
    await until('the provider loses its answer', () => rig.mock.last.broken, 1_000);
  });
});

describe('a client that does not read', () => {
  it('stops the provider, and is let go after its deadline', async () => {
    const slow = await rig.start(limits({ relayBodyBytesMax: 2 ** 30 }, { clientWriteMs: 300 }));
    let written = 0;
    rig.mock.answer = (response) => {
      response.writeHead(200, { 'content-type': 'audio/mpeg' });
      const block = Buffer.alloc(1024 * 1024);
      const fill = (): void => {
        while (written < 500 && !response.destroyed) {
          written += 1;
          if (!response.write(block)) {
            response.once('drain', fill);
            return;
          }
        }
      };
      fill();
    };
    const asked = get(`${slow.url}/v1/files/x/content`, { headers: { authorization: `Bearer ${slow.open}` } });
    asked.on('response', (response) => response.pause()).on('error', () => {});
    await until('the provider is let go', () => rig.mock.seen[0]?.broken === true);
    // Socket buffers on the way hold a few MB; the answer is 500.
    expect(written).toBeLessThan(64);
    asked.destroy();
    await expectIdle(slow);
  });
});
