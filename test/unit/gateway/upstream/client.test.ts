import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { parseUpstreamUrl } from '../../../../gateway/upstream/client.ts';
import { within } from '../../../helpers/deadline.ts';
import { client, eventually, fetchAll, httpServer, POST, Recorder, rawServer, sleep } from './harness.ts';

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

describe('parseUpstreamUrl', () => {
  it.each([
    ['https://api.example.com/v1', 'https://api.example.com', '/v1'],
    ['https://api.example.com/v1/', 'https://api.example.com', '/v1'],
    ['http://127.0.0.1:8080', 'http://127.0.0.1:8080', ''],
    ['HTTP://LOCALHOST:80/', 'http://localhost', ''],
    ['https://[::1]:8443/openai/v1//', 'https://[::1]:8443', '/openai/v1'],
  ])('splits %s', (url, origin, basePath) => {
    expect(parseUpstreamUrl(url)).toEqual({ origin, basePath });
  });

  it.each([
    'ftp://example.com/v1',
    'file:///etc/passwd',
    'api.example.com/v1',
    '',
    'https://user:secret-word@example.com/v1',
    'https://@example.com/v1',
    'https:\\\\user:secret-word@example.com',
    'https://example.com/v1?key=secret-word',
    'https://example.com/v1?',
    'https://example.com/v1#secret-word',
  ])('refuses %j without quoting it', (url) => {
    expect(() => parseUpstreamUrl(url)).toThrow(/^expected an upstream address(?!.*secret-word)/);
  });
});

describe('a call', () => {
  it('sends method, path and body, and gives head, chunks and one end', async () => {
    let seen = '';
    const origin = await httpServer(async (request, response) => {
      seen = `${request.method} ${request.url} ${await bodyOf(request)}`;
      response.writeHead(429, { 'content-type': 'application/json', 'retry-after': '3' });
      response.end('{"error":{}}');
    });
    const sink = await fetchAll(client(origin));
    expect(seen).toBe('POST /v1/chat/completions {"model":"m"}');
    expect(sink.head?.status).toBe(429);
    expect(sink.head?.contentType).toBe('application/json');
    expect([...(sink.head?.headers ?? [])]).toEqual([['retry-after', '3']]);
    expect(sink.text).toBe('{"error":{}}');
    expect(sink.outcome).toBe('end');
  });

  it('reuses its connection and hands on chunks as they arrive', async () => {
    const sockets = new Set<Socket>();
    let write: (text: string) => void = () => {};
    const origin = await httpServer((request, response) => {
      sockets.add(request.socket);
      write = (text) => (text === '' ? response.end() : response.write(text));
      response.flushHeaders();
    });
    const upstream = client(origin);
    for (let round = 0; round < 3; round += 1) {
      const sink = new Recorder();
      upstream.call(POST, sink);
      await within(2000, sink.headed, 'head');
      for (const text of ['one', 'two', 'three']) {
        const before = sink.chunks.length;
        write(text);
        await eventually(`chunk ${text}`, () => sink.chunks.length > before);
      }
      write('');
      await within(2000, sink.settled, 'end');
      expect(sink.text).toBe('onetwothree');
      // A connection is free again one turn after its answer ended.
      await sleep(10);
    }
    expect(sockets.size).toBe(1);
  });

  it('skips informational answers', async () => {
    const origin = await httpServer((_request, response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' });
      response.end('real');
    });
    const sink = await fetchAll(client(origin));
    expect([sink.head?.status, sink.text, sink.outcome]).toEqual([200, 'real', 'end']);
  });

  it('calls nothing before it returns, not even for a closed client', async () => {
    const origin = await httpServer((_request, response) => void response.end());
    const upstream = client(origin);
    await upstream.close();
    await upstream.close();
    const sink = new Recorder();
    upstream.call(POST, sink);
    expect(sink.outcome).toBe('nothing');
    await within(2000, sink.settled, 'error');
    expect(sink.outcome).toBe('upstream_unreachable');
  });

  it('ends with internal_error when the sink throws, whichever callback it is', async () => {
    const origin = await httpServer((_request, response) => void response.end('text'));
    for (const callback of ['onHead', 'onData', 'onEnd'] as const) {
      const sink = new Recorder();
      sink[callback] = () => {
        throw new Error('bug');
      };
      client(origin).call(POST, sink);
      await within(2000, sink.settled, 'error');
      await sleep(20);
      expect(sink.outcome, callback).toBe('internal_error');
    }
  });

  it('closes after the calls under way', async () => {
    const origin = await httpServer((_request, response) => {
      response.write('a');
      setTimeout(() => response.end('b'), 50);
    });
    const upstream = client(origin);
    const sink = new Recorder();
    upstream.call(POST, sink);
    await within(2000, sink.headed, 'head');
    await within(2000, upstream.close(), 'close');
    expect([sink.text, sink.outcome]).toEqual(['ab', 'end']);
  });
});

describe('pause and resume', () => {
  it('stops reading from the provider while paused and loses nothing', async () => {
    const total = 64 * 1024 * 1024;
    let sent = 0;
    const origin = await httpServer((_request, response) => {
      const block = Buffer.alloc(256 * 1024, 0x61);
      const pump = () => {
        while (sent < total) {
          sent += block.length;
          if (!response.write(block)) return response.once('drain', pump);
        }
        return response.end();
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
    await sleep(100);
    const atPause = received;
    const sentAtPause = sent;
    await sleep(200);
    expect(received).toBe(atPause);
    expect(sent).toBe(sentAtPause);
    expect(sentAtPause).toBeLessThan(total / 2);
    call.resume();
    await within(8000, sink.settled, 'end');
    expect(received).toBe(total);
    expect(sink.outcome).toBe('end');
  });

  it('may be resumed from inside the callback of another call', async () => {
    const origin = await httpServer((request, response) => {
      response.write('x'.repeat(100));
      if (request.headers['x-trace'] === 'second') setTimeout(() => response.end('y'), 50);
      else setTimeout(() => response.end('z'.repeat(100_000)), 10);
    });
    const upstream = client(origin);
    const first = new Recorder();
    const second = new Recorder();
    const call = upstream.call({ ...POST, headers: { 'x-trace': 'first' } }, first);
    first.onChunk = () => call.pause();
    await within(2000, first.headed, 'head');
    second.onChunk = () => {
      first.onChunk = () => {};
      call.resume();
    };
    upstream.call({ ...POST, headers: { 'x-trace': 'second' } }, second);
    await within(2000, Promise.all([first.settled, second.settled]), 'both ends');
    expect([first.outcome, second.outcome]).toEqual(['end', 'end']);
    expect(first.text.length).toBe(100_100);
  });

  it('works when paused before the connection is made', async () => {
    const origin = await httpServer((_request, response) => void response.end('text'));
    const sink = new Recorder();
    const call = client(origin).call(POST, sink);
    call.pause();
    await within(2000, sink.headed, 'head');
    await sleep(30);
    expect(sink.text).toBe('');
    call.resume();
    await within(2000, sink.settled, 'end');
    expect([sink.text, sink.outcome]).toEqual(['text', 'end']);
  });
});

describe('abort', () => {
  it.each(['before the head', 'after the head', 'while data flows', 'while paused'])(
    'closes the connection %s and stays silent',
    async (phase) => {
      let closed = false;
      let arrived: () => void = () => {};
      const arrival = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      const origin = await httpServer((_request, response) => {
        response.on('close', () => {
          closed = true;
        });
        arrived();
        if (phase === 'before the head') return;
        response.flushHeaders();
        if (phase === 'after the head') return;
        const timer = setInterval(() => response.write('data: x\n\n'), 5);
        response.on('close', () => clearInterval(timer));
      });
      const sink = new Recorder();
      const call = client(origin).call(POST, sink);
      await within(2000, arrival, 'request');
      if (phase !== 'before the head') await within(2000, sink.headed, 'head');
      if (phase.startsWith('while')) await eventually('data', () => sink.chunks.length > 0);
      if (phase === 'while paused') call.pause();
      call.abort();
      call.abort();
      call.resume();
      call.pause();
      const chunks = sink.chunks.length;
      await eventually('closed connection', () => closed, 1000);
      await sleep(30);
      expect([sink.chunks.length, sink.outcome]).toEqual([chunks, 'nothing']);
    },
  );

  it('keeps a request that waits for a connection from being sent', async () => {
    const paths: string[] = [];
    const open: (() => void)[] = [];
    const origin = await httpServer((request, response) => {
      paths.push(request.url ?? '');
      open.push(() => response.end());
    });
    const upstream = client(origin, { connectionsMax: 1 });
    const [first, second, third] = [new Recorder(), new Recorder(), new Recorder()];
    upstream.call({ ...POST, path: '/1' }, first);
    await eventually('first request', () => open.length === 1);
    upstream.call({ ...POST, path: '/2' }, second).abort();
    upstream.call({ ...POST, path: '/3' }, third);
    open[0]?.();
    await eventually('third request', () => open.length === 2);
    open[1]?.();
    await within(2000, third.settled, 'third end');
    expect(paths).toEqual(['/v1/1', '/v1/3']);
    expect([first.outcome, second.outcome, third.outcome]).toEqual(['end', 'nothing', 'end']);
  });

  it('from inside a callback ends the callbacks', async () => {
    const origin = await httpServer((_request, response) => {
      response.write('a');
      setTimeout(() => response.end('b'), 20);
    });
    const sink = new Recorder();
    const call = client(origin).call(POST, sink);
    sink.onChunk = () => call.abort();
    await eventually('chunk', () => sink.chunks.length > 0);
    await sleep(60);
    expect([sink.text, sink.outcome]).toEqual(['a', 'nothing']);
  });
});

describe('keep-alive race', () => {
  it('answers upstream_unreachable and does not send the request a second time', async () => {
    let requests = 0;
    const origin = await rawServer((socket) => {
      requests += 1;
      if (requests === 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      else socket.destroy();
    });
    const upstream = client(origin);
    expect((await fetchAll(upstream)).outcome).toBe('end');
    const sink = await fetchAll(upstream);
    expect([sink.outcome, sink.head]).toEqual(['upstream_unreachable', null]);
    expect(requests).toBe(2);
  });

  it('uses a fresh connection when the idle one was closed before', async () => {
    const origin = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      setTimeout(() => socket.end(), 10);
    });
    const upstream = client(origin);
    expect((await fetchAll(upstream)).outcome).toBe('end');
    await sleep(50);
    expect((await fetchAll(upstream)).outcome).toBe('end');
  });
});

it('destroy ends the calls under way', async () => {
  const origin = await httpServer((_request, response) => response.flushHeaders());
  const upstream = client(origin);
  const sink = new Recorder();
  upstream.call(POST, sink);
  await within(2000, sink.headed, 'head');
  await within(2000, upstream.destroy(), 'destroy');
  await within(2000, sink.settled, 'error');
  expect(sink.outcome).toBe('upstream_error');
});
