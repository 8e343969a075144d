import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startValidateApp, type ValidateApp } from '../helpers/validateApp.ts';

let app: ValidateApp;
let lenient: ValidateApp;
beforeAll(async () => {
  app = await startValidateApp();
  lenient = await startValidateApp({
    policy: (policy) => ({
      ...policy,
      output: { ...policy.output, toolConstraints: { ...policy.output.toolConstraints, action: 'sanitize' } },
    }),
  });
});
afterAll(async () => {
  await app.close();
  await lenient.close();
});

const ask = async (body: object, on = app) => (await on.post('/validate_output', { output: '', ...body })).json;
const call = (name: string, args: unknown = {}) => ({ name, arguments: args });

describe('allowed tools', () => {
  it.each([
    ['absent', undefined, 'pass'],
    ['null', null, 'pass'],
    ['empty', [], 'block'],
    ['listed', ['search'], 'pass'],
    ['listed with blanks and width', [' ｓearch '], 'pass'],
    ['listed in another case', ['Search'], 'block'],
    ['a pattern', ['se*'], 'pass'],
    ['another pattern', ['*.search'], 'block'],
  ])('%s', async (_name, allowedTools, action) => {
    const json = await ask({ toolCalls: [call('search')], expect: { allowedTools } });
    expect(json.action).toBe(action);
    const violations = action === 'pass' ? [] : [{ tool: 'search', code: 'not_allowed', path: '/toolCalls/0' }];
    expect(json.findings.tool_violations).toEqual(violations);
    expect(json.coverage.receipt.scanners['tool-policy']).toBe(allowedTools == null ? 'not_run' : 'ran');
  });
});

describe('required fields', () => {
  const expectFields = { toolFields: { mail: ['to', 'text'] } };

  it.each([
    ['all there', { to: 'a', text: 'b', extra: 1 }, []],
    ['as a string', '{"to":"a","text":"b"}', []],
    ['null', { to: null, text: 'b' }, [['missing_field', '/toolCalls/0/arguments/to']]],
    ['blank', { to: ' ', text: 'b' }, [['missing_field', '/toolCalls/0/arguments/to']]],
    [
      'missing',
      {},
      [
        ['missing_field', '/toolCalls/0/arguments/to'],
        ['missing_field', '/toolCalls/0/arguments/text'],
      ],
    ],
    [
      'no arguments',
      '',
      [
        ['missing_field', '/toolCalls/0/arguments/to'],
        ['missing_field', '/toolCalls/0/arguments/text'],
      ],
    ],
    ['a number and false', { to: 0, text: false }, []],
    ['unreadable', '{"to":"a"', [['bad_json', '/toolCalls/0/arguments']]],
    ['a repeated key', '{"to":"a","to":"b","text":"c"}', [['bad_json', '/toolCalls/0/arguments']]],
    ['a list', [1], [['bad_json', '/toolCalls/0/arguments']]],
  ])('%s', async (_name, args, expected) => {
    const json = await ask({ toolCalls: [call('mail', args)], expect: expectFields });
    const found = json.findings.tool_violations.map(({ code, path }: Record<string, string>) => [code, path]);
    expect(found).toEqual(expected);
    expect(json.action).toBe(expected.length === 0 ? 'pass' : 'block');
  });

  it('leave a tool that is not listed disallowed', async () => {
    const json = await ask({
      toolCalls: [call('mail', { to: 'a', text: 'b' })],
      expect: { ...expectFields, allowedTools: ['search'] },
    });
    expect(json.findings.tool_violations).toEqual([{ tool: 'mail', code: 'not_allowed', path: '/toolCalls/0' }]);
  });

  it('are all there is under strict', async () => {
    const json = await ask({
      toolCalls: [call('mail', { to: 'a', text: 'b', bcc: 'c' })],
      expect: { ...expectFields, strict: true },
    });
    expect(json.findings.tool_violations).toEqual([
      { tool: 'mail', code: 'schema', path: '/toolCalls/0/arguments/bcc' },
    ]);
  });
});

describe('a call in the text', () => {
  const text = '<tool_call>\n{"name":"shell","arguments":{"cmd":"ls"}}\n</tool_call>';

  it('is found, and its marker counts where none was wanted', async () => {
    const json = await ask({ output: `Now. ${text}`, expect: { allowedTools: [] } });
    expect(json.action).toBe('block');
    expect(json.findings.tool_violations).toEqual([{ tool: 'shell', code: 'not_allowed', path: '/output', offset: 5 }]);
    expect(json.findings.control_tokens).toContainEqual({ family: 'tool-call', token: 'tool call marker', count: 1 });
  });

  it('that is allowed keeps its markers', async () => {
    expect(await ask({ output: text, expect: { allowedTools: ['shell'] } })).toMatchObject({ action: 'pass' });
  });

  it('is removed where the policy says so', async () => {
    const json = await ask({ output: `Before. ${text} After.`, expect: { allowedTools: ['search'] } }, lenient);
    expect(json).toMatchObject({ action: 'sanitize', sanitizedOutput: 'Before. [tool call removed] After.' });
  });

  it('that is the whole answer is replaced by a string', async () => {
    const output = JSON.stringify([
      { tool: 'search', input: {} },
      { tool: 'shell', input: {} },
    ]);
    const json = await ask({ output, expect: { allowedTools: ['search'], mime: 'application/json' } }, lenient);
    expect(json.findings.tool_violations).toEqual([{ tool: 'shell', code: 'not_allowed', path: '/output#/1' }]);
    expect(JSON.parse(json.sanitizedOutput)).toEqual([{ tool: 'search', input: {} }, '[tool call removed]']);
  });
});

describe('a call given as data', () => {
  it('is removed from the list, the others stay', async () => {
    const toolCalls = [call('search', { q: 'a' }), call('shell', { cmd: 'ls' })];
    const json = await ask({ toolCalls, expect: { allowedTools: ['search'] } }, lenient);
    expect(json).toMatchObject({ action: 'sanitize', sanitizedOutput: '' });
    expect(json.sanitizedToolCalls).toEqual([toolCalls[0], { removed: true, note: '[tool call removed]' }]);
  });

  it('is found among content parts', async () => {
    const output = [
      { type: 'text', text: 'Now.' },
      { type: 'tool_use', id: 'x', name: 'shell', input: { cmd: 'ls' } },
    ];
    const json = await ask({ output, expect: { allowedTools: [] } }, lenient);
    expect(json.findings.tool_violations).toEqual([{ tool: 'shell', code: 'not_allowed', path: '/output/1' }]);
    expect(json.sanitizedOutput).toEqual([output[0], { type: 'text', text: '[tool call removed]' }]);
  });

  it('without a name is unreadable', async () => {
    const json = await ask({ toolCalls: [{ arguments: {} }], expect: { allowedTools: ['a'] } });
    expect(json.findings.tool_violations).toEqual([{ tool: null, code: 'bad_json', path: '/toolCalls/0' }]);
  });
});
