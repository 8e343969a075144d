import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SseParser } from '../../../gateway/stream/sse.ts';
import { within } from '../../helpers/deadline.ts';
import {
  answerWith,
  type Coding,
  chunk,
  completion,
  contentEvents,
  FRAMINGS,
  leakWith,
  MockUpstream,
  pieces,
  type Reply,
  TROUBLE,
  toolCallEvents,
} from '../../helpers/mockUpstream.ts';

let mock: MockUpstream;
beforeAll(async () => {
  mock = await MockUpstream.start();
});
afterEach(() => mock.clear());
afterAll(() => mock.close());

const CHAT = {
  model: 'm',
  messages: [
    { role: 'system', content: 'Be kind.' },
    { role: 'user', content: 'Hi' },
  ],
};

function post(body: unknown = CHAT, signal?: AbortSignal): Promise<Response> {
  const init = { method: 'POST', body: JSON.stringify(body), redirect: 'manual' as const };
  return within(3000, fetch(`${mock.url}/chat/completions`, signal ? { ...init, signal } : init), 'mock answer');
}

function dataOf(stream: Buffer): (string | null)[] {
  const data: (string | null)[] = [];
  const parser = new SseParser({ eventBytesMax: 1 << 20 }, (frame) => data.push(frame.data));
  parser.push(stream);
  parser.end();
  return data.filter((text) => text !== null);
}

async function stream(reply: Reply): Promise<(string | null)[]> {
  mock.reply(reply);
  const response = await post({ ...CHAT, stream: true });
  return dataOf(Buffer.from(await within(3000, response.arrayBuffer(), 'stream')));
}

describe('answers', () => {
  it('come from the queue, then from the fallback, and requests are recorded', async () => {
    mock.reply({ status: 418, json: { a: 1 } });
    mock.next((request) => ({ json: { echo: request.systemText } }));
    const first = await post();
    expect([first.status, await first.json()]).toEqual([418, { a: 1 }]);
    expect(await (await post()).json()).toEqual({ echo: 'Be kind.' });
    expect(await (await post()).json()).toEqual(completion('Hello from the mock.'));
    expect(mock.requests.length).toBe(3);
    expect(mock.last).toMatchObject({ method: 'POST', path: '/v1/chat/completions', json: CHAT, aborted: false });
  });

  it('list models without taking from the queue', async () => {
    mock.reply({ json: {} });
    const models = (await (await fetch(`${mock.url}/models`)).json()) as { data: { id: string }[] };
    expect(models.data.map(({ id }) => id)).toEqual(['mock-model']);
    expect(await (await post()).json()).toEqual({});
  });

  it('come with the bytes, the path and the query of the request', async () => {
    const bytes = Buffer.from([0x7b, 0xff, 0x7d]);
    await fetch(`${mock.url}/chat/completions?a=1&b=%20`, { method: 'POST', body: bytes });
    expect(mock.last).toMatchObject({ path: '/v1/chat/completions', query: 'a=1&b=%20', json: undefined });
    expect(mock.last.rawBody.equals(bytes)).toBe(true);
  });

  it('leak what the request brought', async () => {
    mock.next(leakWith((text) => [...text].reverse().join('')));
    expect(await (await post()).json()).toEqual(completion('.dnik eB'));
  });
});

describe('streams', () => {
  const events = contentEvents(['Grüße', ' 漢字']);

  it.each(FRAMINGS)('%s framing reads the same, whole and byte by byte', async (framing) => {
    const expected = [...events, '[DONE]'].map((text) => (text === '[DONE]' ? text : JSON.parse(text)));
    for (const bytesPerWrite of [1 << 16, 1]) {
      const data = await stream({ stream: { events, framing, bytesPerWrite } });
      expect(data.map((text) => (text === '[DONE]' ? text : JSON.parse(text ?? '')))).toEqual(expected);
    }
  });

  it.each(['gzip', 'br', 'deflate'] satisfies Coding[])('%s is decoded by a client', async (coding) => {
    expect(await stream({ coding, stream: { events } })).toEqual([...events, '[DONE]']);
  });

  it('have no [DONE], or text after it, when asked', async () => {
    expect(await stream({ stream: { events, done: false } })).toEqual(events);
    const late = chunk({ content: 'late' });
    expect(await stream({ stream: { events, afterDone: [late] } })).toEqual([...events, '[DONE]', late]);
  });

  it.each(FRAMINGS)('%s framing keeps event names', async (framing) => {
    const broken = '{"type":"response.output_text.delta","delta":"';
    const payloads = ['{"type":"response.created","a":1}', '{"b":2,"type":"ping"}', broken];
    mock.reply({ stream: { events: [...payloads, { event: 'own', data: '{}' }], named: true, framing } });
    const names: (string | null)[] = [];
    const parser = new SseParser({ eventBytesMax: 1 << 20 }, (frame) => frame.data !== null && names.push(frame.event));
    parser.push(Buffer.from(await within(3000, (await post()).arrayBuffer(), 'stream')));
    parser.end();
    expect(names).toEqual(['response.created', 'ping', 'response.output_text.delta', 'own']);
  });

  it('with event names have [DONE] only when asked', async () => {
    const named = [{ event: 'ping', data: '{}' }];
    expect(await stream({ stream: { events: named } })).toEqual(['{}']);
    expect(await stream({ stream: { events: named, done: true } })).toEqual(['{}', '[DONE]']);
  });

  it('take their time', async () => {
    mock.next(answerWith('one two three', 4, { intervalMs: 20 }));
    const start = performance.now();
    await (await post({ ...CHAT, stream: true })).text();
    expect(performance.now() - start).toBeGreaterThan(90);
    expect(mock.last.sentAt.length).toBe(pieces('one two three', 4).length + 3);
  });

  it('interleave parallel tool calls', async () => {
    const calls = [
      { id: 'a', name: 'f', arguments: '{"x":1}' },
      { id: 'b', name: 'g', arguments: '{"y":22}' },
    ];
    const data = await stream({ stream: { events: toolCallEvents(calls) } });
    const parts = data
      .slice(0, -1)
      .flatMap((text) => JSON.parse(text ?? '').choices[0].delta.tool_calls ?? [])
      .map((part: { index: number; function: { arguments: string } }) => [part.index, part.function.arguments]);
    expect(parts).toEqual([
      [0, ''],
      [1, ''],
      [0, '{"x"'],
      [1, '{"y"'],
      [0, ':1}'],
      [1, ':22}'],
    ]);
  });
});

describe('faults', () => {
  it('before the head', async () => {
    for (const fault of ['destroy', 'reset'] as const) {
      mock.reply({ fault });
      await expect(post()).rejects.toThrow();
    }
  });

  it('after k events and inside one', async () => {
    const events = contentEvents(['a', 'b', 'c']);
    for (const how of ['destroy', 'reset', 'end'] as const) {
      mock.reply({ stream: { events, cut: { afterEvents: 2, midEvent: true, how } } });
      const response = await post();
      const received: Uint8Array[] = [];
      const reading = (async () => {
        for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) received.push(part);
      })();
      if (how === 'end') await reading;
      else await expect(within(2000, reading, 'cut')).rejects.toThrow();
      const data = dataOf(Buffer.concat(received));
      expect(data.slice(0, 2)).toEqual(events.slice(0, 2));
      expect(data.length).toBe(3);
    }
  });

  it('an abort is noticed', async () => {
    for (const reply of [{ fault: 'never' }, { fault: 'head-then-silence' }] satisfies Reply[]) {
      mock.reply(reply);
      const abort = new AbortController();
      setTimeout(() => abort.abort(), 50);
      await expect(post(CHAT, abort.signal).then((response) => response.text())).rejects.toThrow();
      await within(1000, mock.last.over, 'abort');
      expect([mock.last.aborted, typeof mock.last.abortedAt]).toEqual([true, 'number']);
    }
  });

  it.each(Object.keys(TROUBLE) as (keyof typeof TROUBLE)[])('%s can be sent', async (name) => {
    mock.reply(TROUBLE[name]);
    if (name === 'hugeHeader') return void (await expect(post()).rejects.toThrow());
    const trouble: Reply = TROUBLE[name];
    expect((await post()).status).toBe(trouble.status ?? 200);
  });
});
