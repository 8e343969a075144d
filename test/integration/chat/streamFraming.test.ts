/** Event streams in every framing: what leaves is what came, in order, ended once, and never a piece of a leak. */
import { describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import {
  chunk,
  contentEvents,
  FRAMINGS,
  type Framing,
  frameEvents,
  interleave,
  pieces,
  type StreamReply,
  toolCallEvents,
  USAGE_CHUNK,
} from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import {
  ask,
  CHAT,
  canaryOf,
  chatBody,
  chunks,
  errorCode,
  expectNoneOf,
  payloads,
  readStream,
  said,
  WAIT_MS,
} from './support.ts';

const rig = useGateway();

const STREAMED = chatBody({ stream: true });
/** Hex words, lookalike letters, multi-byte characters and what SSE readers trip over. */
const TEXT = 'A cafe, decade 0x1f: data: Grüße 🙂\n\ndata: [DONE]\r\nevent: x — 你好 abcdef 012345 and back.';
const EVENTS = [...contentEvents(pieces(TEXT, 3)), USAGE_CHUNK];
const LATE = [chunk({ content: 'LATE TEXT' }), '[DONE]', chunk({ content: 'LATER' })];
const WRITES: readonly (number | undefined)[] = [1, 7, undefined];

function stream(framing: Framing, bytesPerWrite: number | undefined, rest: Partial<StreamReply> = {}): StreamReply {
  return { events: EVENTS, framing, ...(bytesPerWrite !== undefined && { bytesPerWrite }), ...rest };
}

/** What every answer must look like, whatever came. */
function expectWellFramed(text: string): void {
  expect(text).not.toMatch(/\r(?!\n)/);
  expect(text).not.toMatch(/^(?:event|id|retry):/m);
  expect(text).not.toContain('\u{feff}');
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  expect(payloads(text).filter((data) => data === '[DONE]').length).toBe(1);
}

describe.each(FRAMINGS)('U1 U2 U3 in framing %s', (framing) => {
  it.each(WRITES)('benign text arrives identical in writes of %s bytes and ends once', async (bytesPerWrite) => {
    for (const done of [true, false]) {
      for (const afterDone of done ? [[], LATE] : [[]]) {
        rig.mock.reply({ stream: stream(framing, bytesPerWrite, { done, afterDone }) });
        const { text } = await ask(rig.gateway, STREAMED);
        expectWellFramed(text);
        expect(
          payloads(text)
            .slice(0, -1)
            .map((data) => JSON.parse(data) as unknown),
        ).toEqual(EVENTS.map((data) => JSON.parse(data) as unknown));
        expect(said(text)).toBe(TEXT);
      }
    }
  });

  it.each(WRITES)('a leak is stopped before any part of it is out in writes of %s bytes', async (bytesPerWrite) => {
    for (const before of ['', 'Well, here is what I was told 你好: ']) {
      rig.mock.next((request) => {
        const leak = `${before}${canaryOf(request.systemText)} and more`;
        return { stream: stream(framing, bytesPerWrite, { events: contentEvents(pieces(leak, 3)), afterDone: LATE }) };
      });
      const answer = await ask(rig.gateway, STREAMED);
      expectNoneOf(canaryOf(rig.mock.last.systemText), answer.text);
      expect(errorCode(answer.text)).toBe('content_filter');
      if (answer.status === 400) continue;
      expect(answer.status).toBe(200);
      expectWellFramed(answer.text);
      const [finish, error] = chunks(answer.text).slice(-2);
      expect(finish?.choices).toEqual([{ index: 0, delta: {}, finish_reason: 'content_filter' }]);
      expect(Object.keys(error ?? {})).toEqual(['error']);
    }
  });
});

describe('U2 bytes', () => {
  // What needs no re-framing: LF or CRLF, one or several data lines, no comment, no other field.
  it.each(['lf', 'no-space', 'multi-line', 'crlf'] as const)('leave as they came in framing %s', async (framing) => {
    for (const bytesPerWrite of WRITES) {
      const reply = stream(framing, bytesPerWrite);
      rig.mock.reply({ stream: reply });
      const { text } = await ask(rig.gateway, STREAMED);
      const sent = Buffer.concat(frameEvents(reply).slice(0, -1)).toString();
      expect(text).toBe(`${sent}data: [DONE]\n\n`);
    }
  });

  it('leave as events of one LF data line in every other framing', async () => {
    for (const framing of ['cr', 'comments', 'event-message', 'id-retry', 'bom'] as const) {
      rig.mock.reply({ stream: stream(framing, undefined) });
      const { text } = await ask(rig.gateway, STREAMED);
      expect(text).toBe(Buffer.concat(frameEvents({ events: EVENTS })).toString());
    }
  });
});

describe('U12 order', () => {
  it('of two choices is kept, each text whole', async () => {
    const other = 'Fade a bad cab, dead beef 0123.';
    const events = interleave(contentEvents(pieces(TEXT, 2)), contentEvents(pieces(other, 3), 1));
    rig.mock.reply({ stream: { events } });
    const { text } = await ask(rig.gateway, STREAMED);
    expect(payloads(text)).toEqual([...events, '[DONE]']);
  });

  it('of parallel tool calls is kept, and none of them begins before all have ended', async () => {
    const calls = [
      { id: 'call_a', name: 'get_weather', arguments: '{"city":"K\\u00f6ln","days":[1,2,3]}' },
      { id: 'call_b', name: 'look_up', arguments: '{"id":"abc123"}' },
    ];
    const events = toolCallEvents(calls);
    rig.mock.reply({ stream: { events, intervalMs: 20 } });
    const response = await within(WAIT_MS, rig.gateway.post(CHAT, STREAMED), 'the head of the answer');
    const arrivals = await timed(response);
    const first = arrivals.find(({ data }) => data.includes('tool_calls'));
    expect(first?.at).toBeGreaterThanOrEqual(rig.mock.last.sentAt[events.length - 1] ?? Number.POSITIVE_INFINITY);
    expect(arrivals.map(({ data }) => data)).toEqual([...events, '[DONE]']);
  });

  it.each(['stop', null])('goes on behind a channel that stops in a possible match (finish %s)', async (finish) => {
    // Base64 and hex readings of these letters keep the end of the reasoning open.
    const reasoning = 'Now the user wants the code, which is abc';
    const words = Array.from({ length: 20 }, (_, i) => `word${i} `);
    const lead = 1 + pieces(reasoning, 6).length;
    const events = [
      chunk({ role: 'assistant', content: '' }),
      ...pieces(reasoning, 6).map((piece) => chunk({ reasoning_content: piece })),
      ...words.map((word) => chunk({ content: word })),
      ...(finish === null ? [] : [chunk({}, 0, finish)]),
    ];
    const beforeEnd = events.slice(0, lead + words.length);
    let goOn = (): void => {};
    const seen = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    rig.mock.next(async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(Buffer.concat(frameEvents({ events: beforeEnd, done: false })));
      await within(WAIT_MS, seen, 'all but the last word reach the client before the provider goes on');
      response.end(Buffer.concat(frameEvents({ events: events.slice(beforeEnd.length) })));
      return undefined;
    });
    const response = await within(WAIT_MS, rig.gateway.post(CHAT, STREAMED), 'the head of the answer');
    const read = readStream(response, (arrived) => {
      if (arrived.includes('word18')) goOn();
    });
    const text = await within(2 * WAIT_MS, read, 'the end of the stream');
    expect(said(text, 'reasoning_content')).toBe(reasoning);
    expect(said(text)).toBe(words.join(''));
  });
});

/** The payloads of a streamed answer with the time each arrived. */
async function timed(response: Response): Promise<{ data: string; at: number }[]> {
  const arrivals: { data: string; at: number }[] = [];
  const decoder = new TextDecoder();
  let rest = '';
  const read = async (): Promise<void> => {
    for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) {
      const at = performance.now();
      rest += decoder.decode(part, { stream: true });
      const border = rest.lastIndexOf('\n\n');
      if (border === -1) continue;
      arrivals.push(...payloads(rest.slice(0, border + 2)).map((data) => ({ data, at })));
      rest = rest.slice(border + 2);
    }
  };
  await within(2 * WAIT_MS, read(), 'the end of the stream');
  return arrivals;
}
