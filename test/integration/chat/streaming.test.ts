/** Streaming is streaming: deltas arrive as they are said, who leaves or stalls stops the provider, silence is filled. */
import { describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import { chunk, completion, contentEvents, toolCallEvents } from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import {
  CHAT,
  chatBody,
  chunks,
  expectIdle,
  head,
  metric,
  pause,
  RawClient,
  readStream,
  said,
  servingAfterEach,
  until,
  WAIT_MS,
} from './support.ts';

const CLIENT_WRITE_MS = 400;
const KEEP_ALIVE_MS = 50;

const rig = useGateway({
  config: (config) => ({
    ...config,
    timeouts: { ...config.timeouts, clientWriteMs: CLIENT_WRITE_MS },
    responses: { ...config.responses, keepAliveMs: KEEP_ALIVE_MS },
  }),
});
servingAfterEach(rig);

const STREAMED = chatBody({ stream: true });
const WORDS =
  'The old lighthouse keeper walked down to the beach at dawn because a small boat had come back during the night and ' +
  'nobody in the village could say whose it was, so he decided to look inside and found a faded note';

/** Opens a stream and reads it while `onText` sees what has arrived. */
async function open(
  body: object,
  signal?: AbortSignal,
): Promise<{ response: Response; read: (onText?: (text: string) => void) => Promise<string> }> {
  const request = fetch(rig.gateway.url + CHAT, {
    method: 'POST',
    headers: { authorization: `Bearer ${rig.gateway.key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  });
  const response = await within(WAIT_MS, request, 'the head of the answer');
  return { response, read: (onText) => readStream(response, onText) };
}

it('U17 hands on delta k before the provider sends delta k+3, holding next to nothing', async () => {
  const words = WORDS.split(' ')
    // Providers' tokens carry the blank in front; behind a word it would be held with the word's last letter.
    .map((word, index) => (index === 0 ? word : ` ${word}`))
    .slice(0, 40);
  expect(words.length).toBe(40);
  rig.mock.reply({ stream: { events: contentEvents(words), intervalMs: 50 } });
  const arrived: number[] = [];
  const { read } = await open(STREAMED);
  await within(
    10_000,
    read((text) => {
      const border = text.lastIndexOf('\n\n') + 2;
      const content = said(text.slice(0, border));
      for (let k = arrived.length; k < words.length && content.startsWith(words.slice(0, k + 1).join('')); k++) {
        arrived.push(performance.now());
      }
    }),
    'the end of the stream',
  );
  expect(arrived.length).toBe(40);
  // The first event is the role.
  const late = arrived.flatMap((at, k) => (at < (rig.mock.last.sentAt[k + 4] ?? Number.POSITIVE_INFINITY) ? [] : [k]));
  expect(late).toEqual([]);
  const held =
    (await metric(rig.gateway, 'portcullis_held_chars_sum')) /
    (await metric(rig.gateway, 'portcullis_held_chars_count'));
  expect(held).toBeLessThanOrEqual(2);
}, 15_000);

describe('U10 a client that leaves', () => {
  const slow = { stream: { events: contentEvents(Array(200).fill('words ') as string[]), intervalMs: 50 } };
  /** Aborts once `when` resolves; the provider must see it within a second. */
  async function leave(body: object, when: () => Promise<void>): Promise<void> {
    const controller = new AbortController();
    const running = open(body, controller.signal).then(({ read }) => read());
    running.catch(() => 'aborted by the test');
    await until('the request has reached the provider', () => rig.mock.requests.length === 1);
    await when();
    const { last } = rig.mock;
    expect(last.aborted).toBe(false);
    expect(await metric(rig.gateway, 'portcullis_in_flight_requests')).toBe(1);
    const left = performance.now();
    controller.abort();
    await within(1_000, last.over, 'the provider sees that the client has left');
    expect(last.aborted).toBe(true);
    expect((last.abortedAt ?? Number.POSITIVE_INFINITY) - left).toBeLessThan(1_000);
    await expect(running).rejects.toThrow();
    await expectIdle(rig.gateway);
    expect(await metric(rig.gateway, 'portcullis_in_flight_requests')).toBe(0);
  }

  it('before the headers stops the provider', async () => {
    rig.mock.reply({ fault: 'never' });
    await leave(STREAMED, () => pause(50));
  });

  it('between the headers and the first event stops the provider', async () => {
    rig.mock.reply({ fault: 'head-then-silence', headers: { 'content-type': 'text/event-stream' } });
    await leave(STREAMED, () => pause(50));
  });

  it('in the middle of a stream stops the provider', async () => {
    rig.mock.reply(slow);
    await leave(STREAMED, () => until('five deltas were sent', () => rig.mock.last.sentAt.length > 5));
  });

  it('while a tool call is held stops the provider', async () => {
    const events = toolCallEvents([
      { id: 'call_1', name: 'f', arguments: JSON.stringify({ text: 'x'.repeat(2_000) }) },
    ]);
    rig.mock.reply({ stream: { events, intervalMs: 20 } });
    await leave(STREAMED, () => until('five deltas were sent', () => rig.mock.last.sentAt.length > 5));
  });

  it('before a whole answer stops the provider', async () => {
    rig.mock.reply({ fault: 'never' });
    await leave(chatBody(), () => pause(50));
  });

  it('in the middle of a whole answer stops the provider', async () => {
    rig.mock.reply({ fault: 'head-then-silence' });
    await leave(chatBody(), () => pause(50));
  });

  it('before its own body is complete reaches no provider', async () => {
    const client = await RawClient.open(rig.gateway);
    client.send(`${head(rig.gateway, ['content-length: 1000'])}{"model":`);
    await until(
      'the request is in work',
      async () => (await metric(rig.gateway, 'portcullis_in_flight_requests')) === 1,
    );
    client.close();
    await expectIdle(rig.gateway);
    expect(rig.mock.requests).toEqual([]);
  });
});

describe('a client that does not read', () => {
  const request = (body: object) => {
    const text = JSON.stringify(body);
    return head(rig.gateway, [`content-length: ${Buffer.byteLength(text)}`]) + text;
  };

  it('stops the reading of the provider within a bound, then loses its connection', async () => {
    const event = chunk({ content: 'These are ordinary words. '.repeat(400) });
    let written = 0;
    rig.mock.next((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const more = (): void => {
        while (!response.destroyed && written < 200 * 1024 * 1024) {
          written += event.length + 8;
          if (!response.write(`data: ${event}\n\n`)) {
            response.once('drain', more);
            return;
          }
        }
        response.end();
      };
      more();
      return undefined;
    });
    const client = await RawClient.open(rig.gateway);
    client.socket.pause();
    const before = process.memoryUsage();
    client.send(request(STREAMED));
    await until('the stream is open', async () => (await metric(rig.gateway, 'portcullis_open_streams')) === 1);
    await pause(CLIENT_WRITE_MS / 2);
    // Both ends' kernel buffers, some megabytes on loopback, are all that may fill up.
    expect(written).toBeLessThan(24 * 1024 * 1024);
    expect(process.memoryUsage().external - before.external).toBeLessThan(24 * 1024 * 1024);
    await within(2_000, rig.mock.last.over, 'the provider is let go');
    expect(rig.mock.last.aborted).toBe(true);
    client.close();
  });

  it.each([
    ['a whole answer', { json: completion('Ordinary words. '.repeat(900_000)) }, chatBody()],
    [
      'the end of a stream',
      { stream: { events: contentEvents([90_000, 90_000, 220_000].map((times) => 'Ordinary words. '.repeat(times))) } },
      STREAMED,
    ],
  ])('loses its connection with %s half taken', async (_, reply, body) => {
    rig.mock.reply(reply);
    const client = await RawClient.open(rig.gateway);
    client.socket.pause();
    client.send(request(body));
    await until('the answer is under way', () => rig.mock.requests.length === 1);
    await expectIdle(rig.gateway);
    // Node looks twice before it calls a write stalled.
    await pause(CLIENT_WRITE_MS * 5);
    client.socket.resume();
    await client.closed(2_000);
    expect(client.text.length).toBeLessThan(14_000_000);
    expect(client.text.endsWith('data: [DONE]\n\n')).toBe(false);
  });

  it('keeps its connection as long as it takes something now and then', async () => {
    rig.mock.reply({ json: completion('Ordinary words. '.repeat(900_000)) });
    const client = await RawClient.open(rig.gateway);
    client.send(request(chatBody()));
    const turns = setInterval(
      () => (client.socket.isPaused() ? client.socket.resume() : client.socket.pause()),
      CLIENT_WRITE_MS / 4,
    );
    try {
      const answer = await client.whole(10_000);
      expect(Buffer.byteLength(answer.body, 'latin1')).toBe(Number(answer.headers.get('content-length')));
    } finally {
      clearInterval(turns);
      client.close();
    }
  }, 15_000);
});

describe('silence is filled with comments', () => {
  it('while a tool call is held', async () => {
    const events = toolCallEvents([{ id: 'call_1', name: 'f', arguments: '{"text":"some longer argument text"}' }]);
    rig.mock.reply({ stream: { events, intervalMs: 40 } });
    const { read } = await open(STREAMED);
    const text = await within(WAIT_MS, read(), 'the end of the stream');
    const beforeCall = text.slice(0, text.indexOf('tool_calls'));
    expect(beforeCall.match(/^: keep-alive\n\n/gm)?.length).toBeGreaterThanOrEqual(3);
    expect(chunks(text).length).toBe(events.length);
  });

  it('while the provider says nothing, and not while it does', async () => {
    const events = contentEvents(['First 你好 ', 'then 你好 ', 'last 你好']);
    rig.mock.reply({ stream: { events, intervalMs: 300 } });
    const slow = await within(WAIT_MS, (await open(STREAMED)).read(), 'the end of the stream');
    expect(slow.match(/^: keep-alive$/gm)?.length).toBeGreaterThanOrEqual(4);
    rig.mock.reply({ stream: { events: contentEvents(Array(30).fill('word 你好 ') as string[]), intervalMs: 10 } });
    const busy = await within(WAIT_MS, (await open(STREAMED)).read(), 'the end of the stream');
    expect(busy).not.toContain('keep-alive');
  });
});
