/** Keys at the border to providers: what a client learns of the gateway's, and where its own ones go. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProviderConfig } from '../../../config/schema.ts';
import { startGateway, type TestGateway, withPolicy } from '../../helpers/gateway.ts';
import { answerWith, completion, contentEvents, MockUpstream } from '../../helpers/mockUpstream.ts';

const PROVIDER_KEY = 'sk-provider-SECRET-0123456789abcdef';
const ENVIRONMENT_KEY = 'a-key-that-the-environment-gives';
const CALLERS_KEY = 'sk-callers-own-provider-key';

let mock: MockUpstream;
let own: MockUpstream;
let gateway: TestGateway;

beforeEach(async () => {
  [mock, own] = [await MockUpstream.start(), await MockUpstream.start()];
  const passthrough: ProviderConfig = { kind: 'openai-compatible', url: own.url, auth: 'passthrough' };
  gateway = await startGateway({
    upstream: mock.url,
    upstreamKey: PROVIDER_KEY,
    env: { PORTCULLIS_API_KEY: ENVIRONMENT_KEY },
    config: (config) => ({
      ...withPolicy((policy) => ({ ...policy, relay: { files: 'not-inspected' } }))(config),
      providers: { own: passthrough },
      routing: { default: 'default', routes: [{ models: ['own-*'], provider: 'own' }] },
    }),
  });
  await gateway.deps.keys.seedEnvironmentKey(ENVIRONMENT_KEY);
});
afterEach(async () => {
  await gateway.close();
  await Promise.all([mock.close(), own.close()]);
});

const chat = (extra: object = {}) => ({ model: 'm', messages: [{ role: 'user', content: 'Good day' }], ...extra });

const REFUSAL = {
  message: `Incorrect API key provided: ${PROVIDER_KEY}.`,
  type: 'invalid_request_error',
  code: 'invalid_api_key',
  param: null,
};

/** Everything a client or an operator sees. */
async function seenOf(response: Response): Promise<string> {
  return [await response.text(), JSON.stringify([...response.headers]), gateway.logs()].join('\n');
}

describe('a provider that refuses the key of the gateway', () => {
  it.each<[string, string, object]>([
    ['a whole answer', '/v1/chat/completions', chat()],
    ['a stream', '/v1/chat/completions', chat({ stream: true })],
    ['a response', '/v1/responses', { model: 'm', input: 'Good day' }],
    ['messages', '/v1/messages', chat({ max_tokens: 9 })],
    ['embeddings', '/v1/embeddings', { model: 'm', input: 'Good day' }],
    ['an endpoint that is not inspected', '/v1/files', { purpose: 'x' }],
  ])('is not taken for the gateway refusing the client: %s', async (_what, path, body) => {
    for (const status of [401, 403]) {
      mock.reply({ status, json: { error: REFUSAL } });
      const response = await gateway.post(path, body);
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([502, null]);
      expect(response.headers.get('x-should-retry')).toBe('false');
      const seen = await seenOf(response);
      expect(seen).toContain('provider_key_refused');
      expect(seen).not.toMatch(/SECRET|Incorrect API key/);
    }
    expect(gateway.logs()).toMatch(/"event":"provider_key_refused"/);
    expect(gateway.logs()).toMatch(/"provider":"default","upstreamStatus":401/);
    expect(await gateway.metrics()).toContain('portcullis_upstream_errors_total{code="provider_key_refused"} 2');
  });

  it('is relayed where the key is the caller’s', async () => {
    const body = JSON.stringify({ error: { ...REFUSAL, message: 'Incorrect API key provided: sk-call***.' } });
    for (const status of [401, 403]) {
      own.reply({ status, body });
      const headers = { 'x-portcullis-key': gateway.key, authorization: `Bearer ${CALLERS_KEY}` };
      const response = await gateway.post('/v1/chat/completions', chat({ model: 'own-1' }), headers);
      expect([response.status, await response.text()]).toEqual([status, body]);
    }
  });
});

describe('the key of the gateway in an answer', () => {
  it('stops a whole one, of success or refusal', async () => {
    for (const reply of [
      { json: completion(`Your key is ${PROVIDER_KEY}.`) },
      { status: 400, json: { error: REFUSAL } },
      { status: 500, body: `<p>${PROVIDER_KEY}</p>` },
    ]) {
      mock.reply(reply);
      const response = await gateway.post('/v1/chat/completions', chat());
      const seen = await seenOf(response);
      expect([response.status, response.headers.get('x-portcullis-action')]).toEqual([400, 'block']);
      expect(seen).toContain('content_filter');
      expect(seen).not.toContain(PROVIDER_KEY);
    }
  });

  it.each([1, 7, 4096])('stops a stream in writes of %i bytes before any of it is out', async (bytesPerWrite) => {
    const events = contentEvents(['Your ', 'key is ', PROVIDER_KEY, '.']);
    mock.reply({ stream: { events, bytesPerWrite } });
    const seen = await seenOf(await gateway.post('/v1/chat/completions', chat({ stream: true })));
    expect(seen).not.toContain('sk-provider');
    expect(seen).toMatch(/"code":"(?:upstream_error|bad_upstream)"/);
  });

  it('stops an answer that nobody inspects', async () => {
    mock.reply({ headers: { 'content-type': 'application/octet-stream' }, body: `${'x'.repeat(99)}${PROVIDER_KEY}` });
    const read = gateway.post('/v1/files', { purpose: 'x' }).then(seenOf);
    await expect(read).rejects.toThrow();
    expect(gateway.logs()).not.toContain(PROVIDER_KEY);
  });

  it('stops one with the key in a header', async () => {
    mock.reply({ headers: { 'openai-version': PROVIDER_KEY }, json: completion('Hello.') });
    const response = await gateway.post('/v1/chat/completions', chat());
    const seen = await seenOf(response);
    expect([response.status, response.headers.get('openai-version')]).toEqual([400, null]);
    expect(seen).not.toContain(PROVIDER_KEY);
  });
});

describe('a key for the gateway', () => {
  const call = (providerKey: string) =>
    gateway.post('/v1/chat/completions', chat({ model: 'own-1' }), {
      'x-portcullis-key': gateway.key,
      authorization: `Bearer ${providerKey}`,
    });

  it('goes to no provider in place of the caller’s own, whichever of them it is', async () => {
    own.fallback(answerWith('Hello.'));
    expect((await call(CALLERS_KEY)).status).toBe(200);
    expect(own.last.headers.authorization).toBe(`Bearer ${CALLERS_KEY}`);
    own.clear();
    for (const key of [gateway.key, await gateway.createKey(['proxy']), ENVIRONMENT_KEY]) {
      const response = await call(key);
      expect([response.status, own.requests.length]).toEqual([401, 0]);
      expect(await response.json()).toMatchObject({ error: { code: 'provider_key_required' } });
    }
  });
});
