/** Providers that compress, mislabel, speak another format or talk nonsense: read in full, or refused, never passed. */
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Coding, frameEvents, type Reply, TROUBLE } from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import { ask, expectNoneOf, idleAfterEach } from '../chat/support.ts';
import {
  codeOf,
  eventsOf,
  expectBroken,
  expectComplete,
  expectRefused,
  good,
  liveCanary,
  MODES,
  type Mode,
  patient,
  ROWS,
  request,
  STREAMS,
  type StreamSurface,
  said,
  stream,
  TEXT,
} from './streams.ts';
import { EMBEDDINGS } from './surfaces.ts';

const rig = useGateway({ config: patient });
let token: string;
beforeAll(async () => {
  token = await liveCanary(rig.gateway, rig.mock);
});
idleAfterEach(rig);

const refused = (on: StreamSurface, mode: Mode, reply: Reply) =>
  expectRefused({ gateway: rig.gateway, mock: rig.mock }, on, mode, reply, 502, 'bad_upstream');

/** The answer says the canary; the client must read nothing of it. */
async function expectStopped(on: StreamSurface, mode: Mode, change: (reply: Reply) => Reply): Promise<void> {
  rig.mock.reply(change(good(on, mode, `Here you go: ${token} and more 你好`)));
  const answer = await request(rig.gateway, on, mode === 'streamed');
  expect(codeOf(answer.text)).toBe('content_filter');
  expectNoneOf(token, answer.text);
}

const codings: readonly Coding[] = ['gzip', 'br', 'deflate', 'deflate-raw'];
const modes = STREAMS.flatMap((on) => MODES.map((mode) => [on.name, mode, on] as const));

/** One stored block of at most 128 KiB (RFC 8878, 3.1.1); the runtime has no encoder. */
function zstdFrame(bytes: Buffer): Buffer {
  const head = Buffer.from('28b52ffda00000000000000000'.slice(0, 24), 'hex');
  head.writeUInt32LE(bytes.length, 5);
  head.writeUIntLE((bytes.length << 3) | 1, 9, 3);
  return Buffer.concat([head, bytes]);
}

describe('U4 codings that nobody asked for', () => {
  it.each(modes)('%s, %s: are undone, read, and not sent on', async (_name, mode, on) => {
    for (const coding of codings) {
      rig.mock.reply({ ...good(on, mode, TEXT), coding });
      const answer = await request(rig.gateway, on, mode === 'streamed');
      expect(answer.headers.get('content-encoding')).toBe(null);
      if (mode === 'whole') expect(JSON.parse(answer.text)).toEqual(on.whole(TEXT));
      else expect(said(on, answer.text)).toBe(TEXT);
      expect(rig.mock.last.headers['accept-encoding']).toBe('identity');
      await expectStopped(on, mode, (reply) => ({ ...reply, coding }));
    }
  });

  it.each(modes)('%s, %s: of another kind, or not what they say, are refused', async (_name, mode, on) => {
    const plain =
      mode === 'whole'
        ? Buffer.from(JSON.stringify(on.whole(TEXT)))
        : Buffer.concat(frameEvents({ events: on.events(TEXT), named: on.named }));
    const type = mode === 'whole' ? 'application/json' : 'text/event-stream';
    const cases: [string, Buffer][] = [
      ['zstd', zstdFrame(plain)],
      ['zstd', plain],
      ['compress', plain],
      ['gzip', plain],
      ['gzip', gzipSync(plain).subarray(0, 40)],
      ['br', gzipSync(plain)],
      ['gzip', brotliCompressSync(plain)],
      ['gzip, gzip, gzip', gzipSync(gzipSync(gzipSync(plain)))],
      [Array(2_000).fill('gzip').join(','), gzipSync(plain)],
    ];
    for (const [coding, body] of cases) {
      const reply = { headers: { 'content-encoding': coding, 'content-type': type }, body };
      rig.mock.reply(reply);
      const answer = await request(rig.gateway, on, mode === 'streamed');
      expect([coding, answer.status]).toEqual([coding, 502]);
      expect(answer.text).not.toContain('fox');
    }
  });
});

describe('U5 media types', () => {
  it.each(ROWS)('%s: a stream is one whatever its label says, and is read', async (_, on) => {
    for (const contentType of ['text/plain', null, 'application/octet-stream', 'Text/Event-Stream']) {
      rig.mock.reply(stream(on, on.events(TEXT), { contentType }));
      const answer = await request(rig.gateway, on, true);
      expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
      expect(said(on, answer.text)).toBe(TEXT);
      await expectStopped(on, 'streamed', ({ stream: own }) => ({
        stream: { ...(own as NonNullable<typeof own>), contentType },
      }));
    }
  });

  it.each(ROWS)('%s: a whole answer is one whatever its label says, and is read', async (_, on) => {
    for (const type of ['text/plain', 'text/html', 'text/event-stream']) {
      const labelled = (reply: Reply): Reply => ({ ...reply, headers: { 'content-type': type } });
      rig.mock.reply(labelled({ json: on.whole(TEXT) }));
      const answer = await request(rig.gateway, on, false);
      expect(answer.headers.get('content-type')).toBe('application/json');
      expect(JSON.parse(answer.text)).toEqual(on.whole(TEXT));
      await expectStopped(on, 'whole', labelled);
    }
  });

  it.each(ROWS)(
    '%s: a document in place of a stream, and a stream in place of a document, are refused',
    async (_, on) => {
      await refused(on, 'streamed', { json: on.whole(TEXT) });
      await refused(on, 'streamed', { json: on.whole(TEXT), headers: { 'content-type': 'text/event-stream' } });
      await refused(on, 'whole', stream(on, on.events(TEXT)));
      await refused(on, 'whole', stream(on, on.events(TEXT), { contentType: 'application/json' }));
    },
  );
});

describe('U7 a 200 that is no answer', () => {
  it.each(modes)('%s, %s: an error object, a page, nothing, half a document are refused', async (_name, mode, on) => {
    await refused(on, mode, { json: on.error });
    await refused(on, mode, { json: on.errorBody });
    await refused(on, mode, TROUBLE.html200);
    await refused(on, mode, { ...TROUBLE.html200, headers: { 'content-type': 'text/plain' } });
    await refused(on, mode, TROUBLE.empty200);
    await refused(on, mode, { status: 204 });
    const half = JSON.stringify(on.whole(TEXT)).slice(0, -20);
    await refused(on, mode, { headers: { 'content-type': 'application/json' }, body: half });
    for (const json of [[], null, 'text', 1, {}, { id: 'x' }]) await refused(on, mode, { json });
  });

  it.each(ROWS)(
    '%s: an error as the first event is refused, a later one is handed on and ends the stream',
    async (_, on) => {
      const error = JSON.stringify(on.error);
      await refused(on, 'streamed', stream(on, [error]));
      const events = on.events(TEXT, 200);
      rig.mock.reply(stream(on, [...events.slice(0, on.opening + 1), error, ...events.slice(on.opening + 1)]));
      const answer = await request(rig.gateway, on, true);
      expect(said(on, answer.text)).toBe(TEXT);
      expect(eventsOf(answer.text).at(-1)).toEqual(on.error);
      expect(eventsOf(answer.text).some(on.completes)).toBe(false);
    },
  );
});

describe('U8 an event that cannot be read', () => {
  const MARK = 'markedStray';
  const strays = [
    `{"choices":[{"${MARK}":0,`,
    MARK,
    `{"${MARK}":1,"${MARK}":2}`,
    `["${MARK}"]`,
    `"${MARK}"`,
    `{"a":"${MARK}`,
  ];
  it.each(ROWS)('%s: ends the stream as broken, it is neither passed nor skipped', async (_, on) => {
    const events = on.events('你好你好你好', 2);
    for (const stray of [...strays, 'null', '[]', '7']) {
      rig.mock.reply(stream(on, [...events.slice(0, on.opening + 2), stray, ...events.slice(on.opening + 2)]));
      const answer = await request(rig.gateway, on, true);
      expectBroken(on, answer, 'upstream_error', '你好你好');
      expect(answer.text).not.toContain(MARK);
    }
  });

  it.each(ROWS)('%s: bytes that are no UTF-8 end it too', async (_, on) => {
    const frames = frameEvents({ events: on.events('你好你好', 4), named: on.named });
    const bad = Buffer.concat([Buffer.from(`data: "\xff"\n\n`, 'latin1'), ...frames]);
    rig.mock.reply({ headers: { 'content-type': 'text/event-stream' }, body: bad });
    const answer = await request(rig.gateway, on, true);
    expect([answer.status, codeOf(answer.text)]).toEqual([502, 'bad_upstream']);
  });
});

describe('U18 another format', () => {
  const pairs = STREAMS.flatMap((on) =>
    STREAMS.filter((other) => other !== on).map((other) => [on.name, other.name, on, other] as const),
  );
  // Both are lists of choices, so one is a valid answer of the other with unknown members.
  const alike = ({ named }: StreamSurface, other: StreamSurface) => !named && !other.named;

  it.each(pairs.filter(([, , on, other]) => !alike(on, other)))(
    '%s: events and documents of %s are refused',
    async (_name, _other, on, other) => {
      await refused(on, 'streamed', stream(other, other.events(TEXT)));
      await refused(on, 'streamed', stream(other, other.events(TEXT), { done: true }));
      await refused(on, 'whole', { json: other.whole(TEXT) });
    },
  );

  it.each(pairs)('%s: a leak in events and documents of %s does not come through', async (_name, _other, on, other) => {
    for (const mode of MODES) {
      for (const size of [3, 400]) {
        const leak = `Here: ${token} 你好`;
        rig.mock.reply(mode === 'whole' ? { json: other.whole(leak) } : stream(other, other.events(leak, size)));
        const answer = await request(rig.gateway, on, mode === 'streamed');
        expect(['bad_upstream', 'upstream_error', 'content_filter']).toContain(codeOf(answer.text));
        expectNoneOf(token, answer.text);
      }
    }
  });

  it.each(ROWS)('%s: lines of JSON, frames of other protocols and bare text are refused', async (_, on) => {
    const events = on.events(TEXT);
    const bodies: [string, string][] = [
      ['application/x-ndjson', `${events.join('\n')}\n`],
      ['text/event-stream', `${events.join('\n')}\n`],
      ['application/json-seq', events.map((event) => `\u001e${event}\n`).join('')],
      ['text/event-stream', '\u0081\u0005Hello'],
      ['text/plain', TEXT],
      ['text/event-stream', `data: ${TEXT.replaceAll('\n', ' ')}\n\n`],
    ];
    for (const [type, body] of bodies) {
      await refused(on, 'streamed', { headers: { 'content-type': type }, body });
    }
  });
});

describe('U19 redirects', () => {
  it.each(modes)('%s, %s: are neither followed nor handed on', async (_name, mode, on) => {
    for (const status of [300, 301, 302, 303, 304, 307, 308, 399]) {
      for (const location of ['http://169.254.169.254/latest/meta-data/', `${rig.mock.url}/elsewhere`]) {
        await refused(on, mode, { status, headers: { location } });
        expect(rig.mock.requests.length).toBe(1);
        rig.mock.clear();
      }
    }
  });

  it('embeddings, models and stored responses neither', async () => {
    for (const [method, path, body] of [
      ['POST', EMBEDDINGS.path, EMBEDDINGS.says('Hello')],
      ['GET', '/v1/models/mock-model', undefined],
    ] as const) {
      rig.mock.clear();
      rig.mock.reply(TROUBLE.redirect);
      const response = await fetch(rig.gateway.url + path, {
        method,
        headers: { authorization: `Bearer ${rig.gateway.key}`, 'content-type': 'application/json' },
        ...(body && { body: JSON.stringify(body) }),
        redirect: 'manual',
      });
      expect([response.status, codeOf(await response.text())]).toEqual([502, 'bad_upstream']);
      expect(rig.mock.requests.length).toBe(1);
    }
  });
});

it('U4 U5 U7 U8 U18 U19 leave nothing behind: the next answer is a good one', async () => {
  for (const on of STREAMS) {
    rig.mock.reply(good(on, 'streamed', TEXT));
    const { text } = await request(rig.gateway, on, true);
    expectComplete(on, text);
  }
  expect((await ask(rig.gateway, EMBEDDINGS.says('Hello'), {}, EMBEDDINGS.path)).status).toBe(200);
});
