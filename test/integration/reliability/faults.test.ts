/** Providers that die or fall silent and clients that leave: an end in time, never a clean one, and nothing left behind. */
import { describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import type { Reply } from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import { expectIdle, head, idleAfterEach, metric, pause, RawClient, until, WAIT_MS } from '../chat/support.ts';
import {
  codeOf,
  eventsOf,
  expectBroken,
  expectRefused,
  good,
  label,
  MODES,
  patient,
  ROWS,
  request,
  STREAMS,
  type StreamSurface,
  stream,
} from './streams.ts';

const SILENCE_MS = 200;
const TOTAL_MS = 900;

const rig = useGateway({
  config: (config) => ({
    ...patient(config),
    timeouts: {
      ...config.timeouts,
      upstreamHeaderMs: SILENCE_MS,
      upstreamIdleMs: SILENCE_MS,
      upstreamTotalMs: TOTAL_MS,
    },
  }),
});
idleAfterEach(rig);

const at = () => ({ gateway: rig.gateway, mock: rig.mock });
const modes = STREAMS.flatMap((on) => MODES.map((mode) => [on.name, mode, on] as const));
/** Deltas that are released at once: nothing of them can begin a canary. */
const WORDS = '你好'.repeat(12);
const words = (on: StreamSurface) => on.events(WORDS, 2);

describe('U6 a provider that dies', () => {
  it.each(modes)('%s, %s: before or after its headers is a 502 as JSON', async (_name, mode, on) => {
    for (const fault of ['destroy', 'reset'] as const)
      await expectRefused(at(), on, mode, { fault }, 502, 'upstream_unreachable');
    await expectRefused(at(), on, mode, { fault: 'head-then-destroy', ...label(mode) }, 502, 'upstream_error');
  });

  it.each(ROWS)('%s: after k events, or half of one, leaves what was said and an error event', async (_, on) => {
    for (const how of ['destroy', 'reset', 'end'] as const) {
      for (const deltas of [1, 4]) {
        for (const midEvent of [false, true]) {
          rig.mock.reply(stream(on, words(on), { cut: { afterEvents: on.opening + deltas, how, midEvent } }));
          expectBroken(on, await request(rig.gateway, on, true), 'upstream_error', WORDS.slice(0, 2 * deltas));
        }
      }
    }
  });

  it.each(ROWS)('%s: before every event, with a clean close, is never a clean end', async (_, on) => {
    const events = words(on);
    for (let k = 0; k < events.length; k++) {
      rig.mock.reply(stream(on, events.slice(0, k), { done: false }));
      const { text } = await request(rig.gateway, on, true);
      expect(codeOf(text)).toMatch(/^(?:upstream_error|bad_upstream)$/);
      const complete = text.startsWith('{') ? [] : eventsOf(text).filter(on.completes);
      expect(complete.length).toBe(0);
    }
  });

  it.each(ROWS)('%s: in the middle of a whole answer is a 502', async (_, on) => {
    const bytes = Buffer.from(JSON.stringify(on.whole(WORDS)));
    rig.mock.next((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes.length });
      response.write(bytes.subarray(0, bytes.length >> 1));
      setTimeout(() => response.destroy(), 10);
      return undefined;
    });
    const answer = await request(rig.gateway, on, false);
    expect([answer.status, codeOf(answer.text)]).toEqual([502, 'upstream_error']);
  });

  it.each(ROWS.filter(([, on]) => on.call !== null))(
    '%s: a tool call that was cut is never completed',
    async (_, on) => {
      const events = on.call?.('{"path":"/tmp/very/long/path/to/remove"}') ?? [];
      const half = events.findIndex((event) => event.includes('tmp') || event.includes('"/t')) + 1;
      for (const how of ['destroy', 'reset', 'end'] as const) {
        rig.mock.reply(stream(on, events, { cut: { afterEvents: half, how } }));
        const { text } = await request(rig.gateway, on, true);
        expect(codeOf(text)).toMatch(/^(?:upstream_error|bad_upstream)$/);
        expect(text).not.toContain('remove');
        expect(text).not.toContain('/tm');
      }
    },
  );
});

/** All surfaces at once, since each takes its time; the provider answers each in its format. */
function everywhere(reply: (on: StreamSurface) => Reply, act: (on: StreamSurface) => Promise<void>): Promise<unknown> {
  rig.mock.fallback(({ path }) => reply(STREAMS.find((on) => on.path === path) as StreamSurface));
  return Promise.all(STREAMS.map(act));
}

/** Every call to the provider is over within a second of its answer. */
async function expectAllAborted(): Promise<void> {
  expect(rig.mock.requests.length).toBe(STREAMS.length);
  for (const { over } of rig.mock.requests) await within(1_000, over, 'the abort of the provider');
  expect(rig.mock.requests.map(({ aborted }) => aborted)).toEqual(STREAMS.map(() => true));
  await expectIdle(rig.gateway);
}

// The deadline for a connection needs a peer that does not answer at all: unit/gateway/upstream/faults.test.ts.
describe('U9 silence', () => {
  const faults = MODES.flatMap((mode) =>
    (['never', 'head-then-silence'] as const).map((fault) => [mode, fault] as const),
  );
  it.each(faults)('all surfaces, %s, %s: is a 504 in time', async (mode, fault) => {
    await everywhere(
      () => ({ fault, ...label(mode) }),
      async (on) => {
        const answer = await request(rig.gateway, on, mode === 'streamed');
        expect([on.name, answer.status, codeOf(answer.text)]).toEqual([on.name, 504, 'upstream_timeout']);
        expect(answer.headers.get('content-type')).toBe('application/json');
      },
    );
    await expectAllAborted();
  });

  it('all surfaces: in the middle of a stream is an error event', async () => {
    await everywhere(
      (on) => stream(on, words(on), { cut: { afterEvents: on.opening + 2, how: 'silence' } }),
      async (on) => expectBroken(on, await request(rig.gateway, on, true), 'upstream_timeout', WORDS.slice(0, 4)),
    );
    await expectAllAborted();
  });

  it('all surfaces: a drip beyond the total time is an error event', async () => {
    await everywhere(
      (on) => stream(on, on.events('你好'.repeat(200), 2), { intervalMs: SILENCE_MS / 3 }),
      async (on) => {
        const { text } = await request(rig.gateway, on, true);
        expect(codeOf(text)).toBe('upstream_timeout');
        expect(eventsOf(text).some(on.completes)).toBe(false);
      },
    );
    await expectAllAborted();
  });

  it('all surfaces: in the middle of a whole answer is a 504', async () => {
    rig.mock.fallback((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"id":"x",');
      return undefined;
    });
    await Promise.all(
      STREAMS.map(async (on) => {
        const answer = await request(rig.gateway, on, false);
        expect([answer.status, codeOf(answer.text)]).toEqual([504, 'upstream_timeout']);
      }),
    );
    await expectAllAborted();
  });
});

// Scans run to their end within one turn and the store is a file, so there is no wait on either to leave in.
describe('U10 a client that leaves', () => {
  /** Leaves once `ready`; the provider sees it within a second, and no gauge keeps a trace. */
  async function leave(on: StreamSurface, asStream: boolean, reply: Reply, ready: () => Promise<void>): Promise<void> {
    rig.mock.clear();
    rig.mock.reply(reply);
    const client = await RawClient.open(rig.gateway);
    const body = JSON.stringify(on.body(asStream));
    client.send(head(rig.gateway, [`content-length: ${Buffer.byteLength(body)}`], `POST ${on.path} HTTP/1.1`) + body);
    await until('the provider has the request', () => rig.mock.requests.length === 1);
    await ready();
    const { last } = rig.mock;
    expect([last.aborted, await metric(rig.gateway, 'portcullis_in_flight_requests')]).toEqual([false, 1]);
    client.close();
    await within(1_000, last.over, 'the provider sees that the client has left');
    expect(last.aborted).toBe(true);
    await expectIdle(rig.gateway);
    expect(await metric(rig.gateway, 'portcullis_in_flight_requests')).toBe(0);
  }

  const slow = (on: StreamSurface, events: readonly string[]) => stream(on, events, { intervalMs: 20 });
  const sent = (count: number) => until('some events were sent', () => rig.mock.last.sentAt.length > count, WAIT_MS);
  /** Less than the silence that would end the call by itself. */
  const soon = () => pause(SILENCE_MS / 4);

  it.each(modes)('%s, %s: before the headers, and behind them, stops the provider', async (_name, mode, on) => {
    for (const fault of ['never', 'head-then-silence'] as const) {
      await leave(on, mode === 'streamed', { fault, ...label(mode) }, soon);
    }
  });

  it.each(ROWS)('%s: in the middle of a stream stops the provider', async (_, on) => {
    await leave(on, true, slow(on, on.events('你好'.repeat(200), 2)), () => sent(on.opening + 3));
  });

  it.each(ROWS.filter(([, on]) => on.call !== null))(
    '%s: while a tool call is held stops the provider',
    async (_, on) => {
      const events = on.call?.(JSON.stringify({ text: 'x'.repeat(2_000) })) ?? [];
      await leave(on, true, slow(on, events), () => sent(on.opening + 3));
    },
  );

  it.each(ROWS)('%s: in the middle of a whole answer stops the provider', async (_, on) => {
    rig.mock.clear();
    await leave(on, false, { fault: 'head-then-silence' }, soon);
  });

  it.each(ROWS)('%s: what came of the answer is counted, once', async (_, on) => {
    const tokens = async () =>
      (await rig.gateway.metrics())
        .split('\n')
        .filter((line) => /^portcullis_tokens_total/.test(line))
        .map((line) => Number(line.split(' ').at(-1)))
        .reduce((sum, value) => sum + value, 0);
    const before = await tokens();
    await leave(on, true, slow(on, on.events('你好 there '.repeat(200), 8)), () => sent(on.opening + 5));
    const after = await tokens();
    expect(after).toBeGreaterThan(before);
    await pause(50);
    expect(await tokens()).toBe(after);
  });
});

it('U6 U9 U10 leave nothing behind: the next answers are good ones', async () => {
  for (const [, mode, on] of modes) {
    rig.mock.reply(good(on, mode, WORDS));
    expect((await request(rig.gateway, on, mode === 'streamed')).status).toBe(200);
  }
});
