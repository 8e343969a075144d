/** Providers that compress, mislabel, break off or talk nonsense: what the client gets, and that nothing stays behind. */
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import {
  type Coding,
  chunk,
  completion,
  contentEvents,
  leakWith,
  MockUpstream,
  pieces,
  type Reply,
  TROUBLE,
  toolCallEvents,
} from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import {
  ask,
  CHAT,
  canaryOf,
  chatBody,
  chunks,
  errorCode,
  errorOf,
  expectIdle,
  expectNoneOf,
  payloads,
  said,
  servingAfterEach,
  WAIT_MS,
} from './support.ts';

const TEXT = 'The quick brown fox jumps over the lazy dog. Grüße aus Köln 🙂, and that is all there is to tell.';
const OK_EVENTS = contentEvents(pieces(TEXT, 5));
const EVENT_BYTES_MAX = 64 * 1024;
const TOOL_BYTES_MAX = 32 * 1024;
const OUTPUT_BYTES_MAX = 256 * 1024;

const rig = useGateway({
  config: (config) => ({
    ...config,
    limits: {
      ...config.limits,
      sseEventBytesMax: EVENT_BYTES_MAX,
      toolCallBytesMax: TOOL_BYTES_MAX,
      outputBodyBytesMax: OUTPUT_BYTES_MAX,
    },
    timeouts: { ...config.timeouts, upstreamHeaderMs: 300, upstreamIdleMs: 300, upstreamTotalMs: 4_000 },
  }),
});
servingAfterEach(rig);

const bodies = { whole: chatBody(), streamed: chatBody({ stream: true }) };
type Mode = keyof typeof bodies;
/** What a provider calls the answer that was asked for. */
const labels: Record<Mode, Reply> = { whole: {}, streamed: { headers: { 'content-type': 'text/event-stream' } } };
const MODES: readonly Mode[] = ['whole', 'streamed'];

/** The whole error answer before the first byte. */
async function expectRefused(mode: Mode, reply: Reply, status: number, code: string): Promise<void> {
  rig.mock.reply(reply);
  const answer = await ask(rig.gateway, bodies[mode]);
  expect({ status: answer.status, code: errorCode(answer.text) }).toEqual({ status, code });
  expect(answer.headers.get('content-type')).toBe('application/json');
  expect(Object.keys(errorOf(answer.text)).sort()).toEqual(['code', 'message', 'param', 'type']);
}

async function expectBroken(reply: Reply, code: string, before: string): Promise<void> {
  rig.mock.reply(reply);
  const answer = await ask(rig.gateway, bodies.streamed);
  expect(answer.status).toBe(200);
  expect(said(answer.text)).toBe(before);
  expect(
    chunks(answer.text)
      .flatMap((part) => part.choices ?? [])
      .filter((choice) => choice.finish_reason),
  ).toEqual([]);
  expect(payloads(answer.text).at(-1)).toBe('[DONE]');
  const { error } = chunks(answer.text).at(-1) ?? {};
  expect(error).toEqual({ message: expect.any(String), type: 'server_error', param: null, code });
}

describe('U4 content codings that nobody asked for', () => {
  const codings: readonly Coding[] = ['gzip', 'br', 'deflate', 'deflate-raw'];
  it.each(codings)('decodes %s, streamed and whole, and sends it on plain', async (coding) => {
    rig.mock.reply({ coding, stream: { events: OK_EVENTS } });
    const streamed = await ask(rig.gateway, bodies.streamed);
    expect(said(streamed.text)).toBe(TEXT);
    expect(streamed.headers.get('content-encoding')).toBe(null);
    rig.mock.reply({ coding, json: completion(TEXT) });
    const whole = await ask(rig.gateway, bodies.whole);
    expect(JSON.parse(whole.text)).toEqual(completion(TEXT));
    expect(whole.headers.get('content-encoding')).toBe(null);
    expect(rig.mock.last.headers['accept-encoding']).toBe('identity');
  });

  it.each(codings)('stops a leak inside %s', async (coding) => {
    for (const mode of MODES) {
      rig.mock.next((request) => ({ ...leakWith((text) => text)(request), coding }));
      const answer = await ask(rig.gateway, bodies[mode]);
      expect(errorCode(answer.text)).toBe('content_filter');
      expectNoneOf(canaryOf(rig.mock.last.systemText), answer.text);
    }
  });

  it.each(MODES)('answers 502 for plain bytes labelled gzip (%s)', async (mode) => {
    const reply = mode === 'whole' ? { json: completion(TEXT) } : { stream: { events: OK_EVENTS } };
    await expectRefused(mode, { ...reply, coding: 'gzip-label-only' }, 502, 'bad_upstream');
  });

  it.each([['zstd'], ['gzip, gzip, gzip'], [Array(5000).fill('gzip').join(',')]])(
    'answers 502 for a coding that it does not undo (%#)',
    async (label) => {
      const reply = { headers: { 'content-encoding': label }, body: gzipSync(JSON.stringify(completion(TEXT))) };
      await expectRefused('whole', reply, 502, 'bad_upstream');
    },
  );

  it('answers 502 for a bomb', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, 0x20));
    await expectRefused('whole', { headers: { 'content-encoding': 'gzip' }, body: bomb }, 502, 'bad_upstream');
  });
});

describe('U5 U7 U18 wrong and missing media types', () => {
  it.each([['text/plain'], [null], ['application/octet-stream'], ['text/event-stream']])(
    'reads a stream labelled %s as a stream and stops its leak',
    async (contentType) => {
      rig.mock.reply({ stream: { events: OK_EVENTS, contentType } });
      const answer = await ask(rig.gateway, bodies.streamed);
      expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
      expect(said(answer.text)).toBe(TEXT);
      rig.mock.next(leakWith((text) => text, 5, { contentType }));
      const leaked = await ask(rig.gateway, bodies.streamed);
      expect(errorCode(leaked.text)).toBe('content_filter');
      expectNoneOf(canaryOf(rig.mock.last.systemText), leaked.text);
    },
  );

  const noStreams: Record<string, Reply> = {
    'a JSON completion': { json: completion(TEXT) },
    'a JSON completion without a type': { stream: { events: [], contentType: null, done: false }, headers: {} },
    'a page': TROUBLE.html200,
    'a page labelled as plain text': { ...TROUBLE.html200, headers: { 'content-type': 'text/plain' } },
    nothing: TROUBLE.empty200,
    'nothing, labelled as a stream': { headers: { 'content-type': 'text/event-stream' }, body: '' },
    'only an end': { stream: { events: [] } },
    'lines of JSON': { headers: { 'content-type': 'application/x-ndjson' }, body: `${chunk({ content: 'a' })}\n` },
    "another API's events": {
      stream: { events: ['{"type":"message_start","message":{}}', '{"type":"content_block_delta"}'], done: false },
    },
    'an error in a 200': TROUBLE.errorIn200,
    'an error as first event': { stream: { events: ['{"error":{"message":"no","type":"server_error"}}'] } },
    'a 204': { status: 204 },
  };
  it.each(Object.entries(noStreams))(
    'answers 502 as JSON where a stream was asked for and %s came',
    async (_, reply) => {
      await expectRefused('streamed', reply, 502, 'bad_upstream');
    },
  );

  const noDocuments: Record<string, Reply> = {
    'a stream': { stream: { events: OK_EVENTS } },
    'a page': TROUBLE.html200,
    nothing: TROUBLE.empty200,
    'an error in a 200': TROUBLE.errorIn200,
    'half a document': TROUBLE.truncatedJson,
    'a list': { json: [] },
    'a document without choices': { json: { id: 'x' } },
    'a repeated key': { body: '{"choices":[],"choices":[]}' },
    'bytes that are no text': { body: Buffer.from('{"choices":[],"x":"\xff"}', 'latin1') },
  };
  it.each(Object.entries(noDocuments))('answers 502 where a document was asked for and %s came', async (_, reply) => {
    await expectRefused('whole', reply, 502, 'bad_upstream');
  });

  it('reads a whole answer whatever its label says', async () => {
    rig.mock.reply({ json: completion(TEXT), headers: { 'content-type': 'text/plain' } });
    const answer = await ask(rig.gateway, bodies.whole);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(JSON.parse(answer.text)).toEqual(completion(TEXT));
  });
});

describe('U6 U7 U8 U19 streams that break', () => {
  const said2 = [chunk({ role: 'assistant', content: '' }), chunk({ content: 'Hello' }), chunk({ content: ' you' })];
  it("relays the provider's error event and ends", async () => {
    rig.mock.reply(TROUBLE.errorEvent);
    const answer = await ask(rig.gateway, bodies.streamed);
    expect(payloads(answer.text)).toEqual([...TROUBLE.errorEvent.stream.events, '[DONE]']);
  });

  it('replaces a broken event by an error event and aborts the provider', async () => {
    const events = [...said2, '{"choices":[{"index":0,', chunk({ content: 'late' }), chunk({}, 0, 'stop')];
    await expectBroken({ stream: { events, intervalMs: 60 } }, 'upstream_error', 'Hello you');
    await within(1_000, rig.mock.last.over, 'the abort of the provider');
    expect(rig.mock.last.aborted).toBe(true);
  });

  it.each([['destroy'], ['reset']] as const)(
    'answers 502 when the provider dies before its headers (%s)',
    async (fault) => {
      for (const mode of MODES) await expectRefused(mode, { fault }, 502, 'upstream_unreachable');
    },
  );

  it('answers 502 when the provider dies after its headers', async () => {
    for (const mode of MODES) {
      await expectRefused(mode, { fault: 'head-then-destroy', ...labels[mode] }, 502, 'upstream_error');
    }
  });

  const cuts = [
    { afterEvents: 3, how: 'destroy' },
    { afterEvents: 3, how: 'reset' },
    { afterEvents: 3, how: 'end' },
    { afterEvents: 3, midEvent: true, how: 'destroy' },
    { afterEvents: 3, midEvent: true, how: 'end' },
  ] as const;
  it.each(cuts)('sends an error event after what was said when the stream is cut: %j', async (cut) => {
    await expectBroken({ stream: { events: [...said2, ...OK_EVENTS], cut } }, 'upstream_error', 'Hello you');
  });

  it('never completes a tool call that was cut', async () => {
    const events = toolCallEvents([{ id: 'call_1', name: 'remove', arguments: '{"path":"/tmp/abc"}' }]);
    rig.mock.reply({ stream: { events, cut: { afterEvents: events.length - 1, how: 'end' } } });
    const answer = await ask(rig.gateway, bodies.streamed);
    expect(answer.text).not.toContain('tool_calls');
    expect(errorCode(answer.text)).toBe('upstream_error');
  });

  it('drops half a tool call when the provider reports an error', async () => {
    const events = toolCallEvents([{ id: 'call_1', name: 'remove', arguments: '{"path":"/tmp/abc"}' }]).slice(0, -3);
    const error = JSON.stringify({ error: { message: 'no', type: 'server_error', param: null, code: null } });
    rig.mock.reply({ stream: { events: [...events, error] } });
    const answer = await ask(rig.gateway, bodies.streamed);
    expect(payloads(answer.text)).toEqual([events[0], error, '[DONE]']);
  });

  it.each([[302], [307], [304], [399]])('does not follow or relay a %i', async (status) => {
    for (const mode of MODES) {
      await expectRefused(mode, { status, headers: { location: `${rig.mock.url}/elsewhere` } }, 502, 'bad_upstream');
      expect(rig.mock.requests.length).toBe(1);
      rig.mock.clear();
    }
  });
});

describe('U11 errors of the provider', () => {
  const cases: [string, Reply, string][] = [
    ['a rate limit', TROUBLE.rateLimited, JSON.stringify(TROUBLE.rateLimited.json)],
    ['a server error', TROUBLE.serverError, JSON.stringify(TROUBLE.serverError.json)],
  ];
  it.each(cases)('relays %s with its status, streamed or not', async (_, reply, text) => {
    for (const mode of MODES) {
      rig.mock.reply(reply);
      const answer = await ask(rig.gateway, bodies[mode]);
      expect(answer.status).toBe(reply.status);
      expect(answer.text).toBe(text);
      expect(answer.headers.get('content-type')).toBe('application/json');
      expect(answer.headers.get('retry-after')).toBe(reply.headers?.['retry-after'] ?? null);
      expect(answer.headers.get('x-ratelimit-remaining-requests')).toBe(
        reply.headers?.['x-ratelimit-remaining-requests'] ?? null,
      );
      // One call, one try: retrying is the client's decision.
      expect(rig.mock.requests.length).toBe(1);
      rig.mock.clear();
    }
  });

  const odd: [string, Reply, string, string][] = [
    ['a string', { status: 500, json: { error: 'out of memory' } }, 'out of memory', 'server_error'],
    [
      'a detail',
      { status: 422, json: { detail: [{ loc: ['body'] }] } },
      'The provider answered with status 422.',
      'invalid_request_error',
    ],
    [
      'a page',
      { status: 503, headers: { 'content-type': 'text/html' }, body: '<html>down</html>' },
      'The provider answered with status 503.',
      'server_error',
    ],
    ['nothing', { status: 429, body: '' }, 'The provider answered with status 429.', 'rate_limit_error'],
  ];
  it.each(odd)('turns %s into the error object', async (_, reply, message, type) => {
    for (const mode of MODES) {
      rig.mock.reply(reply);
      const answer = await ask(rig.gateway, bodies[mode]);
      expect(answer.status).toBe(reply.status);
      expect(JSON.parse(answer.text)).toEqual({ error: { message, type, param: null, code: 'upstream_error' } });
    }
  });
});

describe('U9 silence', () => {
  it.each([['never'], ['head-then-silence']] as const)('answers 504 in time for %s', async (fault) => {
    for (const mode of MODES) {
      const started = performance.now();
      await expectRefused(mode, { fault, ...labels[mode] }, 504, 'upstream_timeout');
      expect(performance.now() - started).toBeLessThan(1_300);
      await within(1_000, rig.mock.last.over, 'the abort of the provider');
    }
  });

  it('ends a stream that falls silent with an error event', async () => {
    const events = [chunk({ content: '你好' }), ...OK_EVENTS];
    await expectBroken({ stream: { events, cut: { afterEvents: 1, how: 'silence' } } }, 'upstream_timeout', '你好');
    await within(1_000, rig.mock.last.over, 'the abort of the provider');
  });

  it('ends a stream that drips beyond the total time', async () => {
    const events = Array.from({ length: 200 }, () => chunk({ content: 'word ' }));
    rig.mock.reply({ stream: { events, intervalMs: 100 } });
    const answer = await ask(rig.gateway, bodies.streamed);
    expect(errorCode(answer.text)).toBe('upstream_timeout');
    await within(1_000, rig.mock.last.over, 'the abort of the provider');
  });

  it('answers 502 when nobody listens', async () => {
    const gone = await MockUpstream.start();
    await gone.close();
    const lost = await rig.start({ upstream: gone.url });
    for (const mode of MODES) {
      const response = await within(WAIT_MS, lost.post(CHAT, bodies[mode]), 'an answer');
      expect(response.status).toBe(502);
      expect(errorCode(await response.text())).toBe('upstream_unreachable');
      expect(response.headers.get('x-should-retry')).toBe('true');
    }
    await expectIdle(lost);
  });
});

describe('U16 too much', () => {
  it('answers 502 for a whole answer over its limit', async () => {
    await expectRefused('whole', { json: completion('a'.repeat(OUTPUT_BYTES_MAX)) }, 502, 'bad_upstream');
    await expectRefused('streamed', { status: 500, body: 'a'.repeat(OUTPUT_BYTES_MAX + 1) }, 502, 'bad_upstream');
  });

  it('answers 502 for headers over their limit', async () => {
    for (const mode of MODES) await expectRefused(mode, TROUBLE.hugeHeader, 502, 'bad_upstream');
  });

  it('ends a stream at an event over its limit', async () => {
    const huge = chunk({ content: 'word '.repeat(EVENT_BYTES_MAX / 5) });
    await expectRefused('streamed', { stream: { events: [huge] } }, 502, 'bad_upstream');
    await expectBroken({ stream: { events: [chunk({ content: '你好' }), huge] } }, 'upstream_error', '你好');
    await within(1_000, rig.mock.last.over, 'the abort of the provider');
  });

  /** Arguments of this many characters in deltas of four, which is what providers send. */
  const call = (chars: number) => ({
    id: 'call_1',
    name: 'write',
    arguments: JSON.stringify({ text: 'word '.repeat(chars / 5) }),
  });

  it('counts the arguments of a tool call, not the frames around them', async () => {
    const { arguments: args } = call(20_000);
    rig.mock.reply({ stream: { events: toolCallEvents([call(20_000)]), bytesPerWrite: 65_536 } });
    const answer = await ask(rig.gateway, bodies.streamed);
    const got = chunks(answer.text)
      .flatMap((part) => part.choices ?? [])
      .flatMap((choice) => (choice.delta.tool_calls ?? []) as { function: { arguments: string } }[])
      .map((delta) => delta.function.arguments);
    expect(got.join('')).toBe(args);
  });

  it('stops a tool call over its limit as a guard that could not decide', async () => {
    rig.mock.reply({ stream: { events: toolCallEvents([call(TOOL_BYTES_MAX * 1.2)], 400) } });
    const answer = await ask(rig.gateway, bodies.streamed);
    expect(answer.text).not.toContain('tool_calls');
    const [stopped] = chunks(answer.text).slice(-2);
    expect(stopped?.choices).toEqual([{ index: 0, delta: {}, finish_reason: 'content_filter' }]);
    expect(errorCode(answer.text)).toBe('guardrail_unavailable');
    expect(payloads(answer.text).at(-1)).toBe('[DONE]');
  });
});
