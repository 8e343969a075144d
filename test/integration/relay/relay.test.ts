/** Which requests are relayed unread, as what, and what is noted about them. */
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import {
  type Answer,
  expectErrorAnswer,
  expectIdle,
  idleAfterEach,
  metric,
  RawClient,
  WAIT_MS,
} from '../chat/support.ts';
import { bytes, json, PROVIDER_KEY, rawHead, useRelay } from './provider.ts';

const rig = useRelay();
idleAfterEach(rig);

async function send(path: string, init: RequestInit = {}, key: string | null = rig.gateway.open): Promise<Answer> {
  const headers = { ...(key !== null && { authorization: `Bearer ${key}` }), ...(init.headers as object) };
  const asked = fetch(rig.gateway.url + path, { ...init, headers, signal: AbortSignal.timeout(WAIT_MS) });
  const response = await within(WAIT_MS, asked, 'the head of the answer');
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** As it stands on the wire; `fetch` would normalise the target. */
async function raw(target: string, method = 'POST'): Promise<{ status: number; code: unknown }> {
  const client = await RawClient.open(rig.gateway);
  client.send(rawHead(rig.gateway.open, `${method} ${target}`, ['connection: close', 'content-length: 0']));
  const { status, body } = await client.closed();
  return { status, code: status < 400 ? null : (JSON.parse(body) as { error: { code: string } }).error.code };
}

const NOT_OFFERED = {
  status: 404,
  code: 'endpoint_not_offered',
  message: 'This endpoint is not offered by the gateway.',
};

describe('which requests', () => {
  it.each([['GET'], ['POST'], ['PUT'], ['PATCH'], ['DELETE']])(
    '%s passes where the policy lists it',
    async (method) => {
      const body = method === 'GET' ? {} : { body: 'bytes', headers: { 'content-type': 'text/x-any' } };
      expect((await send('/v1/files/file-1?after=a%20b&x=', { method, ...body })).status).toBe(200);
      const { last } = rig.mock;
      expect([last.method, last.url, last.body.toString()]).toEqual([
        method,
        '/v1/files/file-1?after=a%20b&x=',
        method === 'GET' ? '' : 'bytes',
      ]);
      expect(last.headers['content-type']).toBe(method === 'GET' ? undefined : 'text/x-any');
    },
  );

  it.each([
    ['/v1/audio/speech'],
    ['/openai/v1/audio/speech'],
    ['/openai/default/v1/audio/speech'],
    ['/openai/default/audio/speech'],
    ['/openai/default/openai/v1/audio/speech'],
  ])('%s names the same endpoint', async (path) => {
    expect((await send(path, { method: 'POST' })).status).toBe(200);
    expect(rig.mock.last.url).toBe('/v1/audio/speech');
  });

  it('answers 401 before it says anything about a path', async () => {
    for (const path of ['/v1/audio/speech', '/v1/unheard-of', '/v1/realtime', '/openai/default/files', '/v1/']) {
      for (const key of [null, 'wrong-key']) {
        const answer = await send(path, { method: 'POST' }, key);
        expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
      }
    }
    const lookup = await rig.gateway.createKey(['validate'], ['open']);
    expect((await send('/v1/audio/speech', { method: 'POST' }, lookup)).status).toBe(403);
    expect(rig.mock.seen).toEqual([]);
  });

  it('makes no difference between what is unknown and what another tenant may use', async () => {
    const answers: string[] = [];
    for (const path of ['/v1/audio/speech', '/v1/files', '/v1/unheard-of', '/v1/constructor', '/v1/__proto__']) {
      const answer = await send(path, { method: 'POST', body: '{}' }, rig.gateway.closed);
      expectErrorAnswer(answer, NOT_OFFERED);
      const own = ['date', 'x-request-id', 'x-portcullis-telemetry-id'];
      const headers = [...answer.headers].filter(([name]) => !own.includes(name));
      answers.push(JSON.stringify([headers, answer.text]));
    }
    expect(new Set(answers).size).toBe(1);
    expect(rig.mock.seen).toEqual([]);
    expect((await send('/v1/files')).status).toBe(200);
  });

  it.each([['HEAD'], ['OPTIONS']])('refuses %s', async (method) => {
    expect((await send('/v1/files', { method })).status).toBe(404);
    expect(rig.mock.seen).toEqual([]);
  });

  it('answers 404 for a provider that does not exist', async () => {
    const answer = await send('/openai/nobody/v1/files');
    expect([answer.status, answer.text]).toEqual([404, '{"detail":"Not Found"}']);
    expect(rig.mock.seen).toEqual([]);
  });
});

describe('paths that could be read in two ways', () => {
  it.each([
    ['/v1/audio/..%2fchat/completions'],
    ['/v1/chat/../audio/speech'],
    ['/v1/./audio/speech'],
    ['/v1/audio/./speech'],
    ['/v1/audio//speech'],
    ['/v1//audio/speech'],
    ['/v1/audio/speech/'],
    ['/v1/%61udio/speech'],
    ['/v1/Audio/speech'],
    ['/v1/audio;x/speech'],
    ['/v1/audio/speech;x=1'],
    ['/v1/audio/speech%3bx'],
    ['/v1/audio/a%2fb'],
    ['/v1/audio/a%5Cb'],
    ['/v1/audio/a%00'],
    ['/v1/audio/a%0d%0ab'],
    ['/v1/audio/a%7f'],
    ['/v1/audio/a%252fb'],
    ['/v1/audio/a%3fb'],
    ['/v1/audio/a%23b'],
    ['/v1/audio/a%'],
    ['/v1/audio/a%4'],
    ['/v1/audio/a|b'],
    ['/v1/audio/a?x#y'],
    ['/v1/'],
    ['/openai/default'],
    ['/openai/default/v1'],
    ['http://elsewhere.test/v1/audio/speech'],
  ])('%s is refused and reaches no provider', async (target) => {
    const answer = await raw(target);
    expect(answer.status).toBe(404);
    expect(rig.mock.seen).toEqual([]);
  });

  it('an escaped letter or blank behind the first segment stays as it came', async () => {
    expect((await raw('/v1/audio/a%20b%C3%A9@,c')).status).toBe(200);
    expect(rig.mock.last.url).toBe('/v1/audio/a%20b%C3%A9@,c');
  });

  it.each([['/v1/audio/../chat/completions'], ['/v1/audio/%2e%2e/chat/completions'], ['/v1/./ch%61t/completions']])(
    '%s becomes an inspected endpoint and is inspected',
    async (target) => {
      // The router normalises, so the request is read as a chat request: without a body it is none.
      expect(await raw(target)).toEqual({ status: 415, code: 'unsupported_media_type' });
      expect(rig.mock.seen).toEqual([]);
    },
  );
});

describe('inspected endpoints', () => {
  it('are never relayed, whatever a policy says and however the path goes on', async () => {
    const every = ['chat', 'responses', 'completions', 'embeddings', 'models', 'moderations', 'messages'];
    const hidden = ['deployments', 'engines', 'openai', 'v1'];
    const forced = await rig.start((config) => ({
      ...config,
      policies: Object.fromEntries(
        Object.entries(config.policies).map(([name, policy]) => [
          name,
          {
            ...policy,
            relay: Object.fromEntries([...every, ...hidden].map((segment) => [segment, 'not-inspected' as const])),
          },
        ]),
      ),
    }));
    const paths = [
      ...every.map((segment) => `/v1/${segment}/x/unknown/y`),
      ...every.map((segment) => `/openai/default/${segment}/x/unknown/y`),
      ...['deployments/gpt', 'engines/gpt', 'openai', 'openai/v1', 'v1'].flatMap((prefix) => [
        `/v1/${prefix}/chat/completions`,
        `/openai/default/v1/${prefix}/chat/completions`,
      ]),
      '/v1/chat/completions/chatcmpl-1',
      '/openai/default/deployments/gpt/chat/completions',
    ];
    for (const path of paths) {
      for (const method of ['POST', 'PUT']) {
        const response = await fetch(forced.url + path, {
          method,
          headers: { authorization: `Bearer ${forced.open}` },
        });
        expect([path, response.status < 500 && response.status >= 400]).toEqual([path, true]);
        await response.text();
      }
    }
    const models = await fetch(`${forced.url}/v1/models`, {
      method: 'POST',
      headers: { authorization: `Bearer ${forced.open}` },
    });
    expect(models.status).toBe(405);
    expect(rig.mock.seen).toEqual([]);
  });
});

describe('what is noted', () => {
  it('header, receipt, metrics and log say that nothing was inspected', async () => {
    const counted = await metric(rig.gateway, 'portcullis_not_inspected_total');
    const guards = async () => {
      const lines = (await rig.gateway.metrics()).split('\n').filter((line) => line.includes('outcome="not_run"'));
      return new Map(
        lines.map((line) => [
          /guard="([^"]+)",direction="([^"]+)"/.exec(line)?.slice(1).join(' ') ?? '',
          Number(line.slice(line.lastIndexOf(' ') + 1)),
        ]),
      );
    };
    const before = await guards();
    const answer = await send('/v1/files');
    expect(answer.headers.get('x-portcullis-action')).toBe('pass');
    expect(answer.headers.get('x-portcullis-receipt')).toMatch(
      /^v=1;seen=1;scanned=0;skipped=1;policy=[0-9a-f]{12};rules=\w+;model=none$/,
    );
    await expectIdle(rig.gateway);
    expect((await metric(rig.gateway, 'portcullis_not_inspected_total')) - counted).toBe(1);
    const after = await guards();
    expect([...after.keys()]).toEqual(
      expect.arrayContaining(['injection.rules input', 'hidden-text input', 'control-tokens input', 'canary output']),
    );
    for (const [guard, count] of after) expect([guard, count - (before.get(guard) ?? 0)]).toEqual([guard, 1]);
    const id = answer.headers.get('x-request-id');
    const line = rig.gateway
      .logs()
      .split('\n')
      .find((entry) => entry.includes(`"${id}"`) && entry.includes('"request"'));
    expect(JSON.parse(line ?? '{}')).toMatchObject({
      route: '/v1/*',
      method: 'GET',
      status: 200,
      tenant: 'open',
      action: 'pass',
      provider: 'default',
      reason: 'not_inspected',
    });
    expect(await metric(rig.gateway, 'portcullis_open_streams')).toBe(0);
  });

  it('a refused request is not noted as relayed', async () => {
    const counted = await metric(rig.gateway, 'portcullis_not_inspected_total');
    await send('/v1/files', {}, rig.gateway.closed);
    expect(await metric(rig.gateway, 'portcullis_not_inspected_total')).toBe(counted);
  });
});

describe('headers', () => {
  it('of the client reach the provider only from the list, in no place its key', async () => {
    const forbidden = {
      cookie: 'session=client-cookie',
      'x-api-key': rig.gateway.open,
      'api-key': rig.gateway.open,
      'x-forwarded-for': '10.1.2.3',
      'x-portcullis-skip': 'client-skip',
      'x-custom': 'client-custom',
    };
    const headers = { ...forbidden, 'openai-project': 'proj-1', accept: 'audio/*' };
    expect((await send('/v1/files', { headers })).status).toBe(200);
    const { last } = rig.mock;
    expect(last.headers).toMatchObject({
      'openai-project': 'proj-1',
      accept: 'audio/*',
      authorization: `Bearer ${PROVIDER_KEY}`,
    });
    for (const [name, value] of Object.entries(forbidden)) {
      expect([name, last.headers[name]]).toEqual([name, undefined]);
      expect(rig.mock.everything).not.toContain(value);
    }
  });

  it('of the provider reach the client only from the list', async () => {
    rig.mock.answer = (response) => {
      const headers = {
        'content-type': 'application/json',
        'set-cookie': 'a=provider',
        'x-portcullis-receipt': 'v=1;seen=9;scanned=9',
        'x-request-id': 'theirs',
        'openai-processing-ms': '5',
      };
      response.writeHead(429, headers).end('{}');
    };
    const { status, headers } = await send('/v1/files');
    expect([status, headers.get('set-cookie'), headers.get('x-upstream-request-id')]).toEqual([429, null, 'theirs']);
    expect(headers.get('openai-processing-ms')).toBe('5');
    expect(headers.get('x-portcullis-receipt')).toContain('seen=1;scanned=0');
  });

  it('of a compressed answer lose length and coding, and its bytes are the decoded ones', async () => {
    const text = 'plain '.repeat(1000);
    rig.mock.answer = (response) => {
      const body = gzipSync(text);
      response
        .writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip', 'content-length': body.length })
        .end(body);
    };
    const answer = await send('/v1/files/x/content');
    expect(answer.text).toBe(text);
    expect([answer.headers.get('content-encoding'), answer.headers.get('content-length')]).toEqual([null, null]);
  });

  it('of an event stream say so, and its events arrive as they are sent', async () => {
    let finish = (): void => {};
    rig.mock.answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: first\n\n');
      finish = () => response.end('data: [DONE]\n\n');
    };
    const response = await within(
      WAIT_MS,
      fetch(`${rig.gateway.url}/v1/audio/speech`, {
        method: 'POST',
        headers: { authorization: `Bearer ${rig.gateway.open}` },
      }),
      'the head',
    );
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const first = await within(WAIT_MS, reader.read(), 'the first event');
    expect(Buffer.from(first.value as Uint8Array).toString()).toBe('data: first\n\n');
    expect(await metric(rig.gateway, 'portcullis_open_streams')).toBe(1);
    finish();
    const second = await within(WAIT_MS, reader.read(), 'the second event');
    expect(Buffer.from(second.value as Uint8Array).toString()).toBe('data: [DONE]\n\n');
  });

  it('204 has neither length nor body', async () => {
    rig.mock.answer = (response) => {
      response.writeHead(204).end();
    };
    const answer = await send('/v1/files/file-1', { method: 'DELETE' });
    expect([answer.status, answer.text, answer.headers.get('content-length')]).toEqual([204, '', null]);
  });

  it('a redirect of the provider is not followed and not relayed', async () => {
    rig.mock.answer = (response) => {
      response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
    };
    expect((await send('/v1/files/x/content')).status).toBe(502);
    expect(rig.mock.seen.length).toBe(1);
  });

  it('keep a provider that serves no such endpoint out of it', async () => {
    rig.mock.answer = json({ error: { message: 'Nothing here.' } }, 404);
    const answer = await send('/v1/files/none');
    expect([answer.status, answer.text]).toEqual([404, '{"error":{"message":"Nothing here."}}']);
    rig.mock.answer = bytes(Buffer.alloc(0), 'audio/mpeg');
    const empty = await send('/v1/files/empty');
    expect([empty.status, empty.text, empty.headers.get('content-length')]).toEqual([200, '', '0']);
  });
});
