import { describe, expect, it } from 'vitest';
import { type FoundCall, findTextCalls, type Tree } from '../../../../engine/tools/find.ts';
import { JsonError, parseJson } from '../../../../gateway/wire/json.ts';

const parse = (text: string): Tree | null => {
  try {
    return parseJson(text, 128);
  } catch (error) {
    if (error instanceof JsonError) return null;
    throw error;
  }
};

const find = (text: string): readonly FoundCall[] => findTextCalls(text, '/output', parse);
const brief = (text: string) =>
  find(text).map(({ name, args, badJson }) => [name, args === null ? null : [...args.entries.keys()], badJson]);

const ARGS = '{"a":1,"b":"x"}';
const READ = [['f', ['a', 'b'], false]];

describe('a tool call', () => {
  it.each([
    ['plain JSON, tool and input', `{"tool":"f","input":${ARGS}}`],
    ['plain JSON, name and arguments', ` {"name":"f","arguments":${ARGS}} `],
    ['plain JSON, name and parameters', `{"name":"f","parameters":${ARGS}}`],
    ['a list', `[{"name":"f","arguments":${ARGS}}]`],
    ['a code fence', `\`\`\`json\n{"name":"f","arguments":${ARGS}}\n\`\`\``],
    ['arguments as a string', JSON.stringify({ name: 'f', arguments: ARGS })],
    [
      'OpenAI',
      JSON.stringify({ tool_calls: [{ id: 'x', type: 'function', function: { name: 'f', arguments: ARGS } }] }),
    ],
    [
      'OpenAI, whole answer',
      JSON.stringify({ choices: [{ message: { tool_calls: [{ function: { name: 'f', arguments: ARGS } }] } }] }),
    ],
    ['OpenAI, function_call', JSON.stringify({ function_call: { name: 'f', arguments: ARGS } })],
    ['Anthropic', `{"content":[{"type":"tool_use","id":"x","name":"f","input":${ARGS}}]}`],
    ['Gemini', `{"functionCall":{"name":"f","args":${ARGS}}}`],
    ['Hermes, Qwen', `text <tool_call>\n{"name":"f","arguments":${ARGS}}\n</tool_call>`],
    ['Hermes, not closed', `<tool_call>{"name":"f","arguments":${ARGS}}`],
    ['Mistral', `[TOOL_CALLS] [{"name":"f","arguments":${ARGS}}]`],
    ['Mistral, newer', `[TOOL_CALLS]f[ARGS]${ARGS}`],
    ['Mistral, newest', `[TOOL_CALLS]f${ARGS}`],
    ['Llama 3', `<|python_tag|>{"name":"f","parameters":${ARGS}}<|eom_id|>`],
    ['Llama 3, function tag', `<function=f>${ARGS}</function>`],
    [
      'XML invoke',
      '<function_calls>\n<invoke name="f">\n<parameter name="a">1</parameter>\n<parameter name="b">x</parameter>\n</invoke>\n</function_calls>',
    ],
    [
      'XML invoke, prefix',
      '<ns:invoke name="f"><ns:parameter name="a">1</ns:parameter><ns:parameter name="b">x</ns:parameter></ns:invoke>',
    ],
    [
      'Qwen coder',
      '<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\nx\n</parameter>\n</function>\n</tool_call>',
    ],
    [
      'GLM',
      '<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n<arg_key>b</arg_key>\n<arg_value>x</arg_value>\n</tool_call>',
    ],
    ['harmony', `<|channel|>commentary to=functions.f <|constrain|>json<|message|>${ARGS}<|call|>`],
    ['Granite', `<|tool_call|>[{"name":"f","arguments":${ARGS}}]`],
    ['Phi', `<|tool_call|>[{"name":"f","arguments":${ARGS}}]<|/tool_call|>`],
    ['Nemotron', `<TOOLCALL>[{"name":"f","arguments":${ARGS}}]</TOOLCALL>`],
    [
      'Kimi',
      `<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>${ARGS}<|tool_call_end|>`,
    ],
    [
      'DeepSeek R1',
      `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n\`\`\`json\n${ARGS}\n\`\`\`<｜tool▁call▁end｜>`,
    ],
    ['DeepSeek V3.1', `<｜tool▁call▁begin｜>f<｜tool▁sep｜>${ARGS}<｜tool▁call▁end｜>`],
  ])('in the form of %s', (_name, text) => {
    expect(brief(text)).toEqual(READ);
  });

  it.each([
    ['Python in a list', '<|tool_call_start|>[f(a=1)]<|tool_call_end|>', 'f'],
    ['Python after its tag', '<|python_tag|>f.call(query="x")', 'f'],
    ['JSON that does not end', '<tool_call>{"name":"f","arguments":{"a":', null],
    ['JSON with a repeated key', '<tool_call>{"name":"f","name":"g","arguments":{}}</tool_call>', null],
    ['a body that is no JSON', '<function=f>{oops</function>', 'f'],
  ])('that cannot be read: %s', (_name, text, name) => {
    expect(brief(text)).toEqual([[name, null, true]]);
  });

  it.each([
    'Use <tool_call> tags to call tools.',
    'The docs mention to=functions.f and nothing else.',
    '{"name":"Bob","age":4}',
    '{"items":[{"name":"x","input":"y"}]}',
    '<tool_calls></tool_calls>',
    '[1,2,3]',
    '',
  ])('is not in %j', (text) => {
    expect(find(text)).toEqual([]);
  });

  it.each([
    ['{"type":"custom","custom":{"name":"f","input":"SELECT 1"}}', 'SELECT 1'],
    ['{"type":"custom_tool_call","name":"f","input":"{not JSON"}', '{not JSON'],
    ['{"type":"custom_tool_call","name":"f","input":"{}"}', undefined],
    ['{"type":"function","function":{"name":"f","arguments":"SELECT 1"}}', undefined],
  ])('of a free-form tool has a text: %j', (text, expected) => {
    expect(find(text).map((call) => call.text?.value)).toEqual([expected]);
    expect(find(text)[0]?.badJson).toBe(text.includes('"function"'));
  });

  it('stands where it says', () => {
    const text = `ab <tool_call>{"name":"f","arguments":{"x":"</tool_call>"}}</tool_call> cd <tool_call>{"name":"g","arguments":{}}</tool_call>`;
    const calls = find(text);
    expect(calls.map(({ name }) => name)).toEqual(['f', 'g']);
    const cut = calls.map(({ span }) => text.slice(span?.start, span?.end));
    expect(cut[0]).toBe(text.slice(3, text.indexOf(' cd')));
    expect(text.replace(cut[0] as string, '').replace(cut[1] as string, '')).toBe('ab  cd ');
    const [first] = calls;
    expect(first?.markers.map(({ start, end }) => text.slice(start, end))).toEqual(['<tool_call>', '</tool_call>']);
  });

  it.each([
    '<tool_call>',
    '<tool_call>{',
    '<tool_call>{"a":"',
    '<function=f>',
    '<invoke name="f">',
    'to=a <|message|>',
    'to=functions.aaaaaaaaaaaaaaaaaaaaaaaa ',
    '<|tool_call_begin|>',
    '<tool_call>f\n<arg_key>a</arg_key>',
    '<tool_call>[f(',
    '[TOOL_CALLS]',
    '[TOOL_CALLS]f{',
  ])('is looked for in linear time in a megabyte of %s', (piece) => {
    const text = piece.repeat(Math.floor(1_000_000 / piece.length));
    const started = performance.now();
    find(text);
    expect(performance.now() - started).toBeLessThan(3000);
  });
});
