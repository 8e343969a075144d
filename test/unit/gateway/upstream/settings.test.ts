/** What a start refuses: providers and routes that do not fit together, and keys that are not there. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ProviderConfig } from '../../../../config/schema.ts';
import { loadConfig } from '../../../../gateway/config/load.ts';
import { ConfigError } from '../../../../gateway/config/yaml.ts';
import { EnvError } from '../../../../gateway/env.ts';
import { describeDefault, needsDemo, readProviders } from '../../../../gateway/upstream/settings.ts';
import { configOf, type Setup } from './setup.ts';

const file = join(mkdtempSync(join(tmpdir(), 'portcullis-providers-')), 'mine.yaml');

/** The problems of a file, without its name. */
function problemsOf(yaml: string): string[] {
  writeFileSync(file, yaml);
  try {
    loadConfig(file);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message.split('\n').map((line) => line.slice(file.length + 2));
  }
}

/** Routing over these providers, each the fallback of those before. */
function routeOver(chain: string): string {
  const [provider, ...rest] = chain.slice(1, -1).split(', ');
  const fallback = rest.map((name) => `{ provider: ${name} }`).join(', ');
  return `routing: { routes: [{ provider: ${provider}, fallback: [${fallback}] }] }`;
}

describe('a configuration file', () => {
  it('may name every kind of provider', () => {
    const yaml = `
providers:
  gpt: { kind: openai, keyEnv: OPENAI_API_KEY, headers: { x-team: blue }, model: gpt-5 }
  claude: { kind: anthropic, auth: passthrough }
  cloud: { kind: azure, url: 'https://acme.openai.azure.com', apiVersion: '2024-10-21', keyEnv: AZURE_KEY }
  local: { kind: openai-compatible, url: 'http://127.0.0.1:8000/v1' }
  show: { kind: demo }
routing:
  default: default
  routes:
    - { models: ['claude-*'], surfaces: [messages], provider: claude }
    - { provider: gpt, fallback: [{ provider: cloud, model: gpt-5-eu }, { provider: local }] }
`;
    expect(problemsOf(yaml)).toEqual([]);
  });

  it.each<[string, string, string]>([
    ['{ kind: azure }', 'url', 'found nothing; expected an address for kind azure'],
    ['{ kind: openai-compatible }', 'url', 'found nothing; expected an address for kind openai-compatible'],
    ["{ kind: demo, url: 'http://x/v1' }", 'url', 'found an address; expected none for kind demo'],
    ['{ kind: demo, keyEnv: A_KEY }', 'keyEnv', 'found "A_KEY"; expected none for kind demo'],
    ['{ kind: openai, apiVersion: v1 }', 'apiVersion', 'found "v1"; expected none for kind openai'],
    [
      '{ kind: openai, auth: passthrough, keyEnv: A_KEY }',
      'keyEnv',
      'found "A_KEY"; expected none with auth: passthrough',
    ],
    [
      "{ kind: openai, url: 'https://user:secret-word@host/v1' }",
      'url',
      'found a value of 32 characters; expected an upstream address without user name or password',
    ],
    [
      "{ kind: openai, url: 'https://host/v1?key=secret-word' }",
      'url',
      'found a value of 31 characters; expected an upstream address without query or fragment',
    ],
    [
      "{ kind: openai, url: 'ftp://host/v1' }",
      'url',
      'found a value of 13 characters; expected an upstream address like https://api.example.com/v1',
    ],
    ...['authorization', 'x-api-key', 'content-length', 'host', 'x-forwarded-for', 'x-portcullis-key'].map(
      (name): [string, string, string] => [
        `{ kind: openai, headers: { ${name}: secret-word } }`,
        `headers.${name}`,
        'found a header that the gateway itself sets or keeps back; expected another',
      ],
    ),
  ])('is refused for %s', (provider, path, problem) => {
    expect(problemsOf(`providers: { it: ${provider} }`)).toEqual([`providers.it.${path}: ${problem}`]);
  });

  it('is refused for a header value with line breaks, without showing it', () => {
    const [problem, ...more] = problemsOf(
      'providers: { it: { kind: openai, headers: { x-a: "long-secret-word-value\\r\\nb" } } }',
    );
    expect(problem).toMatch(/^providers\.it\.headers\.x-a: found a string of 29 characters; expected at most 1024/);
    expect(more).toEqual([]);
  });

  it('is refused for providers that nothing defines, wherever they are named', () => {
    const yaml = `
providers: { gpt: { kind: openai } }
routing: { default: a, routes: [{ provider: b, fallback: [{ provider: gpt }, { provider: c }] }] }
`;
    const expected = 'expected one of the providers gpt, default';
    expect(problemsOf(yaml)).toEqual([
      `routing.default: found "a"; ${expected}`,
      `routing.routes.0.provider: found "b"; ${expected}`,
      `routing.routes.0.fallback.1.provider: found "c"; ${expected}`,
    ]);
  });

  it('is refused for a route to an endpoint that its provider does not have', () => {
    const yaml = `
providers: { gpt: { kind: openai } }
routing: { routes: [{ provider: gpt, surfaces: [chat, messages] }] }
`;
    expect(problemsOf(yaml)).toEqual([
      'routing.routes.0.surfaces: found "messages"; expected endpoints that kind openai has',
    ]);
  });

  const PASSTHROUGH = `
providers:
  one: { kind: openai, auth: passthrough }
  same: { kind: openai-compatible, url: 'https://api.openai.com/v2', auth: passthrough }
  two: { kind: openai-compatible, url: 'https://two.example/v1', auth: passthrough }
  plain: { kind: openai-compatible, url: 'http://api.openai.com/v1', auth: passthrough }
  ours: { kind: openai-compatible, url: 'https://two.example/v1', keyEnv: A_KEY }
`;

  it.each(['[one, ours]', '[one, same]', '[ours, two]', '[ours, two, ours]'])(
    'may send the key of the caller to one origin, as over %s',
    (chain) => {
      expect(problemsOf(`${PASSTHROUGH}\n${routeOver(chain)}`)).toEqual([]);
    },
  );

  it.each([
    ['[one, two]', 0, 'two', 'one'],
    ['[one, plain]', 0, 'plain', 'one'],
    ['[one, same, ours, two]', 2, 'two', 'one'],
    ['[ours, two, one]', 1, 'one', 'two'],
  ])('is refused for fallbacks that would get a key for another provider, as over %s', (chain, at, found, first) => {
    expect(problemsOf(`${PASSTHROUGH}\n${routeOver(chain)}`)).toEqual([
      `routing.routes.0.fallback.${at}.provider: found "${found}", which would get the key that the caller has for "${first}"; expected a provider at the same origin, or one with keyEnv`,
    ]);
  });

  it('is refused for a tool policy that cannot judge', () => {
    const yaml = "policies: { strict: { tools: { arguments: [{ tool: t, argument: '', matches: '(' }] } } }";
    const problems = problemsOf(yaml);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^policies\.strict\.tools: arguments\/0: /);
  });
});

describe('a start', () => {
  const openai = (extra: Partial<ProviderConfig> = {}): ProviderConfig => ({ kind: 'openai', ...extra });
  const ENVIRONMENT = { url: 'http://127.0.0.1:9/v1', key: 'env-key', model: 'm' };

  const sourcesOf = (setup: Setup) => ({
    config: configOf(setup),
    upstream: setup.environment ?? null,
    env: setup.env ?? {},
  });

  function refusalOf(setup: Setup): string[] {
    try {
      readProviders(sourcesOf(setup), null);
    } catch (error) {
      expect(error).toBeInstanceOf(EnvError);
      return (error as EnvError).message.split('\n');
    }
    return [];
  }

  it.each<[string, string, Record<string, string>]>([
    ['is not set', 'nothing', {}],
    ['is empty', 'nothing', { THE_KEY: ' ' }],
    ['is a name of every object', 'nothing', { other: 'x' }],
    ['has a line break', 'blanks or characters that no header can carry', { THE_KEY: 'secret\r\nword' }],
    ['is not ASCII', 'blanks or characters that no header can carry', { THE_KEY: 'secret-wörd' }],
  ])('is refused with one line when a key %s', (_what, found, env) => {
    expect(refusalOf({ providers: { gpt: openai({ keyEnv: 'THE_KEY' }) }, env })).toEqual([
      `providers.gpt.keyEnv: found ${found}; expected the key of the provider in the environment variable THE_KEY`,
    ]);
  });

  it('is refused for fallbacks that would get a key for another provider, whoever made the configuration', () => {
    const passthrough = (url: string): ProviderConfig => openai({ url, auth: 'passthrough' });
    const [problem, ...more] = refusalOf({
      providers: { a: passthrough('http://a.example/v1'), b: passthrough('http://b.example/v1') },
      routes: [{ provider: 'a', fallback: [{ provider: 'b' }] }],
      default: 'a',
    });
    expect(problem).toMatch(/^routing\.routes\.0\.fallback\.0\.provider: found "b", which would get the key/);
    expect(more).toEqual([]);
  });

  it('is refused when the default provider is not clear', () => {
    expect(refusalOf({ providers: { one: openai(), two: openai() } })).toEqual([
      'routing.default: found nothing; expected one of the providers one, two',
    ]);
  });

  it('is refused when a route names the provider of the environment and there is none', () => {
    expect(refusalOf({ providers: { one: openai() }, routes: [{ provider: 'default' }] })).toEqual([
      'routing.routes.0.provider: found "default"; expected one of the providers one',
    ]);
  });

  it('is refused when file and environment both name a default', () => {
    expect(refusalOf({ providers: { default: openai() }, environment: ENVIRONMENT })).toEqual([
      'providers.default: found beside PORTCULLIS_UPSTREAM_URL; expected another name',
    ]);
  });

  it('reads all providers with their keys and addresses', () => {
    const setup: Setup = {
      environment: ENVIRONMENT,
      env: { THE_KEY: ' file-key ' },
      providers: { claude: { kind: 'anthropic', keyEnv: 'THE_KEY', model: 'c' }, show: { kind: 'demo' } },
    };
    const plain = { passthrough: false, headers: {}, apiVersion: null };
    expect(readProviders(sourcesOf(setup), 'http://127.0.0.1:1/v1')).toEqual([
      {
        ...plain,
        name: 'default',
        kind: 'openai-compatible',
        url: 'http://127.0.0.1:9/v1',
        key: 'env-key',
        model: 'm',
      },
      {
        ...plain,
        name: 'claude',
        kind: 'anthropic',
        url: 'https://api.anthropic.com/v1',
        key: 'file-key',
        model: 'c',
      },
      { ...plain, name: 'show', kind: 'demo', url: 'http://127.0.0.1:1/v1', key: null, model: 'demo-chat' },
    ]);
  });

  it.each<[Setup, boolean, string | null]>([
    [{}, true, null],
    [{ environment: ENVIRONMENT }, false, '127.0.0.1:9'],
    [{ providers: { gpt: openai() } }, false, 'api.openai.com'],
    [{ providers: { gpt: openai(), show: { kind: 'demo' } }, default: 'gpt' }, true, 'api.openai.com'],
    [{ providers: { show: { kind: 'demo' } } }, true, null],
  ])('with %j needs the demo: %j, and shows the host %j', (setup, demo, host) => {
    expect([needsDemo(sourcesOf(setup)), describeDefault(sourcesOf(setup))]).toEqual([demo, host]);
  });
});
