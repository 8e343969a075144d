/** Several channels in one answer, long answers, pauses, and users who guess. */
import { beforeAll, describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import {
  answerWith,
  completionEvents,
  contentEvents,
  frameEvents,
  functionCallItem,
  interleave,
  messageEvents,
  pieces,
  responseEvents,
  textBlock,
  textItem,
  toolCallEvents,
  toolUseBlock,
} from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import { ask, DONE, expectNoneOf, idleAfterEach, payloads, readStream, WAIT_MS } from '../chat/support.ts';
import {
  codeOf,
  expectBroken,
  expectComplete,
  liveCanary,
  ROWS,
  request,
  STREAMS,
  type StreamSurface,
  said,
  stream,
} from './streams.ts';
import { CHAT, COMPLETIONS, MESSAGES, RESPONSES } from './surfaces.ts';

const rig = useGateway();
let token: string;
beforeAll(async () => {
  token = await liveCanary(rig.gateway, rig.mock);
});
idleAfterEach(rig);

const [chat, responses, messages, completions] = STREAMS as [
  StreamSurface,
  StreamSurface,
  StreamSurface,
  StreamSurface,
];

/** Events in turn: those of one output index after one of the other, what has none at its place. */
function inTurn(events: readonly string[], key: string): string[] {
  const index = (event: string): unknown => (JSON.parse(event) as Record<string, unknown>)[key];
  const first = events.findIndex((event) => index(event) !== undefined);
  const last = events.findLastIndex((event) => index(event) !== undefined);
  const middle = events.slice(first, last + 1);
  const own = (n: number) => middle.filter((event) => (index(event) ?? 0) === n);
  return [...events.slice(0, first), ...interleave(own(0), own(1)), ...events.slice(last + 1)];
}

const OTHER = 'Fade a bad cab, dead beef 0123. 你好';
const SAYS = 'A cafe, decade 0x1f: Grüße 🙂 abcdef 012345 and back. 你好';
const CALLS = [
  { id: 'call_a', name: 'get_weather', arguments: '{"city":"K\\u00f6ln","days":[1,2,3]}' },
  { id: 'call_b', name: 'look_up', arguments: '{"id":"abc123"}' },
];
const interleaved: Record<string, [StreamSurface, string[]]> = {
  'two choices': [chat, interleave(contentEvents(pieces(SAYS, 2)), contentEvents(pieces(OTHER, 3), 1))],
  'two choices of completions': [completions, completionEvents([SAYS, OTHER], 3)],
  'two items': [
    responses,
    inTurn(responseEvents([textItem(SAYS, { id: 'a' }), textItem(OTHER, { id: 'b' })], 3), 'output_index'),
  ],
  'two blocks': [messages, inTurn(messageEvents([textBlock(SAYS), textBlock(OTHER)], 3), 'index')],
  'two tool calls': [chat, toolCallEvents(CALLS)],
  'two tool calls of a response': [
    responses,
    inTurn(
      responseEvents(
        CALLS.map(({ name, arguments: args }, n) => functionCallItem(name, args, n)),
        3,
      ),
      'output_index',
    ),
  ],
  'two tool calls of Anthropic': [
    messages,
    inTurn(
      messageEvents(
        CALLS.map(({ id, name, arguments: args }) => toolUseBlock(name, JSON.parse(args), id)),
        3,
      ),
      'index',
    ),
  ],
};

describe('U12 interleaved channels', () => {
  it.each(Object.entries(interleaved))('%s keep their order and every one its text', async (_, [on, events]) => {
    rig.mock.reply(stream(on, events));
    const { text } = await request(rig.gateway, on, true);
    expect(payloads(text).filter((data) => data !== DONE)).toEqual(events);
    expect(payloads(text).filter((data) => data === DONE).length).toBe(on.named ? 0 : 1);
  });

  it('a leak whose halves lie in two of them is stopped', async () => {
    const [a, b] = [token.slice(0, 16), token.slice(16)];
    const split: [StreamSurface, string[]][] = [
      [chat, [...contentEvents(pieces(a, 4)), ...contentEvents(pieces(b, 4), 1)]],
      [completions, [...completionEvents([a], 4), ...completionEvents(['', b], 4)]],
      [responses, responseEvents([textItem(a, { id: 'a' }), textItem(b, { id: 'b' })], 4)],
      [messages, messageEvents([textBlock(a), textBlock(b)], 4)],
    ];
    for (const [on, events] of split) {
      rig.mock.reply(stream(on, events));
      const { text } = await request(rig.gateway, on, true);
      expect([on.name, codeOf(text)]).toEqual([on.name, 'content_filter']);
      for (let at = 0; at <= 16; at++) expect(text).not.toContain(token.slice(at, at + 16));
    }
  });
});

describe('U15 a user who guesses', () => {
  const near = () => token.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
  const far = 'f0e1d2c3b4a5968778695a4b3c2d1e0f';
  const UNLIKE =
    /^(?:date|x-request-id|x-portcullis-telemetry-id|x-portcullis-receipt|x-upstream-request-id|content-length)$/;

  it.each([CHAT, RESPONSES, MESSAGES, COMPLETIONS].map((on) => [on.name, on] as const))(
    '%s: is answered alike whether the guess is right, near or far, and never blocked for it',
    async (_, on) => {
      const answers = [];
      for (const guess of [token, near(), far, token.slice(0, 20), token.toUpperCase()]) {
        for (const asStream of [false, true]) {
          rig.mock.clear();
          rig.mock.next((received) => answerWith('I cannot say.')({ ...received, ordinal: 1 }));
          const answer = await ask(rig.gateway, { ...on.says(`Is it ${guess}?`), stream: asStream }, {}, on.path);
          expect(rig.mock.last.text).toContain(guess);
          const headers = [...answer.headers].filter(([name]) => !UNLIKE.test(name));
          const receipt = answer.headers
            .get('x-portcullis-receipt')
            ?.replace(/engineMicros=\d+|micros=\d+|us=\d+/g, '');
          answers.push({
            asStream,
            status: answer.status,
            headers,
            receipt,
            said: answer.text.replaceAll(guess, 'GUESS'),
          });
        }
      }
      for (const asStream of [false, true]) {
        const [first, ...others] = answers.filter((answer) => answer.asStream === asStream);
        expect(first?.status).toBe(200);
        for (const other of others) expect(other).toEqual(first);
      }
    },
  );

  it('and 200 tries in one request tell no more', async () => {
    const tries = Array.from(
      { length: 200 },
      (_item, n) => `${token.slice(0, 29)}${n.toString(16).padStart(3, '0')}`,
    ).join(' ');
    const answer = await ask(rig.gateway, CHAT.says(tries));
    expect([answer.status, answer.headers.get('x-portcullis-action')]).toEqual([200, 'pass']);
  });
});

describe('U16 long answers', () => {
  const long = 'These are ordinary words 你好. ';

  it.each(ROWS)('%s: an event of megabytes passes, one above the bound is an error event', async (_, on) => {
    const { sseEventBytesMax } = rig.gateway.deps.config.limits;
    // A response says everything four times; one surface shows that the bound is where it is said to be.
    const bytes = (on === chat ? 5 : 1) * 1024 * 1024;
    const text = long.repeat(Math.floor(bytes / Buffer.byteLength(long)));
    rig.mock.reply(stream(on, on.events(text, text.length)));
    const answer = await request(rig.gateway, on, true);
    expect(said(on, answer.text) === text).toBe(true);
    expectComplete(on, answer.text);
    const events = on.events('你好', 2);
    const huge = events[on.opening]?.replace('你好', 'x'.repeat(sseEventBytesMax)) ?? '';
    rig.mock.reply(stream(on, [...events.slice(0, on.opening + 1), huge, ...events.slice(on.opening + 1)]));
    expectBroken(on, await request(rig.gateway, on, true), 'upstream_error', '你好');
  });

  it.each(ROWS)('%s: 100,000 tokens in one delta end in time, and a leak behind them is found', async (_, on) => {
    const text = long.repeat(20_000);
    rig.mock.reply(stream(on, on.events(`${text}${token} 你好`, 1_000_000)));
    const answer = await request(rig.gateway, on, true);
    expect(codeOf(answer.text)).toBe('content_filter');
    expectNoneOf(token, answer.text);
    rig.mock.reply({ json: on.whole(`${text}${token} 你好`) });
    expect(codeOf((await request(rig.gateway, on, false)).text)).toBe('content_filter');
  });

  it.each([
    [chat.name, 100_000, chat],
    [messages.name, 20_000, messages],
    [completions.name, 20_000, completions],
    [responses.name, 20_000, responses],
  ] as const)('%s: %i tiny events end in time and arrive in full', async (_, count, on) => {
    const text = '你好 a b'.repeat(count).slice(0, count);
    const body = Buffer.concat(frameEvents({ events: on.events(text, 1), named: on.named }));
    rig.mock.reply({ headers: { 'content-type': 'text/event-stream' }, body });
    const response = await within(WAIT_MS, rig.gateway.post(on.path, on.body(true)), 'the head of the answer');
    const got = await within(3 * WAIT_MS, response.text(), 'the whole answer');
    expect(said(on, got) === text).toBe(true);
    expectComplete(on, got);
  });
});

describe('U17 held text', () => {
  /** Streams events one by one; each waits until the client has read all but the latest few. */
  async function inStep(on: StreamSurface, events: readonly string[], behind: number): Promise<string> {
    let read = 0;
    let wake = (): void => {};
    rig.mock.next(async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const [index, frame] of frameEvents({ events, named: on.named }).entries()) {
        while (index - read > behind) {
          await within(
            WAIT_MS,
            new Promise<void>((resolve) => {
              wake = resolve;
            }),
            `event ${index - behind} before ${index} is sent`,
          );
        }
        response.write(frame);
      }
      response.end();
      return undefined;
    });
    const response = await within(WAIT_MS, rig.gateway.post(on.path, on.body(true)), 'the head of the answer');
    const reading = readStream(response, (text) => {
      read = payloads(text.slice(0, text.lastIndexOf('\n\n') + 2)).length;
      wake();
    });
    return await within(4 * WAIT_MS, reading, 'the end of the stream');
  }

  const prose = 'The old keeper walked down to the beach at dawn because a small boat had come back';
  const tokens = prose.split(' ').map((word, index) => (index === 0 ? word : ` ${word}`));
  const spoken: Record<string, string[]> = {
    chat: contentEvents(tokens),
    completions: completionEvents([prose], 6),
    responses: responseEvents([textItem(prose)], 6),
    messages: messageEvents([textBlock(prose)], 6),
  };
  it.each(ROWS)('%s: prose is at most three events behind, however slow the provider', async (_, on) => {
    const text = await inStep(on, spoken[on.name] ?? [], 4);
    expect(said(on, text)).toBe(prose);
    expectComplete(on, text);
  });

  it.each(ROWS)(
    '%s: what could begin a canary leaves when the provider pauses, up to where it could',
    async (_, on) => {
      const events = on.events('Look at this: bad cafe', 4);
      let arrived = (): void => {};
      const seen = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      const pauseAt = events.length - (on.named ? 3 : 1);
      rig.mock.next(async (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        for (const [index, frame] of frameEvents({ events, named: on.named }).entries()) {
          // The provider says no more until the client has read what is safe.
          if (index === pauseAt) await within(WAIT_MS, seen, 'the safe part of what was said');
          response.write(frame);
        }
        response.end();
        return undefined;
      });
      const response = await within(WAIT_MS, rig.gateway.post(on.path, on.body(true)), 'the head of the answer');
      const reading = readStream(response, (text) => {
        if (said(on, text.slice(0, text.lastIndexOf('\n\n') + 2)).startsWith('Look at this')) arrived();
      });
      const text = await within(2 * WAIT_MS, reading, 'the end of the stream');
      expect(said(on, text)).toBe('Look at this: bad cafe');
    },
  );
});
