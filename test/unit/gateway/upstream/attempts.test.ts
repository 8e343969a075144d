/** When a request is made again, and when it must not be. */
import { createServer, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { ProviderConfig } from '../../../../config/schema.ts';
import { within } from '../../../helpers/deadline.ts';
import { eventually, Recorder, rawServer, sleep } from './harness.ts';
import { CHAT, chat, deadOrigin, make, type Setup, send, server } from './setup.ts';

const compatible = (url: string): ProviderConfig => ({ kind: 'openai-compatible', url });

/** Providers `a`, `b`, ... in this order, each the fallback of the one before. */
function chain(urls: readonly string[], setup: Setup = {}) {
  const names = urls.map((_, index) => String.fromCharCode(97 + index));
  const [provider = '', ...rest] = names;
  return make({
    providers: Object.fromEntries(urls.map((url, index) => [names[index], compatible(url)])),
    routes: [{ provider, fallback: rest.map((name) => ({ provider: name })) }],
    default: provider,
    ...setup,
  });
}

describe('a connection that cannot be made', () => {
  it('is tried once more, then the fallbacks are', async () => {
    const b = await server('b');
    const made = chain([await deadOrigin(), b.url]);
    const sink = await send(chat(made));
    expect([sink.text, sink.outcome, sink.head?.provider]).toEqual(['b', 'end', 'b']);
    expect(made.outcomes).toEqual(['a unreachable', 'a unreachable', 'b ok']);
    expect(b.seen.map(({ body }) => body)).toEqual(['{"model":"own"}']);
  });

  it('answers at the second try once the provider is back', async () => {
    const origin = await deadOrigin();
    const back = createServer((_request, response) => void response.end('back'));
    // Without a host it listens at once, before the second try.
    const made = chain([origin], { onOutcome: () => void back.listen(Number(new URL(origin).port)) });
    try {
      const sink = await send(chat(made));
      expect([sink.text, made.outcomes]).toEqual(['back', ['a unreachable', 'a ok']]);
    } finally {
      back.closeAllConnections();
      await new Promise((resolve) => back.close(resolve));
    }
  });

  it('ends with the last error when all are gone', async () => {
    const made = chain([await deadOrigin(), await deadOrigin()], { upstream: { attemptsMax: 8 } });
    const sink = await send(chat(made));
    expect(sink.outcome).toBe('upstream_unreachable');
    expect(made.outcomes).toEqual(['a unreachable', 'a unreachable', 'b unreachable', 'b unreachable']);
  });

  it.each([1, 2, 3])('is not tried more than %i times in all', async (attemptsMax) => {
    const made = chain([await deadOrigin(), await deadOrigin(), await deadOrigin()], { upstream: { attemptsMax } });
    expect((await send(chat(made))).outcome).toBe('upstream_unreachable');
    expect(made.outcomes).toHaveLength(attemptsMax);
  });

  it('is not tried again when the total deadline is over', async () => {
    let clock = 0;
    const made = chain([await deadOrigin()], {
      now: () => clock,
      onOutcome: () => {
        clock = 10_000;
      },
      timeouts: { upstreamTotalMs: 5000 },
    });
    expect((await send(chat(made))).outcome).toBe('upstream_unreachable');
    expect(made.outcomes).toEqual(['a unreachable']);
  });
});

describe('a request that was written', () => {
  it.each([
    ['closes without an answer', (socket: { destroy(): void }) => void socket.destroy(), 'upstream_unreachable'],
    ['stays silent', () => {}, 'upstream_timeout'],
    [
      'answers nonsense',
      (socket: { write(text: string): unknown }) => void socket.write('no HTTP\r\n\r\n'),
      'bad_upstream',
    ],
  ] as const)('is not made again when the provider %s', async (_what, behave, code) => {
    let requests = 0;
    const origin = await rawServer((socket) => {
      requests += 1;
      behave(socket);
    });
    const b = await server('b');
    const made = chain([origin, b.url], { timeouts: { upstreamHeaderMs: 100 } });
    expect((await send(chat(made))).outcome).toBe(code);
    expect([requests, b.seen.length]).toEqual([1, 0]);
  });

  it('is not made again after the first byte of an answer', async () => {
    const a = await server('a', (response) => {
      response.write('data: x');
      setTimeout(() => response.socket?.destroy(), 20);
    });
    const b = await server('b');
    const made = chain([a.url, b.url]);
    const sink = await send(chat(made));
    expect([sink.text, sink.outcome, b.seen.length]).toEqual(['data: x', 'upstream_error', 0]);
    expect(made.outcomes).toEqual(['a error']);
  });

  it('is made again on a fresh connection only where the idle one was seen to close', async () => {
    let requests = 0;
    const origin = await rawServer((socket) => {
      requests += 1;
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      setTimeout(() => socket.end(), 10);
    });
    const made = chain([origin]);
    for (let round = 0; round < 3; round += 1) {
      expect((await send(chat(made))).outcome).toBe('end');
      await sleep(40);
    }
    expect(requests).toBe(3);
  });
});

describe('a refused request', () => {
  const busy = (status: number) => (response: ServerResponse) =>
    void response.writeHead(status, { 'retry-after': '7' }).end(`refused with ${status}`);

  it.each([429, 503])('goes to the fallback for a listed status, %i', async (status) => {
    const [a, b] = [await server('a', busy(status)), await server('b')];
    const made = chain([a.url, b.url], { upstream: { fallbackStatuses: [429, 503] } });
    const sink = await send(chat(made));
    expect([sink.head?.status, sink.text, sink.outcome]).toEqual([200, 'b', 'end']);
    expect(made.outcomes).toEqual(['a refused', 'b ok']);
    expect([a.seen.length, b.seen.length]).toEqual([1, 1]);
  });

  it.each([
    ['the status is not listed', [503] as const, 3],
    ['the attempts are used up', [429] as const, 1],
  ])('is handed on when %s', async (_when, fallbackStatuses, attemptsMax) => {
    const [a, b] = [await server('a', busy(429)), await server('b')];
    const made = chain([a.url, b.url], { upstream: { fallbackStatuses: [...fallbackStatuses], attemptsMax } });
    const sink = await send(chat(made));
    expect([sink.head?.status, sink.head?.provider, sink.text]).toEqual([429, 'a', 'refused with 429']);
    expect([a.seen.length, b.seen.length]).toEqual([1, 0]);
  });

  it('is handed on when no other provider is left, and never made again at the same one', async () => {
    const [a, b] = [await server('a', busy(429)), await server('b', busy(503))];
    const made = chain([a.url, b.url], { upstream: { fallbackStatuses: [429, 503], attemptsMax: 8 } });
    const sink = await send(chat(made));
    expect([sink.head?.status, sink.head?.headers.get('retry-after')]).toEqual([503, '7']);
    expect(made.outcomes).toEqual(['a refused', 'b refused']);
  });

  it('may go to the same provider with another model', async () => {
    const a = await server('a', (response, { body }) =>
      body.includes('large') ? busy(429)(response) : response.end('small answer'),
    );
    const made = make({
      providers: { a: compatible(a.url) },
      routes: [{ provider: 'a', model: 'large', fallback: [{ provider: 'a', model: 'small' }] }],
      upstream: { fallbackStatuses: [429] },
    });
    expect((await send(chat(made))).text).toBe('small answer');
    expect(a.seen.map(({ body }) => body)).toEqual(['{"model":"large"}', '{"model":"small"}']);
  });
});

describe('a streamed body', () => {
  const streamed = (chunks: readonly string[]) =>
    ({
      kind: 'stream',
      stream: Readable.from(chunks, { objectMode: false }),
      contentType: 'a/b',
      contentLength: null,
    }) as const;

  it('arrives with its type, in chunks', async () => {
    const a = await server('a');
    const sink = await send(chat(chain([a.url])), { body: streamed(['one,', 'two']) });
    expect([sink.text, a.seen[0]?.body, a.seen[0]?.headers['content-type']]).toEqual(['a', 'one,two', 'a/b']);
    expect(a.seen[0]?.headers['transfer-encoding']).toBe('chunked');
  });

  it('goes to the fallback when nothing of it was read', async () => {
    const b = await server('b');
    const made = chain([await deadOrigin(), b.url]);
    const sink = await send(chat(made), { body: streamed(['one,', 'two']) });
    expect([sink.text, b.seen[0]?.body]).toEqual(['b', 'one,two']);
  });

  it('is not sent a second time, whatever the status', async () => {
    const a = await server('a', (response) => response.writeHead(503).end('busy'));
    const b = await server('b');
    const made = chain([a.url, b.url], { upstream: { fallbackStatuses: [503] } });
    const sink = await send(chat(made), { body: streamed(['one']) });
    expect([sink.head?.status, sink.text, b.seen.length]).toEqual([503, 'busy', 0]);
  });

  it('is left open when the provider ends the call, since its client still waits for an answer', async () => {
    const origin = await rawServer((socket) => void socket.destroy());
    const body = { ...streamed([]), stream: new Readable({ read() {} }), contentLength: 3 };
    body.stream.push('abc');
    const sink = new Recorder();
    chat(chain([origin])).call({ ...CHAT, body }, sink);
    await within(4000, sink.settled, 'the end of the call');
    expect([sink.outcome, body.stream.destroyed]).toEqual(['upstream_unreachable', false]);
  });
});

describe('a client that leaves', () => {
  it('stops the second try', async () => {
    const b = await server('b');
    const sink = new Recorder();
    const made = chain([await deadOrigin(), b.url], { onOutcome: () => call.abort() });
    const call = chat(made).call(CHAT, sink);
    await eventually('an attempt', () => made.outcomes.length > 0);
    await sleep(50);
    expect([made.outcomes, sink.outcome, b.seen.length]).toEqual([['a unreachable'], 'nothing', 0]);
  });

  it('closes the connection of the attempt under way and counts it as nobody’s fault', async () => {
    let closed = false;
    const a = await server('a', (response) => {
      response.on('close', () => {
        closed = true;
      });
      response.flushHeaders();
    });
    const made = chain([a.url], { upstream: { breaker: { failuresMax: 1, openMs: 1000 } } });
    const sink = new Recorder();
    const call = chat(made).call(CHAT, sink);
    await within(2000, sink.headed, 'the head');
    call.abort();
    call.abort();
    await eventually('the end of the connection', () => closed);
    expect([made.outcomes, made.changes, sink.outcome]).toEqual([['a aborted'], ['a closed'], 'nothing']);
  });
});

describe('a sink', () => {
  it('is told nothing before the call returns', async () => {
    const made = chain([await deadOrigin()]);
    await made.providers.destroy();
    const sink = new Recorder();
    chat(made).call(CHAT, sink);
    expect(sink.outcome).toBe('nothing');
    await within(2000, sink.settled, 'the end');
    expect(sink.outcome).toBe('upstream_unreachable');
  });

  it('that asks for a break before the connection gets it at the fallback too', async () => {
    const b = await server('b');
    const made = chain([await deadOrigin(), b.url]);
    const sink = new Recorder();
    const call = chat(made).call(CHAT, sink);
    call.pause();
    await eventually('the request', () => b.seen.length > 0);
    await sleep(50);
    expect([sink.text, sink.ended]).toEqual(['', 0]);
    call.resume();
    await within(2000, sink.settled, 'the end');
    expect(sink.text).toBe('b');
  });

  it('that throws ends the call with internal_error, once and for all', async () => {
    const [a, b] = [await server('a'), await server('b')];
    const made = chain([a.url, b.url], { upstream: { breaker: { failuresMax: 1, openMs: 1000 } } });
    const sink = new Recorder();
    sink.onChunk = () => {
      throw new Error('a bug');
    };
    chat(made).call(CHAT, sink);
    await within(2000, sink.settled, 'the end');
    expect([sink.outcome, b.seen.length, made.changes]).toEqual(['internal_error', 0, ['a closed', 'b closed']]);
  });
});
