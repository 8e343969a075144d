/** A start with configured providers: what stops it, and what it serves. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MockUpstream } from '../../helpers/mockUpstream.ts';
import { type RunningServer, shell, startServer } from '../../helpers/process.ts';

let dir: string;
let server: RunningServer | null = null;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'portcullis-providers-'));
});
afterEach(async () => {
  await server?.stop();
  server = null;
  await rm(dir, { recursive: true, force: true });
});

async function environment(yaml: string, extra: Record<string, string> = {}): Promise<Record<string, string>> {
  const file = join(dir, 'gateway.yaml');
  await writeFile(file, yaml);
  return { PORTCULLIS_CONFIG: file, PORTCULLIS_DATA_DIR: join(dir, 'data'), PORT: '0', ADMIN_PORT: '0', ...extra };
}

describe('a start with providers', () => {
  it('stops with one line, before it opens anything, when a key is not there', async () => {
    const env = await environment('providers: { gpt: { kind: openai, keyEnv: TEST_PROVIDER_KEY } }', {
      TEST_PROVIDER_KEY: '',
    });
    const { code, stdout, stderr } = await shell('node deploy/portcullis.mjs serve', env);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr.trimEnd().split('\n').at(-1)).toBe(
      'portcullis: providers.gpt.keyEnv: found nothing; expected the key of the provider in the environment variable TEST_PROVIDER_KEY',
    );
    expect(await readdir(dir)).toEqual(['gateway.yaml']);
  });

  it('serves them without the demo, says where calls go, and never prints a key', async () => {
    const provider = await MockUpstream.start();
    const key = 'test-provider-key-4711';
    const yaml = `providers: { local: { kind: openai-compatible, url: '${provider.url}', keyEnv: TEST_PROVIDER_KEY } }`;
    const apiKey = 'a-key-for-this-test-of-the-gateway';
    server = await startServer(await environment(yaml, { TEST_PROVIDER_KEY: key, PORTCULLIS_API_KEY: apiKey }));
    try {
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-portcullis-key': apiKey },
        body: JSON.stringify({ messages: [{ role: 'user', content: 'Good day' }] }),
      });
      expect(response.status).toBe(200);
      expect(provider.last.headers.authorization).toBe(`Bearer ${key}`);
      expect(server.output()).toContain(`Provider: ${new URL(provider.url).host}`);
      expect(server.output()).not.toContain('demo');
      expect(server.output()).not.toContain(key);
    } finally {
      await provider.close();
    }
  });

  it('runs the demo beside others where one is configured', async () => {
    const apiKey = 'a-key-for-this-test-of-the-gateway';
    const yaml = `
providers: { show: { kind: demo }, gpt: { kind: openai, auth: passthrough } }
routing: { default: gpt, routes: [{ models: ['demo-*'], provider: show }] }
`;
    server = await startServer(await environment(yaml, { PORTCULLIS_API_KEY: apiKey }));
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
      body: JSON.stringify({ model: 'demo-chat', messages: [{ role: 'user', content: 'What is a portcullis?' }] }),
    });
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('"model":"demo-chat"')]);
    expect(server.output()).toContain('Provider: api.openai.com');
  });
});
