/** Harmless answers through the gateway: the client reads what it would have read from the provider. */
import { describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import { FRAMINGS, type MockHandler } from '../../helpers/mockUpstream.ts';
import { seeded } from '../../helpers/random.ts';
import { useGateway } from '../../helpers/rig.ts';
import { WAIT_MS } from '../chat/support.ts';
import { eventsOf, type Fixture, type Folder, fixtures, inParts, parsedEvents, REQUESTS } from './support.ts';

const SPLITS = 40;
/** Cuts of one split. */
const CUTS_MAX = 60;
const random = seeded('identity');

// A busy machine must not make pauses in which waiting text is cut.
const rig = useGateway({
  config: (config) => ({ ...config, responses: { ...config.responses, holdFlushMs: 60_000 } }),
});

async function ask(origin: string, folder: Folder, handler: MockHandler, stream: boolean): Promise<string> {
  const { path, body } = REQUESTS[folder];
  rig.mock.next(handler);
  const sent = fetch(origin + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${rig.gateway.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, ...(stream && { stream }) }),
  });
  const response = await within(WAIT_MS, sent, 'the head of the answer');
  expect(response.status).toBe(200);
  return await within(4 * WAIT_MS, response.text(), 'the whole answer');
}

/** What a client is to read: nothing comes after an end, and every stream with a mark for it has that mark. */
function expected(direct: string, folder: Folder): { event: string; data: unknown }[] {
  const events = parsedEvents(direct).filter(({ data }) => data !== '[DONE]');
  const failed = events.findIndex(({ data }) => (data as { error?: unknown }).error !== undefined);
  const said = failed === -1 ? events : events.slice(0, failed + 1);
  const hasMark = folder === 'chat' || folder === 'completions';
  return hasMark ? [...said, { event: 'message', data: '[DONE]' }] : said;
}

describe.each(fixtures('.sse'))('$name', (fixture: Fixture) => {
  const { folder, bytes } = fixture;
  const through = (handler: MockHandler) => ask(rig.gateway.url, folder, handler, true);

  it('reads the same as it came', async () => {
    const direct = await ask(rig.mock.origin, folder, inParts(bytes, []), true);
    expect(direct).toBe(bytes.toString());
    expect(parsedEvents(await through(inParts(bytes, [])))).toEqual(expected(direct, folder));
  });

  it('reads the same in writes of one byte', async () => {
    const cuts = Array.from({ length: bytes.length - 1 }, (_, at) => at + 1);
    expect(parsedEvents(await through(inParts(bytes, cuts)))).toEqual(expected(bytes.toString(), folder));
  });

  it.each(FRAMINGS)('reads the same in framing %s', async (framing) => {
    const named = folder === 'responses' || folder === 'messages';
    const events = eventsOf(bytes.toString())
      .filter(({ data }) => data !== '[DONE]')
      .map(({ event, data }) => (named ? { event, data } : data));
    for (const bytesPerWrite of [undefined, 50]) {
      const reply = { stream: { events, framing, ...(bytesPerWrite !== undefined && { bytesPerWrite }) } };
      expect(parsedEvents(await through(() => reply))).toEqual(expected(bytes.toString(), folder));
    }
  });

  it(`reads the same in ${SPLITS} random splits`, async () => {
    for (let n = 0; n < SPLITS; n++) {
      const drawn = Array.from({ length: 1 + random.int(CUTS_MAX) }, () => 1 + random.int(bytes.length - 1));
      const cuts = [...new Set(drawn)].sort((a, b) => a - b);
      const text = await through(inParts(bytes, cuts));
      expect(parsedEvents(text), `cut at ${cuts.join()}`).toEqual(expected(bytes.toString(), folder));
    }
  });
});

describe.each(fixtures('.json'))('$name', ({ folder, bytes }: Fixture) => {
  it('is the same bytes', async () => {
    const reply = { headers: { 'content-type': 'application/json' }, body: bytes };
    expect(await ask(rig.mock.origin, folder, () => reply, false)).toBe(bytes.toString());
    expect(await ask(rig.gateway.url, folder, () => reply, false)).toBe(bytes.toString());
  });
});
