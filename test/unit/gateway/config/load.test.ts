import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { gatewaySchema } from '../../../../config/schema.ts';
import { defaultsFile, loadConfig, policyOf } from '../../../../gateway/config/load.ts';
import { ConfigError } from '../../../../gateway/config/yaml.ts';

const dir = mkdtempSync(join(tmpdir(), 'portcullis-'));
const file = join(dir, 'mine.yaml');

function load(yaml: string) {
  writeFileSync(file, yaml);
  return loadConfig(file);
}

function problemOf(yaml: string): string {
  try {
    load(yaml);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  throw new Error('expected the file to be refused');
}

describe('configuration', () => {
  it('has the documented defaults', () => {
    const config = loadConfig();
    expect(config.limits).toMatchObject({
      chatBodyBytesMax: 16 * 1024 ** 2,
      textLeafBytesMax: 1024 ** 2,
      validateBodyBytesMax: 2 * 1024 ** 2,
      attachmentsMax: 64,
      canaryTokensMax: 64,
      sseEventBytesMax: 8 * 1024 ** 2,
      jsonDepthMax: 128,
    });
    expect(config.policies.default?.bands).toEqual({ escalate: 0.35, sanitize: 0.55, block: 0.8 });
    expect(Object.keys(config.policies.default?.toolBands ?? {})).toEqual(['shell', 'send_email']);
  });

  it('is the same for an empty file and one of comments', () => {
    expect(load('')).toEqual(loadConfig());
    expect(load('# nothing yet\n')).toEqual(loadConfig());
  });

  it('merges maps and replaces lists and scalars', () => {
    const config = load('limits: { attachmentsMax: 3 }\nupstream: { requestHeaders: [] }\n');
    expect(config.limits.attachmentsMax).toBe(3);
    expect(config.limits.canaryTokensMax).toBe(64);
    expect(config.upstream.requestHeaders).toEqual([]);
  });

  it('lets a policy name only what differs from the default one', () => {
    const config = load(
      'policies: { default: { onEscalate: block }, strict: { level: 3 } }\ntenants: { acme: { policy: strict } }',
    );
    expect(policyOf(config, 'acme')).toEqual({ ...config.policies.default, level: 3 });
    expect(policyOf(config, 'acme')?.onEscalate).toBe('block');
  });

  it.each(['nobody', 'constructor', '__proto__', 'toString'])('knows no tenant %s', (tenant) => {
    expect(policyOf(loadConfig(), tenant)).toBeNull();
  });
});

describe('a wrong file', () => {
  it.each([
    ['a wrong type', 'limits: { jsonDepthMax: "x" }', 'limits.jsonDepthMax: found "x"; expected number'],
    ['a fraction', 'limits: { jsonDepthMax: 9.5 }', 'limits.jsonDepthMax: found 9.5; expected int'],
    [
      'a value out of range',
      'limits: { jsonDepthMax: 5 }',
      'limits.jsonDepthMax: found 5; expected number of at least 8',
    ],
    [
      'an unknown key',
      'limits: { jsonDepth: 9 }',
      'limits: unknown key jsonDepth; expected one of the documented keys',
    ],
    ['an unknown word', 'responses: { midStreamBlock: quiet }', /found "quiet"; expected .*"error"\|"finish"/],
    ['bands out of order', 'policies: { default: { bands: { escalate: 0.9 } } }', 'escalate <= sanitize <= block'],
    ['a scalar for a map', 'limits: 3', 'limits: found 3; expected'],
    ['a list for the whole', '- a', '(whole file): found a list; expected'],
    ['a map removed', 'limits: null', 'limits: found null; expected'],
    ['a tenant with a bad name', 'tenants: { A B: { policy: default } }', 'tenants.A B: found'],
    [
      'a tenant without policy',
      'tenants: { acme: { policy: strict } }',
      'tenants.acme.policy: found "strict"; expected one of the policies default',
    ],
    [
      'less room than a guard has to hold',
      'limits: { holdRawCharsMax: 100 }',
      'policies.default.output.controlTokens: control-tokens has to hold 128 characters of a stream, and limits.holdRawCharsMax is 100',
    ],
    ['a relayed endpoint that is inspected', 'policies: { default: { relay: { chat: not-inspected } } }', 'relay.chat'],
    ['a relayed endpoint without the words for it', 'policies: { default: { relay: { audio: true } } }', 'relay.audio'],
    ['a policy named like an object method', 'tenants: { a: { policy: constructor } }', 'found "constructor"'],
    ['a prototype at the top', '__proto__: { limits: {} }', '__proto__: unknown key'],
    ['a prototype below', 'limits: { __proto__: { jsonDepthMax: 9 } }', 'limits.__proto__: unknown key'],
    ['a circle of aliases', 'a: &a [*a]', 'nested deeper than 32 levels'],
    ['broken syntax', 'a: [', /cannot be read as YAML: .* at line 1, column 5/],
    [
      'a key twice',
      'limits: { attachmentsMax: 1, attachmentsMax: 2 }',
      'cannot be read as YAML: Map keys must be unique',
    ],
  ])('with %s says where, what was found and what was expected', (_, yaml, expected) => {
    const message = problemOf(yaml);
    expect(message.startsWith(`${file}: `)).toBe(true);
    if (typeof expected === 'string') expect(message).toContain(expected);
    else expect(message).toMatch(expected);
  });

  it('that does not exist is named', () => {
    expect(() => loadConfig(join(dir, 'missing.yaml'))).toThrow('missing.yaml: cannot be read');
  });

  it('never shows a long value, which may be a key put in the wrong place', () => {
    const value = 'mark'.repeat(10);
    expect(problemOf(`responses: { midStreamBlock: ${value} }`)).not.toContain(value);
  });
});

describe('config/gateway.yaml', () => {
  const lines = readFileSync(defaultsFile(), 'utf8').split('\n');

  it.each(keysOf(gatewaySchema))('documents $path', ({ path, key }) => {
    const indent = '  '.repeat(path.split('.').length - 1);
    const at = lines.findIndex((line) => line.startsWith(`${indent}${key}:`));
    expect(at, `${path} is missing`).toBeGreaterThan(-1);
    const commented = /^\s*#\s*\S/.test(lines[at - 1] ?? '') || /\s#\s*\S/.test(lines[at] ?? '');
    expect(commented, `${path} has no comment`).toBe(true);
  });

  it('documents every key of a provider in the comment above them', () => {
    const comment = lines.filter((line) => line.startsWith('#     ')).join('\n');
    for (const key of Object.keys(gatewaySchema.shape.providers.valueType.shape))
      expect(comment).toContain(`# ${key}:`.replace('# ', ' '));
  });

  it('has no key without a comment', () => {
    const bare = lines.filter(
      (line, index) => /^\s*[A-Za-z_]+:/.test(line) && !/^\s*#\s*\S/.test(lines[index - 1] ?? '') && !/\s#/.test(line),
    );
    expect(bare).toEqual([]);
  });
});

interface KeyPath {
  readonly path: string;
  readonly key: string;
}

/** Records that ship empty: their entries are the operator's. */
const EMPTY = ['providers', 'relay', 'required', 'schemas'];

/** Every key of the schema; records are walked under the name `default`, which the file must have. */
function keysOf(schema: z.core.$ZodType, path: readonly string[] = []): KeyPath[] {
  const def = schema._zod.def as { type: string; shape?: z.core.$ZodShape; valueType?: z.core.$ZodType };
  const children: [string, z.core.$ZodType][] =
    def.type === 'object'
      ? Object.entries(def.shape ?? {})
      : def.type === 'record' && def.valueType !== undefined && !EMPTY.includes(path.at(-1) as string)
        ? [[path.at(-1) === 'toolBands' ? 'shell' : 'default', def.valueType]]
        : [];
  return children.flatMap(([key, child]) => [
    { path: [...path, key].join('.'), key },
    ...keysOf(child, [...path, key]),
  ]);
}
