import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { within } from '../../../helpers/deadline.ts';
import { client, eventually, fetchAll, httpServer, POST, Recorder, rawServer, sleep } from './harness.ts';

const TEXT = Array.from({ length: 200 }, (_, i) => `data: {"n":${i},"text":"Grüße ${i * 7919}"}\n\n`).join('');

function answer(encoding: string, body: Buffer, bytesPerWrite = body.length) {
  return httpServer((_request, response: ServerResponse) => {
    response.writeHead(200, { 'content-encoding': encoding });
    for (let at = 0; at < body.length; at += bytesPerWrite) response.write(body.subarray(at, at + bytesPerWrite));
    response.end();
  });
}

const CODINGS: [string, string, (data: Buffer) => Buffer][] = [
  ['gzip', 'gzip', zlib.gzipSync],
  ['x-gzip in capitals', 'X-GZIP', zlib.gzipSync],
  ['deflate with zlib header', 'deflate', zlib.deflateSync],
  ['raw deflate', 'deflate', zlib.deflateRawSync],
  ['br', 'br', zlib.brotliCompressSync],
  ['identity and gzip', 'identity, gzip', zlib.gzipSync],
  ['br in gzip', 'br, gzip', (data) => zlib.gzipSync(zlib.brotliCompressSync(data))],
  ['gzip twice', 'gzip, gzip', (data) => zlib.gzipSync(zlib.gzipSync(data))],
  ['deflate in br', 'deflate, br', (data) => zlib.brotliCompressSync(zlib.deflateSync(data))],
];

describe.each(CODINGS)('%s', (_name, encoding, encode) => {
  it('is decoded, whatever the writes', async () => {
    for (const bytesPerWrite of [1 << 20, 100, 1]) {
      const sink = await fetchAll(client(await answer(encoding, encode(Buffer.from(TEXT)), bytesPerWrite)));
      expect(sink.outcome).toBe('end');
      expect(sink.text).toBe(TEXT);
    }
  });

  it('cut short is upstream_error', async () => {
    const body = encode(Buffer.from(TEXT));
    const cut = body.subarray(0, body.length - 12);
    expect((await fetchAll(client(await answer(encoding, cut)))).outcome).toBe('upstream_error');
  });

  it('as a label of plain bytes is bad_upstream', async () => {
    const sink = await fetchAll(client(await answer(encoding, Buffer.from('{"id":"chatcmpl-1","choices":[]}'))));
    expect([sink.outcome, sink.text]).toEqual(['bad_upstream', '']);
  });

  it('with an empty body is an empty answer', async () => {
    const sink = await fetchAll(client(await answer(encoding, Buffer.alloc(0))));
    expect([sink.outcome, sink.text]).toEqual(['end', '']);
  });
});

describe('refused', () => {
  it.each(['zstd', 'compress', 'gzip, zstd', 'gzip, gzip, gzip', 'identity, identity, gzip', 'gzip;q=1'])(
    'content-encoding %s',
    async (encoding) => {
      const sink = await fetchAll(client(await answer(encoding, zlib.gzipSync('x'))));
      expect([sink.outcome, sink.head]).toEqual(['bad_upstream', null]);
    },
  );

  it('5,000 codings', async () => {
    const origin = await rawServer((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: ${'br,'.repeat(5000)}br\r\ncontent-length: 0\r\n\r\n`);
    });
    expect((await fetchAll(client(origin))).outcome).toBe('bad_upstream');
  });

  it('corrupt data in the middle', async () => {
    const body = zlib.gzipSync(randomBytes(10_000));
    body.fill(0xff, 4000, 4100);
    expect((await fetchAll(client(await answer('gzip', body)))).outcome).toBe('bad_upstream');
  });
});

describe('bombs', () => {
  const zeros = Buffer.alloc(64 << 20);
  it.each([
    ['gzip', 'gzip', zlib.gzipSync(zeros)],
    ['br', 'br', zlib.brotliCompressSync(zeros, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } })],
    ['gzip twice', 'gzip, gzip', zlib.gzipSync(zlib.gzipSync(zeros))],
    // The inner coding has nothing to show for the bytes the outer one inflates to.
    ['inside', 'deflate, gzip', zlib.gzipSync(Buffer.concat([Buffer.from([0x78, 0x01]), zeros]))],
  ])('%s is bad_upstream long before it is inflated', async (_name, encoding, bomb) => {
    const sink = new Recorder();
    let received = 0;
    sink.onData = (chunk) => {
      received += chunk.length;
    };
    client(await answer(encoding, bomb)).call(POST, sink);
    await within(8000, sink.settled, 'refusal');
    expect(sink.outcome).toBe('bad_upstream');
    expect(received).toBeLessThan(32 << 20);
  });

  it('does not take a long answer of few different words for one', async () => {
    const text = 'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'.repeat(10_000);
    const lines = Array.from({ length: 40_000 }, (_, i) => `data: {"id":"chatcmpl-1","n":${i}}\n\n`).join('');
    for (const body of [text, lines]) {
      const sink = await fetchAll(client(await answer('gzip', zlib.gzipSync(body))));
      expect([sink.outcome, sink.text.length]).toEqual(['end', body.length]);
    }
  });
});

describe('streaming', () => {
  it.each([
    ['gzip', () => zlib.createGzip()],
    ['deflate', () => zlib.createDeflate()],
    ['br', () => zlib.createBrotliCompress()],
  ] as const)('%s hands on each event when it was flushed', async (encoding, create) => {
    let send: (text: string) => void = () => {};
    let finish: () => void = () => {};
    const origin = await httpServer((_request, response) => {
      response.writeHead(200, { 'content-encoding': encoding });
      response.flushHeaders();
      const encoder = create();
      encoder.pipe(response);
      send = (text) => {
        encoder.write(text);
        encoder.flush();
      };
      finish = () => encoder.end();
    });
    const sink = new Recorder();
    client(origin).call(POST, sink);
    await within(2000, sink.headed, 'head');
    for (let i = 0; i < 5; i += 1) {
      const before = sink.text.length;
      send(`data: {"n":${i}}\n\n`);
      await eventually(`event ${i}`, () => sink.text.length > before);
    }
    finish();
    await within(2000, sink.settled, 'end');
    expect(sink.text).toBe([0, 1, 2, 3, 4].map((i) => `data: {"n":${i}}\n\n`).join(''));
  });

  it('stops the provider while paused', async () => {
    const total = 64 << 20;
    const block = randomBytes(256 * 1024);
    let sent = 0;
    const origin = await httpServer((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' });
      const encoder = zlib.createGzip({ level: 1 });
      encoder.pipe(response);
      const pump = () => {
        while (sent < total) {
          sent += block.length;
          if (!encoder.write(block)) return encoder.once('drain', pump);
        }
        return encoder.end();
      };
      pump();
    });
    const sink = new Recorder();
    let received = 0;
    sink.onData = (chunk) => {
      received += chunk.length;
    };
    const call = client(origin).call(POST, sink);
    await within(2000, sink.headed, 'head');
    call.pause();
    // What is on its way fills the buffers between; then nothing moves.
    for (let before = -1; before !== received + sent; ) {
      before = received + sent;
      await sleep(300);
    }
    expect(sent).toBeLessThan(total);
    call.resume();
    await eventually('more data', () => received > 1 << 20, 8000);
    call.abort();
  });

  it('loses nothing over many pauses', async () => {
    const data = randomBytes(2 << 20);
    const sink = new Recorder();
    const call = client(await answer('gzip', zlib.gzipSync(data))).call(POST, sink);
    sink.onChunk = () => {
      call.pause();
      setImmediate(() => call.resume());
    };
    await within(8000, sink.settled, 'end');
    expect(sink.outcome).toBe('end');
    expect(Buffer.concat(sink.chunks).equals(data)).toBe(true);
  });

  it('takes the end of the coding for the end of the answer', async () => {
    let closed = false;
    const origin = await httpServer((_request, response) => {
      response.on('close', () => {
        closed = true;
      });
      response.writeHead(200, { 'content-encoding': 'br' });
      response.write(Buffer.concat([zlib.brotliCompressSync('text'), Buffer.from('more')]));
    });
    const sink = new Recorder();
    client(origin).call(POST, sink);
    await within(3000, sink.settled, 'end');
    expect(sink.text).toBe('text');
    await eventually('closed connection', () => closed);
  });

  it('is silent after abort while data is being decoded', async () => {
    const sink = new Recorder();
    const call = client(await answer('gzip', zlib.gzipSync(randomBytes(4 << 20)))).call(POST, sink);
    sink.onChunk = () => call.abort();
    await eventually('chunk', () => sink.chunks.length > 0);
    await sleep(100);
    expect([sink.chunks.length, sink.outcome]).toEqual([1, 'nothing']);
  });
});
