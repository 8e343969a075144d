import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../gateway/config/load.ts';
import { providerProblems } from '../../gateway/upstream/settings.ts';
import { ROOT, type RunningServer, shell, startServer } from '../helpers/process.ts';

let dataDir: string;
const running: RunningServer[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'portcullis-start-'));
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
  await rm(dataDir, { recursive: true, force: true });
});

async function start(env: Record<string, string> = {}): Promise<RunningServer> {
  const server = await startServer({ PORTCULLIS_DATA_DIR: dataDir, ...env });
  running.push(server);
  return server;
}

const KEY = /pck_[\w-]{43}/;
const commandsOf = (server: RunningServer): string[] =>
  server
    .output()
    .split('\n')
    .filter((line) => line.startsWith('curl'));

describe('a start without any setting', () => {
  it('prints three commands that do what they say', async () => {
    const server = await start();
    const [chat, attack, leak] = commandsOf(server) as [string, string, string];
    const answered = await shell(chat);
    expect(JSON.parse(answered.stdout).choices[0].message.content).toContain('portcullis');

    const refused = await shell(attack);
    expect(JSON.parse(refused.stdout).error.code).toBe('content_filter');

    const stopped = (await shell(leak)).stdout;
    expect(stopped).toContain('You ');
    expect(stopped).toContain('"finish_reason":"content_filter"');
    expect(stopped).toContain('"code":"content_filter"');
    expect(stopped.trimEnd().endsWith('data: [DONE]')).toBe(true);
    expect(stopped).not.toContain('discount');
    // The word before the canary may be out, no character of the canary may be.
    const text = [...stopped.matchAll(/"content":"([^"]*)"/g)].map((match) => match[1]).join('');
    expect(text).toMatch(/Acme\.\\n(?:ref: )?$/);
  });

  it('shows the key of the first run only, and keeps it readable by the owner alone', async () => {
    const first = await start();
    const value = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim();
    expect(first.output().match(KEY)?.[0]).toBe(value);
    expect((await stat(join(dataDir, 'api-key'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dataDir, 'secret'))).mode & 0o777).toBe(0o600);
    expect(await running.splice(0)[0]?.stop()).toBe(0);

    const second = await start();
    expect(second.output()).not.toMatch(KEY);
    expect(second.output()).toContain('api-key');
  });
});

describe('a key from the environment', () => {
  it('works and is never printed', async () => {
    const key = randomBytes(20).toString('hex');
    const server = await start({ PORTCULLIS_API_KEY: key });
    const answer = await fetch(`${server.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    expect(answer.status).toBe(200);
    expect(server.output()).not.toContain(key);
    expect(server.output()).not.toMatch(KEY);
    expect((await shell(commandsOf(server)[0] as string, { PORTCULLIS_API_KEY: key })).stdout).toContain('"choices"');
  });

  it('stops the start when it is shorter than 24 characters, without showing it', async () => {
    const short = randomBytes(8).toString('hex');
    const failed = await start({ PORTCULLIS_API_KEY: short }).catch((error: Error) => error.message);
    expect(failed).toContain('PORTCULLIS_API_KEY');
    expect(failed).not.toContain(short);
  });
});

describe('the command line beside a running server', () => {
  it('makes, revokes and locks within a second', async () => {
    const server = await start();
    const env = { PORTCULLIS_DATA_DIR: dataDir };
    const cli = (words: string) => shell(`node deploy/portcullis.mjs ${words}`, env);
    const made = JSON.parse((await cli('keys create --name ci --scopes proxy --user bot --json')).stdout);
    const status = async (): Promise<number> =>
      (await fetch(`${server.url}/v1/models`, { headers: { 'x-api-key': made.value } })).status;
    const becomes = (wanted: number) => expect.poll(status, { timeout: 1000, interval: 50 }).toBe(wanted);
    await becomes(200);
    await cli('users lock bot');
    await becomes(401);
    await cli('users unlock bot');
    await becomes(200);
    await cli(`keys revoke ${made.id}`);
    await becomes(401);
    await cli('users deactivate bot');
    await becomes(401);
  });
});

describe('a port that is taken', () => {
  it.each(['PORT', 'ADMIN_PORT'])('ends the start with one clear line, for %s', async (name) => {
    const first = await start();
    const port = new URL(name === 'PORT' ? first.url : first.adminUrl).port;
    const env = { PORT: '0', ADMIN_PORT: '0', [name]: port, PORTCULLIS_DATA_DIR: join(dataDir, 'second') };
    const { code, stderr, stdout } = await shell('node deploy/portcullis.mjs serve', env);
    expect(code).toBe(1);
    expect(stderr).toContain('in use; set PORT or ADMIN_PORT to a free one');
    expect(stdout).not.toContain('listens on');
  });
});

describe('a data directory that is a file', () => {
  it('ends the start with one clear line', async () => {
    await shell(`touch ${dataDir}/file`);
    const env = { PORTCULLIS_DATA_DIR: join(dataDir, 'file') };
    const { code, stderr } = await shell('node deploy/portcullis.mjs serve', env);
    expect(code).toBe(1);
    expect(stderr).toContain('file: cannot be used as a directory');
    expect(stderr).not.toContain('    at ');
  });
});

describe('check', () => {
  it('does not take a mistyped file name for a text', async () => {
    const env = { PORTCULLIS_DATA_DIR: dataDir };
    for (const name of ['/nowhere/prompt', 'prompt.txt', 'docs/prompt.md']) {
      const { code, stdout, stderr } = await shell(`node deploy/portcullis.mjs check ${name}`, env);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain('there is no file');
    }
    expect((await shell("node deploy/portcullis.mjs check 'Is this and/or that right?'", env)).code).toBe(0);
    expect((await shell("echo 'Good morning' | node deploy/portcullis.mjs check -", env)).code).toBe(0);
  });
});

describe('a wrong configuration', () => {
  it('names file, path, found and expected, and the process does not start', async () => {
    const file = join(dataDir, 'gateway.yaml');
    await shell(`printf 'limits:\\n  jsonDepthMax: many\\n' > ${file}`);
    const failed = await start({ PORTCULLIS_CONFIG: file }).catch((error: Error) => error.message);
    expect(failed).toContain(`${file}: limits.jsonDepthMax: found "many"; expected number`);
  });
});

describe('the README', () => {
  it('has only commands that work', async () => {
    const server = await start();
    const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
    const blocks = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] as string);
    expect(blocks.length).toBeGreaterThan(4);
    for (const block of blocks) {
      const command = block
        .replaceAll('http://127.0.0.1:8787', server.url)
        .replaceAll('.portcullis/api-key', join(dataDir, 'api-key'));
      const { code, stdout, stderr } = await shell(`set -e\n${command}`, { PORTCULLIS_DATA_DIR: dataDir });
      expect(code, `${block}\n${stderr}`).toBe(0);
      if (block.includes('/validate_output')) expect(JSON.parse(stdout).action).toBe('sanitize');
      else if (block.includes('/validate')) {
        expect(JSON.parse(stdout)).toMatchObject({ action: 'block', canarizedSystem: expect.stringContaining('Acme') });
      }
    }
  });

  it('shows only configuration that a start would take', async () => {
    const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
    const blocks = [...readme.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] as string);
    expect(blocks.length).toBeGreaterThan(1);
    const upstream = { url: 'http://127.0.0.1:9/v1', key: null, model: null };
    const env = { ANTHROPIC_API_KEY: 'a-key-of-a-test', AZURE_KEY: 'another-key-of-a-test' };
    for (const block of blocks) {
      const file = join(dataDir, 'readme.yaml');
      await writeFile(file, block);
      expect(providerProblems({ config: loadConfig(file), upstream, env }), block).toEqual([]);
    }
  });
});
