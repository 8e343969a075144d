import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Policy } from '../../config/schema.ts';
import { startValidateApp, type ValidateApp } from '../helpers/validateApp.ts';

const with_ = (tools: Partial<Policy['tools']>, guard: Partial<Policy['output']['toolConstraints']> = {}) => ({
  policy: (policy: Policy): Policy => ({
    ...policy,
    tools: { ...policy.tools, ...tools },
    output: { ...policy.output, toolConstraints: { ...policy.output.toolConstraints, ...guard } },
  }),
});

/** Runs in a circle on any data, which no check can decide. */
const CIRCLE = { $dynamicAnchor: 'x', allOf: [{ $dynamicRef: '#x' }] };

let app: ValidateApp;
let strict: ValidateApp;
let off: ValidateApp;
let open: ValidateApp;
beforeAll(async () => {
  app = await startValidateApp();
  const tools: Partial<Policy['tools']> = {
    allowed: ['mail', 'search'],
    required: { mail: ['to'] },
    schemas: { search: { properties: { limit: { maximum: 10 } } } },
    arguments: [{ tool: 'mail', argument: '/to', hosts: ['example.com'] }],
  };
  strict = await startValidateApp(with_(tools));
  off = await startValidateApp(with_(tools, { enabled: false }));
  open = await startValidateApp(with_({}, { failureMode: 'open' }));
});
afterAll(async () => {
  for (const each of [app, strict, off, open]) await each.close();
});

const ask = async (body: object, on = app) => (await on.post('/validate_output', { output: '', ...body })).json;
const found = (json: { findings: { tool_violations: { code: string; path: string }[] } }) =>
  json.findings.tool_violations.map(({ code, path }) => `${code} ${path}`);
const call = (name: string, args: unknown = {}) => ({ name, arguments: args });

describe('toolSchemas', () => {
  const toolSchemas = {
    pay: {
      type: 'object',
      properties: { amount: { type: 'number', maximum: 100 }, to: { pattern: '^[A-Z]{2}[0-9]+$' } },
      required: ['amount'],
    },
  };

  it.each([
    [{ amount: 5, to: 'DE12' }, []],
    ['{"amount":5}', []],
    [{ amount: 500 }, ['schema /toolCalls/0/arguments/amount']],
    [{ to: 'DE12' }, ['schema /toolCalls/0/arguments/amount']],
    [{ amount: 5, to: 'x' }, ['schema /toolCalls/0/arguments/to']],
    ['{"amount":', ['bad_json /toolCalls/0/arguments']],
  ])('are what arguments must fit: %j', async (args, expected) => {
    const json = await ask({ toolCalls: [call('pay', args), call('other')], expect: { toolSchemas } });
    expect(found(json)).toEqual(expected);
    expect(json.action).toBe(expected.length === 0 ? 'pass' : 'block');
    expect(json.coverage.receipt.scanners['tool-policy']).toBe('ran');
  });

  it('hold for calls in the text', async () => {
    const output = '<tool_call>{"name":"pay","arguments":{"amount":500}}</tool_call>';
    const json = await ask({ output, expect: { toolSchemas } });
    expect(json.findings.tool_violations).toEqual([
      { tool: 'pay', code: 'schema', path: '/output#/arguments/amount', offset: 0 },
    ]);
  });

  it('answer the same when they come again', async () => {
    const body = { toolCalls: [call('pay', { amount: 500 })], expect: { toolSchemas } };
    expect(found(await ask(body))).toEqual(found(await ask(body)));
  });

  it.each([
    [{ f: 1 }, '/f', 'expected a JSON Schema: an object, true or false'],
    [{ f: true, 'a/b': { type: 'strng' } }, '/a~1b', 'does not fit the meta-schema of its dialect'],
    [{ f: { pattern: '(?<=x)' } }, '/f', 'holds a pattern that RE2 cannot match in linear time'],
    [{ f: { $ref: 'https://example.com/s.json' } }, '/f', 'refers to a schema that is not part of it'],
    [{ f: { title: 'x'.repeat(70_000) } }, '/f', 'is larger than 65536 bytes'],
    [Object.fromEntries(Array.from({ length: 129 }, (_, i) => [`f${i}`, true])), '', 'expected at most 128 schemas'],
    [
      Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`f${i}`, { title: 'x'.repeat(60_000) }])),
      '',
      'expected at most 262144 bytes of schemas',
    ],
  ])('that cannot be used are 400 with their place, %#', async (schemas, below, message) => {
    const { status, json } = await app.post('/validate_output', { output: '', expect: { toolSchemas: schemas } });
    expect([status, json.error.pointer]).toEqual([400, `/expect/toolSchemas${below}`]);
    expect(json.error.message).toContain(message);
  });

  it.each([
    ['a name', '{"__proto__":{"required":["x"]}}', '__proto__', '{}', 'schema /toolCalls/0/arguments/x'],
    ['an argument', '{"f":{"properties":{}}}', 'f', '{"__proto__":{}}', 'schema /toolCalls/0/arguments/__proto__'],
  ])('take __proto__ as %s like any other', async (_name, schemas, name, args, expected) => {
    const body = `{"output":"","toolCalls":[{"name":"${name}","arguments":${args}}],"expect":{"toolSchemas":${schemas}}}`;
    const { status, json } = await app.post('/validate_output', body);
    expect(status).toBe(200);
    expect(found(json)).toEqual([expected]);
  });

  it('that cannot be decided end as the failure mode says', async () => {
    const body = { output: '', toolCalls: [call('f')], expect: { toolSchemas: { f: CIRCLE } } };
    const closed = await app.post('/validate_output', body);
    expect([closed.status, closed.json.error.code]).toEqual([500, 'guardrail_unavailable']);
    const passed = await ask(body, open);
    expect(passed).toMatchObject({ action: 'pass', coverage: { degraded: true } });
    expect(passed.coverage.receipt.scanners['tool-policy']).toBe('failed_open');
  });
});

describe('the policy of the tenant', () => {
  const calls = [
    call('mail', { to: 'a@evil.net' }),
    call('mail'),
    call('search', { limit: 11 }),
    call('shell', { cmd: 'ls' }),
    call('search', { limit: 1 }),
  ];
  const violations = [
    'argument /toolCalls/0/arguments/to',
    'missing_field /toolCalls/1/arguments/to',
    'schema /toolCalls/2/arguments/limit',
    'not_allowed /toolCalls/3',
  ];

  it('applies where the caller expects nothing', async () => {
    const json = await ask({ toolCalls: calls }, strict);
    expect(json.action).toBe('block');
    expect(found(json)).toEqual(violations);
  });

  it('cannot be loosened by the caller', async () => {
    const json = await ask({ toolCalls: calls, expect: { allowedTools: ['*'], toolFields: {} } }, strict);
    expect(found(json)).toEqual(violations);
  });

  it('is tightened by the caller, and says once what both say', async () => {
    const json = await ask({ toolCalls: calls.slice(3), expect: { allowedTools: [] } }, strict);
    expect(found(json).sort()).toEqual(['not_allowed /toolCalls/0', 'not_allowed /toolCalls/1']);
  });

  it('does not run when its guard is off', async () => {
    const json = await ask({ toolCalls: calls }, off);
    expect(json).toMatchObject({ action: 'pass', coverage: { receipt: { scanners: { 'tool-policy': 'not_run' } } } });
  });

  it('leaves the markers of calls that it allows', async () => {
    const output = '<tool_call>{"name":"search","arguments":{}}</tool_call>';
    expect(await ask({ output }, strict)).toMatchObject({ action: 'pass' });
  });

  it('never shows what an argument held', async () => {
    const json = await ask({ toolCalls: [call('mail', { to: 'very-private@evil.net' })] }, strict);
    expect(JSON.stringify(json)).not.toContain('very-private');
    expect(strict.logs.join('')).not.toContain('very-private');
  });
});
