/** What the provider receives: canaries in the right places, every other byte as sent, no header that is not its own. */
import { describe, expect, it } from 'vitest';
import { completion, contentEvents, rawChunk } from '../../helpers/mockUpstream.ts';
import { useGateway } from '../../helpers/rig.ts';
import { ask, chatBody, chunks, head, RawClient } from './support.ts';

const rig = useGateway({ upstreamKey: 'provider-key' });

const CANARY = /ref: [0-9a-f]{32}/g;
const system = (content: unknown, role = 'system') => ({ role, content });
const HELLO = { role: 'user', content: 'Hello' };

/** What was forwarded for these messages. */
async function forwarded(messages: readonly object[], extra: object = {}): Promise<string> {
  const answer = await ask(rig.gateway, chatBody({ messages, ...extra }));
  expect(answer.status).toBe(200);
  return rig.mock.last.text;
}

describe('canaries', () => {
  it.each([['system'], ['developer']])('stand as a line of their own in a %s message', async (role) => {
    const messages = [system('You are a helper.\nBe brief.\nBe kind.', role), HELLO];
    const text = await forwarded(messages);
    const sent = (JSON.parse(text) as { messages: { content: string }[] }).messages[0]?.content ?? '';
    expect(sent.split('\n').filter((line) => /^ref: [0-9a-f]{32}$/.test(line)).length).toBe(1);
    expect(text.replace(/\\nref: [0-9a-f]{32}/, '')).toBe(JSON.stringify(chatBody({ messages })));
  });

  it('stand at head, middle and tail of a long text, all different', async () => {
    const line = 'Answer in full sentences and stay polite.\n';
    const messages = [system(line.repeat(60)), HELLO];
    const text = await forwarded(messages);
    expect(new Set(text.match(CANARY)).size).toBe(3);
    const content = (JSON.parse(text) as { messages: { content: string }[] }).messages[0]?.content ?? '';
    expect(content).toMatch(/^ref: [0-9a-f]{32}\n[\s\S]*\nref: [0-9a-f]{32}$/);
    expect(content.replace(/^ref: \S+\n|\nref: \S+/g, '')).toBe(line.repeat(60));
  });

  it('stand in each text part and in each of several messages', async () => {
    const parts = system([
      { type: 'text', text: 'You are a helper.' },
      { type: 'image_url', image_url: { url: 'https://x.test/a.png' } },
      { type: 'text', text: 'Be brief.' },
    ]);
    const text = await forwarded([parts, system('Speak German.'), HELLO, system('Be kind.', 'developer')]);
    expect(text.match(CANARY)?.length).toBe(4);
    expect(new Set(text.match(CANARY)).size).toBe(4);
    const [first] = (JSON.parse(text) as { messages: { content: { text?: string }[] }[] }).messages;
    expect(first?.content.map((part) => part.text?.match(CANARY)?.length)).toEqual([1, undefined, 1]);
  });

  it('stand nowhere without a trusted text', async () => {
    for (const messages of [[HELLO], [system(''), HELLO], [system(null), HELLO], [system('  \n'), HELLO]]) {
      expect(await forwarded(messages)).toBe(JSON.stringify(chatBody({ messages })));
    }
  });

  it('are not planted twice', async () => {
    for (const content of ['You are a helper.', 'Answer politely and in full.\n'.repeat(100)]) {
      const once = await forwarded([system(content), HELLO]);
      const again = await ask(rig.gateway, once);
      expect(again.status).toBe(200);
      expect(rig.mock.last.text).toBe(once);
    }
  });

  it('are the same for the same prompt, so that the provider can cache it', async () => {
    const messages = [system('You are a helper.'), HELLO];
    expect(await forwarded(messages)).toBe(await forwarded(messages));
  });

  it('keep escapes, spacing and every other byte of the literal', async () => {
    const body =
      '{ "messages" : [ {"content":"Caf\\u00e9 \\ud83d\\ude42\\/\\tx","role":"system"} , {"role":"user","content":"Hello"} ] , "model":"m" }';
    await ask(rig.gateway, body);
    expect(rig.mock.last.text.replace(/\\nref: [0-9a-f]{32}/, '')).toBe(body);
    expect(rig.mock.last.text).not.toBe(body);
  });
});

describe('the body', () => {
  it('keeps every field nobody here knows', async () => {
    const body =
      '{"model":"m","messages":[{"role":"user","content":"Hello","cache_control":{"type":"ephemeral"},"x":1}],"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{"a":{"enum":["b",null,1e2]}}}}}],"tool_choice":{"type":"function","function":{"name":"f"}},"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{}}},"temperature":0.70,"top_p":1,"seed":9007199254740993,"logit_bias":{"50256":-100},"stop":["\\n"],"user":"u","x_vendor":{"deep":[[{"y":[]}]]},"parallel_tool_calls":false,"stream":false,"store":null}';
    await ask(rig.gateway, body);
    expect(rig.mock.last.text).toBe(body);
  });

  it('names the default model where the request names none', async () => {
    const rest = `"messages":[${JSON.stringify(HELLO)}],"n":1}`;
    for (const [sent, got] of [
      [`{${rest}`, `{"model":"mock-model",${rest}`],
      [`{"model":null,${rest}`, `{"model":"mock-model",${rest}`],
      [`{"model":"other",${rest}`, `{"model":"other",${rest}`],
    ] as const) {
      await ask(rig.gateway, sent);
      expect(rig.mock.last.text).toBe(got);
    }
  });

  it('names the first model of the list where none is configured', async () => {
    const listed = await rig.start({ upstreamModel: null });
    try {
      rig.mock.models = ['first-model', 'second-model'];
      await ask(listed, { messages: [HELLO] });
      expect((rig.mock.last.json as { model: string }).model).toBe('first-model');
    } finally {
      rig.mock.models = ['mock-model'];
    }
  });

  it('comes back as it came, unknown fields included', async () => {
    const body = JSON.stringify({ ...completion('Fine.'), x_vendor: { a: [1, null] } }, null, 2).replace(
      '15',
      '1.50e1',
    );
    rig.mock.reply({ body });
    expect((await ask(rig.gateway, chatBody())).text).toBe(body);
    rig.mock.reply({ stream: { events: [...contentEvents(['Fine.']), rawChunk([], { x_vendor: { a: [1, null] } })] } });
    const { text } = await ask(rig.gateway, chatBody({ stream: true }));
    expect(chunks(text).at(-1)).toMatchObject({ x_vendor: { a: [1, null] } });
  });
});

describe('headers', () => {
  it('of the client reach the provider only from the list, its key and cookies never', async () => {
    const forbidden = {
      cookie: 'session=client-cookie',
      'x-api-key': 'client-x-api-key',
      'api-key': 'client-api-key',
      'x-forwarded-for': '10.1.2.3',
      'x-forwarded-host': 'client.test',
      'x-real-ip': '10.1.2.3',
      forwarded: 'for=10.1.2.3',
      via: '1.1 client',
      'proxy-authorization': 'Basic client-proxy',
      'x-custom': 'client-custom',
      'x-portcullis-skip': 'yes',
      'accept-language': 'de',
    };
    const allowed = {
      'openai-organization': 'org-1',
      'openai-project': 'proj-1',
      'idempotency-key': 'idem-1',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      'user-agent': 'client/1',
      'x-stainless-lang': 'js',
    };
    await ask(rig.gateway, chatBody(), { ...forbidden, ...allowed });
    const { headers } = rig.mock.last;
    expect(headers).toMatchObject({ ...allowed, authorization: 'Bearer provider-key', 'accept-encoding': 'identity' });
    for (const [name, value] of Object.entries(forbidden)) {
      expect(headers[name]).toBe(undefined);
      expect(JSON.stringify(headers)).not.toContain(value === 'yes' || value === 'de' ? `"${value}"` : value);
    }
    expect(JSON.stringify(headers)).not.toContain(rig.gateway.key);
  });

  it('named by Connection stay here even when they are on the list', async () => {
    const client = await RawClient.open(rig.gateway);
    const body = JSON.stringify(chatBody());
    const lines = [
      'connection: close, openai-project',
      'openai-project: p',
      `content-length: ${Buffer.byteLength(body)}`,
    ];
    client.send(head(rig.gateway, lines) + body);
    expect((await client.closed()).status).toBe(200);
    expect(rig.mock.last.headers['openai-project']).toBe(undefined);
  });

  it.each([[false], [true]])('of the provider reach the client only from the list (stream: %s)', async (stream) => {
    const forbidden = {
      'set-cookie': 'a=provider-cookie',
      server: 'provider-server',
      'x-powered-by': 'provider-power',
      'www-authenticate': 'Bearer',
      'strict-transport-security': 'max-age=1',
      'access-control-allow-origin': '*',
      'proxy-authenticate': 'Basic',
      'x-portcullis-action': 'forged',
      'content-digest': 'sha-256=:x:',
      location: 'http://provider.test/',
      etag: '"x"',
    };
    const allowed = {
      'openai-processing-ms': '12',
      'x-ratelimit-remaining-tokens': '99',
      'retry-after': '3',
      'content-language': 'de',
    };
    const headers = {
      ...forbidden,
      ...allowed,
      'x-request-id': 'provider-id',
      connection: 'keep-alive, content-language',
    };
    rig.mock.reply({
      headers,
      ...(stream ? { stream: { events: contentEvents(['Fine.']) } } : { json: completion('Fine.') }),
    });
    const answer = await ask(rig.gateway, chatBody({ stream }));
    for (const [name, value] of Object.entries(forbidden)) expect(answer.headers.get(name)).not.toBe(value);
    for (const [name, value] of Object.entries(allowed)) {
      expect(answer.headers.get(name)).toBe(name === 'content-language' ? null : value);
    }
    expect(answer.headers.get('x-upstream-request-id')).toBe('provider-id');
    expect(answer.headers.get('x-request-id')).not.toBe('provider-id');
    expect(answer.headers.get('x-portcullis-receipt')).toMatch(
      /^v=1;seen=2;scanned=1;skipped=1;policy=[0-9a-f]{12};rules=\w+;model=none$/,
    );
  });
});
