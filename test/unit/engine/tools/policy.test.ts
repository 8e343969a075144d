import { describe, expect, it } from 'vitest';
import type { ArgumentRule, ToolPolicySpec } from '../../../../config/schema.ts';
import { readArguments } from '../../../../engine/tools/call.ts';
import type { FoundCall } from '../../../../engine/tools/find.ts';
import { SchemaCache } from '../../../../engine/tools/jsonSchema.ts';
import { checkToolPolicy, statesNothing, toolPolicy } from '../../../../engine/tools/policy.ts';
import { parseTree } from '../../../../gateway/wire/tree.ts';

const NOTHING: ToolPolicySpec = { allowed: null, required: {}, strict: false, schemas: {}, arguments: [] };
const LIMITS = { toolSchemaBytesMax: 65_536 };

function call(name: string, args: string): FoundCall {
  const given = { kind: 'string', value: args, start: 0, end: args.length } as const;
  const read = readArguments(given, (text) => parseTree(text, 128));
  return { name, ...read, path: '/c', argsPath: '/c/arguments', span: null, markers: [] };
}

const judge = (spec: Partial<ToolPolicySpec>, args: unknown, name = 'f') =>
  toolPolicy({ ...NOTHING, ...spec })
    .check([call(name, typeof args === 'string' ? args : JSON.stringify(args))])
    .map(({ code, path }) => `${code} ${path}`);

describe('a tool policy', () => {
  it('that states nothing is known as such', () => {
    expect(statesNothing(NOTHING)).toBe(true);
    expect(statesNothing({ ...NOTHING, strict: true })).toBe(true);
    expect(statesNothing({ ...NOTHING, allowed: [] })).toBe(false);
    expect(statesNothing({ ...NOTHING, required: { f: [] } })).toBe(false);
    expect(statesNothing({ ...NOTHING, schemas: { f: true } })).toBe(false);
    expect(statesNothing({ ...NOTHING, arguments: [{ tool: 'f', argument: '', charsMax: 1 }] })).toBe(false);
  });

  it('reports every kind of violation of one call, in order', () => {
    const spec: Partial<ToolPolicySpec> = {
      allowed: ['f*'],
      required: { f: ['to', 'a/b'] },
      strict: true,
      schemas: { f: { properties: { to: { type: 'number' } } } },
      arguments: [{ tool: 'f', argument: '/to', matches: '^x' }],
    };
    expect(judge(spec, { to: 'y', more: 1 })).toEqual([
      'missing_field /c/arguments/a~1b',
      'schema /c/arguments/more',
      'schema /c/arguments/to',
      'argument /c/arguments/to',
    ]);
    expect(judge(spec, {}, 'g')).toEqual(['not_allowed /c']);
    expect(judge(spec, '{"to"', 'f')).toEqual(['bad_json /c/arguments']);
    expect(judge(spec, { anything: 1 }, 'free')).toEqual([]);
  });
});

describe('a schema', () => {
  it.each<[string, unknown, unknown, string | null]>([
    ['a type', { type: 'object', properties: { n: { type: 'integer' } } }, { n: 1.5 }, '/n'],
    ['a missing member', { properties: { o: { required: ['a~/b'] } } }, { o: {} }, '/o/a~0~1b'],
    ['one member too many', { additionalProperties: false }, { 'x/y': 1 }, '/x~1y'],
    [
      'an unevaluated member',
      { allOf: [{ properties: { a: true } }], unevaluatedProperties: false },
      { a: 1, b: 2 },
      '/b',
    ],
    ['an item', { properties: { l: { items: { maximum: 3 } } } }, { l: [1, 2, 4] }, '/l/2'],
    ['a name', { propertyNames: { maxLength: 2 } }, { abc: 1 }, '/abc'],
    ['a branch', JSON.parse('{"if":{"required":["a"]},"then":{"required":["b"]}}'), { a: 1 }, '/b'],
    [
      'no branch of several',
      { properties: { x: { anyOf: [{ type: 'string' }, { required: ['k'] }] } } },
      { x: {} },
      '/x',
    ],
    ['a pattern', { properties: { p: { pattern: '^/srv/' } } }, { p: '/etc/passwd' }, '/p'],
    ['an enum of objects', { properties: { x: { enum: [{ a: 1, b: [2] }] } } }, { x: { b: [2], a: 1 } }, null],
    ['another enum', { properties: { x: { enum: ['1'] } } }, { x: 1 }, '/x'],
    ['a const', { properties: { x: { const: null } } }, { x: null }, null],
    [
      'equal items',
      { properties: { x: { uniqueItems: true } } },
      {
        x: [
          { a: 1, b: 2 },
          { b: 2, a: 1 },
        ],
      },
      '/x',
    ],
    ['distinct items', { properties: { x: { uniqueItems: true } } }, { x: [1, '1', [1], null, 'null'] }, null],
    ['no arguments', { required: ['a'] }, '', '/a'],
    ['false', false, {}, ''],
    [
      'itself',
      { properties: { k: { items: { $ref: '#' } } }, additionalProperties: false },
      { k: [{ k: [{ x: 1 }] }] },
      '/k/0/k/0/x',
    ],
    [
      'each other',
      {
        $ref: '#/$defs/a',
        $defs: {
          a: { properties: { b: { $ref: '#/$defs/b' } } },
          b: { properties: { a: { $ref: '#/$defs/a' } }, required: ['a'] },
        },
      },
      { b: { a: { b: {} } } },
      '/b/a/b/a',
    ],
    [
      'a tuple of 2020-12',
      { properties: { t: { prefixItems: [{ type: 'string' }], items: false } } },
      { t: ['a', 1] },
      '/t',
    ],
    [
      'a tuple of draft-07',
      { $schema: 'http://json-schema.org/draft-07/schema#', properties: { t: { items: [{ type: 'string' }] } } },
      { t: [1] },
      '/t/0',
    ],
    ['a format, which is not read', { properties: { x: { format: 'email' } } }, { x: 'no' }, null],
  ])('that names %s', (_name, schema, args, path) => {
    const expected = path === null ? [] : [`schema /c/arguments${path}`];
    expect(judge({ schemas: { f: schema as boolean } }, args as string)).toEqual(expected);
  });

  it('is for its tool alone, by its comparable name', () => {
    const schemas = { ' ｆ ': false };
    expect(judge({ schemas }, {}, 'f')).toEqual(['schema /c/arguments']);
    expect(judge({ schemas }, {}, 'g')).toEqual([]);
  });

  it('cannot be got round by keys with a meaning in JavaScript', () => {
    const schemas = { f: { type: 'object', additionalProperties: false, properties: { a: { const: { b: 1 } } } } };
    for (const key of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf']) {
      expect(judge({ schemas }, `{"${key}":{}}`)).toEqual([`schema /c/arguments/${key}`]);
      expect(judge({ schemas: { f: { required: [key] } } }, '{}')).toEqual([`schema /c/arguments/${key}`]);
      // A comparison that called what the data brings would throw here.
      expect(judge({ schemas }, `{"a":{"${key}":1}}`)).toEqual([
        key === '__proto__' ? 'schema /c/arguments/a/__proto__' : 'schema /c/arguments/a',
      ]);
    }
    const own = JSON.parse('{"properties":{"__proto__":{"type":"string"},"constructor":{"type":"string"}}}');
    expect(judge({ schemas: { f: own } }, '{"constructor":1}')).toEqual(['schema /c/arguments/constructor']);
    expect(({} as Record<string, unknown>).type).toBeUndefined();
  });

  it('of a backtracking pattern is matched in linear time', () => {
    // A backtracking matcher would need longer than the age of the universe.
    const schemas = { f: { properties: { x: { pattern: '^(a+)+$' } } } };
    expect(judge({ schemas }, { x: `${'a'.repeat(100_000)}!` })).toEqual(['schema /c/arguments/x']);
  });

  it.each([
    ['references that fork', forks(40)],
    ['references in a circle', { $dynamicAnchor: 'x', allOf: [{ $dynamicRef: '#x' }] }],
    [
      'many looks at one long text',
      { properties: { x: { anyOf: Array.from({ length: 3000 }, () => ({ maxLength: 1 })) } } },
    ],
  ])('that would take forever because of %s throws', (_name, schema) => {
    expect(() => judge({ schemas: { f: schema } }, { x: 'x'.repeat(900_000) })).toThrow();
  });

  it('checks arguments of any honest size', () => {
    const schemas = {
      f: {
        properties: {
          list: {
            uniqueItems: true,
            items: { type: 'object', required: ['id'], properties: { id: { type: 'integer' }, at: { maxLength: 99 } } },
          },
        },
      },
    };
    const list = Array.from({ length: 40_000 }, (_, id) => ({ id, at: 'somewhere' }));
    expect(judge({ schemas }, { list })).toEqual([]);
  });

  it('meets arguments that are nested too deeply as unreadable', () => {
    const deep = `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`;
    expect(judge({ schemas: { f: true } }, deep)).toEqual(['bad_json /c/arguments']);
  });
});

/** 2^n evaluations in n lines. */
function forks(n: number): Record<string, unknown> {
  const defs: Record<string, unknown> = { d0: true };
  for (let i = 1; i < n; i++) defs[`d${i}`] = { allOf: [{ $ref: `#/$defs/d${i - 1}` }, { $ref: `#/$defs/d${i - 1}` }] };
  return { $defs: defs, $ref: `#/$defs/d${n - 1}` };
}

describe('schemas that come with calls', () => {
  it('are compiled once, and the least recently used are forgotten', () => {
    const cache = new SchemaCache();
    const of = (n: number) => cache.compile({ maximum: n }, 1000).check;
    const first = of(0);
    expect(of(0)).toBe(first);
    for (let n = 1; n < 300; n++) {
      of(n);
      if (n % 100 === 0) expect(of(0)).toBe(first);
    }
    expect(cache.size).toBe(256);
    expect(of(0)(1)).toBe('');
    expect(of(299)(1)).toBeNull();
    const large = 'x'.repeat(400_000);
    for (let n = 0; n < 8; n++) cache.compile({ maximum: n, title: large }, 1_000_000);
    expect(cache.size).toBe(5);
  });
});

describe('an argument rule', () => {
  const rule = (more: Partial<ArgumentRule>, args: unknown, name = 'f') =>
    judge({ arguments: [{ tool: 'f', argument: '/x', ...more }] }, args, name).map((line) =>
      line.replace('argument /c/arguments', ''),
    );

  it.each<[Partial<ArgumentRule>, unknown, string[]]>([
    [{ oneOf: ['a', 1, null] }, { x: 'a' }, []],
    [{ oneOf: ['a', 1, null] }, { x: null }, []],
    [{ oneOf: ['a', 1, null] }, { x: '1' }, ['/x']],
    [{ oneOf: ['a'] }, { x: ['a'] }, ['/x']],
    [{ matches: '^/srv/' }, { x: '/srv/a' }, []],
    [{ matches: '^/srv/' }, { x: '/etc/srv/' }, ['/x']],
    [{ matches: '^[0-9]+$' }, { x: 12 }, []],
    [{ matches: '.' }, { x: null }, ['/x']],
    [{ matches: '.' }, { x: {} }, ['/x']],
    [{ excludes: '(?i)rm\\s+-rf' }, { x: 'RM  -rf /' }, ['/x']],
    [{ excludes: 'rm -rf' }, { x: ['rm', '-rf'] }, ['/x']],
    [{ excludes: 'rm -rf' }, { x: 'ls' }, []],
    [{ charsMax: 3 }, { x: 'abc' }, []],
    [{ charsMax: 3 }, { x: 'abcd' }, ['/x']],
    [{ minimum: 1, maximum: 5 }, { x: 5 }, []],
    [{ minimum: 1, maximum: 5 }, { x: 0 }, ['/x']],
    [{ minimum: 1, maximum: 5 }, { x: '3' }, ['/x']],
    [{ maximum: 5 }, '{"x":1e999}', ['/x']],
    [{ matches: 'a', charsMax: 2 }, { x: 'abc' }, ['/x']],
    [{ charsMax: 1 }, {}, []],
    [{ charsMax: 1 }, { y: 'long' }, []],
    [{ argument: '', charsMax: 9 }, { x: 1 }, []],
    [{ argument: '', charsMax: 6 }, { x: 1 }, ['']],
    [{ argument: '', excludes: 'secret' }, { a: { b: ['secret'] } }, ['']],
    [{ argument: '/x/*/u', oneOf: [1] }, { x: [{ u: 1 }, { u: 2 }, {}, { u: 3 }] }, ['/x/1/u', '/x/3/u']],
    [{ argument: '/*', oneOf: [1] }, { 'a/b': 2, c: 1 }, ['/a~1b']],
    [{ argument: '/a~1b', oneOf: [1] }, { 'a/b': 2 }, ['/a~1b']],
    [{ argument: '/x/1', oneOf: [1] }, { x: [2, 2] }, ['/x/1']],
    [{ argument: '/x/01', oneOf: [1] }, { x: [2, 2] }, []],
    [{ argument: '/x', oneOf: [1] }, { x: [1] }, ['/x']],
    [{ argument: '/__proto__', oneOf: [1] }, '{"__proto__":2}', ['/__proto__']],
    [{ argument: '/toString', oneOf: [1] }, {}, []],
  ])('%j of %j', (more, args, expected) => {
    expect(rule(more, args)).toEqual(expected);
  });

  it.each([
    ['https://example.com/a?b#c', true],
    ['HTTP://EXAMPLE.COM:8080', true],
    ['https://example.com.', true],
    ['https://api.example.org/x', true],
    ['user@example.com', true],
    ['user@mail.example.org', true],
    ['https://example.org', false],
    ['https://badexample.com', false],
    ['https://example.com.evil.net', false],
    ['https://evilexample.org', false],
    ['https://example.com@evil.net/', false],
    ['https://user@example.com/', false],
    ['https://evil.net\\@example.com', false],
    ['https:example.com', false],
    ['//example.com/', false],
    ['ftp://example.com/', false],
    ['javascript:alert(1)//example.com', false],
    ['https://example.com\n.evil.net', false],
    [' https://example.com', false],
    ['https://exa%6dple.com.evil.net', false],
    ['https://', false],
    ['example.com', false],
    ['a@evil.net,b@example.com', false],
    ['a@b@example.com', false],
    ['"x" <a@example.com>', false],
    ['a@example.com?cc=b@evil.net', false],
    ['@example.com', false],
    ['', false],
  ])('of hosts takes %j: %s', (value, fits) => {
    expect(rule({ hosts: ['Example.com', '*.example.org'] }, { x: value })).toEqual(fits ? [] : ['/x']);
  });

  it('is for the tools it names', () => {
    expect(rule({ tool: 'mail.*', oneOf: [1] }, { x: 2 }, 'mail.send')).toEqual(['/x']);
    expect(rule({ tool: 'mail.*', oneOf: [1] }, { x: 2 }, 'mail')).toEqual([]);
  });

  it('is matched in linear time and reports a bounded number of places', () => {
    expect(rule({ matches: '^(a+)+$' }, { x: `${'a'.repeat(100_000)}!` })).toEqual(['/x']);
    expect(rule({ argument: '/x/*', oneOf: [1] }, { x: Array.from({ length: 1000 }, () => 2) })).toHaveLength(64);
  });
});

describe('what cannot be used in a policy', () => {
  it.each<[string, Partial<ToolPolicySpec>, string]>([
    [
      'a type that is none',
      { schemas: { f: { type: 'strng' } } },
      'schemas/f: does not fit the meta-schema of its dialect',
    ],
    [
      'a pattern with a look-ahead',
      { schemas: { 'a/b': { pattern: '(?=x)' } } },
      'schemas/a~1b: holds a pattern that RE2 cannot match in linear time',
    ],
    [
      'a remote reference',
      { schemas: { f: { $ref: 'https://example.com/s.json' } } },
      'schemas/f: refers to a schema that is not part of it',
    ],
    [
      'another dialect',
      { schemas: { f: { $schema: 'http://json-schema.org/draft-04/schema#' } } },
      'schemas/f: $schema names neither 2020-12 nor draft-07',
    ],
    ['a check that answers later', { schemas: { f: { $async: true } } }, 'schemas/f: $async is not supported'],
    ['its size', { schemas: { f: { title: 'x'.repeat(65_536) } } }, 'schemas/f: is larger than 65536 bytes'],
    [
      'a definition of nothing',
      { schemas: { f: { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } } } },
      'schemas/f: is nested too deeply, or refers to nothing but itself',
    ],
    [
      'too many patterns',
      { schemas: { f: { allOf: Array.from({ length: 2000 }, (_, i) => ({ pattern: `${i}` })) } } },
      'schemas/f: holds more than 1024 patterns and references',
    ],
    [
      'a host that is none',
      { arguments: [{ tool: 'f', argument: '/x', hosts: ['a b'] }] },
      'arguments/0: "a b" is no host',
    ],
  ])('is named: %s', (_name, spec, problem) => {
    expect(checkToolPolicy({ ...NOTHING, ...spec }, LIMITS)).toEqual([problem]);
  });

  it('is any pattern that RE2 does not take', () => {
    const [problem] = checkToolPolicy(
      { ...NOTHING, arguments: [{ tool: 'f', argument: '', matches: '(?=x)' }] },
      LIMITS,
    );
    expect(problem).toMatch(/^arguments\/0: /);
  });

  it('is nothing of a policy that can judge', () => {
    const id = 'https://json-schema.org/draft/2020-12/schema';
    // A schema may take any name: it is known to no other.
    const schemas = { f: { $id: id, type: 'object' }, g: { $id: id, type: 'object' }, h: { $schema: id } };
    expect(checkToolPolicy({ ...NOTHING, schemas }, LIMITS)).toEqual([]);
    expect(checkToolPolicy(NOTHING, LIMITS)).toEqual([]);
  });
});
