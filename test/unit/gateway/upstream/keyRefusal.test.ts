/** A provider that refuses the gateway's own key: its answer stays here, and no other refusal does. */
import { describe, expect, it } from 'vitest';
import type { ProviderConfig } from '../../../../config/schema.ts';
import { eventually, httpServer, Recorder, sleep } from './harness.ts';
import { CHAT, chat, make, type Setup, send, server } from './setup.ts';

const KEY = 'our-key-for-the-provider';
const CALLERS = { authorization: 'Bearer callers-own-key', 'x-portcullis-key': 'gateway' };

async function refusing(status: number, body: string, setup: Setup = {}, auth?: 'passthrough') {
  const it = await server('x', (response) => response.writeHead(status).end(body));
  const key = auth === undefined ? { keyEnv: 'THE_KEY' } : { auth };
  const provider: ProviderConfig = { kind: 'openai', url: it.url, ...key };
  const made = make({
    default: 'it',
    env: { THE_KEY: KEY },
    ...setup,
    providers: { it: provider, ...setup.providers },
  });
  return { it, made };
}

describe('a refusal of our key', () => {
  it.each<[number, string]>([
    [401, `{"error":{"message":"Incorrect API key provided: ${KEY}","code":"invalid_api_key"}}`],
    [401, 'who are you?'],
    [401, ''],
    [403, `no access with ${KEY}`],
    [403, '{"type":"error","error":{"type":"permission_error","message":"Your API key has no permission."}}'],
    [403, '{"error":{"type":"authentication_error","message":"x"}}'],
    [403, '{"error":{"code":"invalid_api_key","message":"x"}}'],
    [403, '{"error":{"code":"ApiKeyDisabled","message":"x"}}'],
    [403, '{"error":{"code":403,"status":"PERMISSION_DENIED","message":"x"}}'],
    [403, '{"code":"key_expired","message":"x"}'],
  ])('of %i with %s is told as one of the gateway, without a word of it', async (status, body) => {
    const { made } = await refusing(status, body);
    const sink = await send(chat(made));
    expect([sink.outcome, sink.head, sink.text]).toEqual(['provider_key_refused', null, '']);
    expect(sink.errors[0]).toMatchObject({ status: 502, retry: false });
    expect(made.outcomes).toEqual(['it refused']);
    expect(made.troubles).toEqual([`provider_key_refused it ${status}`, 'counted provider_key_refused']);
  });

  it.each([401, 403])('of %i is one too when a header holds the key', async (status) => {
    const it = await server('x', (response) => response.writeHead(status, { 'x-request-id': KEY }).end());
    const made = make({ providers: { it: { kind: 'openai', url: it.url, keyEnv: 'THE_KEY' } }, env: { THE_KEY: KEY } });
    const sink = await send(chat(made));
    expect([sink.outcome, sink.head]).toEqual(['provider_key_refused', null]);
    expect(made.outcomes).toEqual(['it refused']);
  });

  it.each<[string]>([
    ['{"error":{"code":"unsupported_country_region_territory","type":"request_forbidden","message":"No key here."}}'],
    ['{"error":{"code":"content_policy_violation","message":"authentication of monkeys"}}'],
    ['{"error":{"code":"monkeys","message":"x"}}'],
    ['{"error":"forbidden"}'],
    ['not here'],
    [''],
    [`{"error":{"code":"invalid_api_key","message":"${'x'.repeat(80_000)}"}}`],
  ])('is not every 403: %.60s', async (body) => {
    const { made } = await refusing(403, body);
    const sink = await send(chat(made));
    expect([sink.head?.status, sink.text === body, sink.outcome]).toEqual([403, true, 'end']);
    expect([made.outcomes, made.troubles]).toEqual([['it ok'], []]);
  });

  it.each([401, 403])('of the caller’s key is handed on as it is, %i', async (status) => {
    const body = '{"error":{"code":"invalid_api_key","message":"Incorrect API key provided: callers-own-key"}}';
    const { made } = await refusing(status, body, {}, 'passthrough');
    const sink = await send(chat(made), { headers: CALLERS });
    expect([sink.head?.status, sink.text, sink.outcome]).toEqual([status, body, 'end']);
  });

  it('does not open the breaker, since the provider is there', async () => {
    const { it: provider, made } = await refusing(401, 'no', {
      upstream: { breaker: { failuresMax: 1, openMs: 60_000 } },
    });
    for (let round = 0; round < 3; round += 1) expect((await send(chat(made))).outcome).toBe('provider_key_refused');
    expect([provider.seen.length, made.changes]).toEqual([3, ['it closed']]);
  });

  it('leaves the model of calls that name none unknown, as every refused list does', async () => {
    const { made } = await refusing(401, `no list for ${KEY}`);
    expect(await chat(made).defaultModel()).toBeNull();
  });

  it('that breaks off is an error of the provider', async () => {
    const origin = await httpServer((_request, response) => {
      response.writeHead(403).write('{"error":');
      setTimeout(() => response.socket?.destroy(), 20);
    });
    const made = make({ providers: { it: { kind: 'openai', url: origin } } });
    const sink = await send(chat(made));
    expect([sink.outcome, sink.head]).toEqual(['upstream_error', null]);
  });

  it('is not told to a client that left before it was read', async () => {
    let finish = (): void => {};
    const provider = await server('x', (response) => {
      response.writeHead(403).write('{"error":');
      finish = () => void response.end('{"code":"invalid_api_key"}}');
    });
    const made = make({ providers: { it: { kind: 'openai', url: provider.url } } });
    const sink = new Recorder();
    const call = chat(made).call(CHAT, sink);
    await eventually('the request', () => provider.seen.length > 0);
    await sleep(30);
    call.abort();
    finish();
    await sleep(30);
    expect([sink.outcome, sink.head, made.outcomes, made.troubles]).toEqual(['nothing', null, ['it aborted'], []]);
  });
});

describe('our key in an answer', () => {
  it('is logged without its text, and no failure of the provider', async () => {
    const { made } = await refusing(200, `your key is ${KEY}`, {
      upstream: { breaker: { failuresMax: 1, openMs: 60_000 } },
    });
    expect((await send(chat(made))).outcome).toBe('bad_upstream');
    expect([made.troubles, made.changes]).toEqual([['provider_key_echoed it 200'], ['it closed']]);
  });
});
