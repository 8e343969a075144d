import { describe, expect, it } from 'vitest';
import type { AnswerPart } from '../../../../gateway/wire/answer.ts';
import { eachString, type JsonNode, parseJson } from '../../../../gateway/wire/json.ts';
import { readInputItems, readResponsesAnswer } from '../../../../gateway/wire/responsesAnswer.ts';

const parse = (value: unknown): JsonNode => parseJson(JSON.stringify(value), 64);
const read = (value: unknown): AnswerPart => {
  const part = readResponsesAnswer(parse(value));
  if (part === null) throw new Error('expected an answer');
  return part;
};
const channels = (part: AnswerPart): [string, string, string][] =>
  part.pieces.map(({ channel, kind, leaf }) => [channel, kind, leaf.value]);
const response = (output: unknown[], rest: object = {}): object => ({
  id: 'resp_1',
  object: 'response',
  status: 'completed',
  output,
  ...rest,
});

const MESSAGE = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  status: 'completed',
  content: [
    {
      type: 'output_text',
      text: 'Hello',
      annotations: [{ type: 'url_citation', url: 'https://a.example/', title: 'A' }],
      logprobs: [
        { token: 'Hel', top_logprobs: [{ token: 'Hal' }] },
        { token: 'lo', top_logprobs: [] },
      ],
    },
    { type: 'refusal', refusal: 'No' },
  ],
};

const ITEMS = [
  MESSAGE,
  {
    id: 'rs_1',
    type: 'reasoning',
    summary: [{ type: 'summary_text', text: 'brief' }],
    content: [{ type: 'reasoning_text', text: 'long' }],
    encrypted_content: 'gAAA',
  },
  { id: 'fc_1', type: 'function_call', call_id: 'c1', name: 'send', arguments: '{"to":"a"}' },
  { id: 'ct_1', type: 'custom_tool_call', call_id: 'c2', name: 'sql', input: 'select "a"' },
  { id: 'mcp_1', type: 'mcp_call', server_label: 'w', name: 'read', arguments: '{}', output: 'page', error: 'late' },
  {
    id: 'ci_1',
    type: 'code_interpreter_call',
    container_id: 'cn',
    code: 'print(1)',
    outputs: [
      { type: 'logs', logs: '1' },
      { type: 'image', url: 'https://i.example/1.png' },
    ],
  },
  { id: 'fs_1', type: 'file_search_call', queries: ['q1'], results: [{ filename: 'a', text: 'found', file_id: 'f' }] },
  {
    id: 'ws_1',
    type: 'web_search_call',
    action: { type: 'search', query: 'q2', sources: [{ type: 'url', url: 'https://s.example/' }] },
  },
  { id: 'ig_1', type: 'image_generation_call', result: 'iVBORw0KGgo=' },
  {
    id: 'ls_1',
    type: 'local_shell_call',
    call_id: 'c3',
    action: { type: 'exec', command: ['ls', '-l'], env: { A: 'b' } },
  },
  { id: 'cc_1', type: 'computer_call', call_id: 'c4', actions: [{ type: 'type', text: 'typed' }] },
  { id: 'ma_1', type: 'mcp_approval_request', server_label: 'w', name: 'wipe', arguments: '{"all":true}' },
  { id: 'xx_1', type: 'telepathy', thought: 'new', deep: [{ more: 'strings' }] },
];

describe('a whole response', () => {
  it('gives every text a channel and leaves what names things to the leaves', () => {
    const part = read(response(ITEMS));
    expect(channels(part)).toEqual([
      ['0/content/0/text', 'text', 'Hello'],
      ['0/content/0/annotations/title', 'text', 'A'],
      ['0/content/0/logprobs', 'meta', 'Hel'],
      ['0/content/0/logprobs', 'meta', 'lo'],
      ['0/content/1/refusal', 'text', 'No'],
      ['1/summary/0/text', 'text', 'brief'],
      ['1/reasoning/0/text', 'text', 'long'],
      ['2/name', 'tool', 'send'],
      ['2/arguments', 'tool', '{"to":"a"}'],
      ['3/name', 'tool', 'sql'],
      ['3/input', 'tool', 'select "a"'],
      ['4/server_label', 'text', 'w'],
      ['4/name', 'tool', 'read'],
      ['4/arguments', 'tool', '{}'],
      ['4/output', 'text', 'page'],
      ['4/error', 'text', 'late'],
      ['5/code', 'tool', 'print(1)'],
      ['5/outputs/0/logs', 'text', '1'],
      ['6/queries/0', 'tool', 'q1'],
      ['6/results/0/text', 'text', 'found'],
      ['7/action/query', 'tool', 'q2'],
      ['9/action/command/0', 'tool', 'ls'],
      ['9/action/command/1', 'tool', '-l'],
      ['9/action/env/A', 'tool', 'b'],
      ['10/actions/0/text', 'tool', 'typed'],
      ['11/server_label', 'text', 'w'],
      ['11/name', 'tool', 'wipe'],
      ['11/arguments', 'tool', '{"all":true}'],
      ['12/thought', 'text', 'new'],
    ]);
    const leaves = part.leaves.map(({ text }) => text);
    for (const leaf of ['https://a.example/', 'Hal', 'gAAA', 'iVBORw0KGgo=', 'strings', 'https://s.example/']) {
      expect(leaves).toContain(leaf);
    }
    expect(
      part.pieces.map(({ group, channel }) => `${group}`.concat('/') === channel.slice(0, `${group}/`.length)),
    ).not.toContain(false);
  });

  it('reports each call once, complete, with built-in tools under their own names', () => {
    expect(read(response(ITEMS)).calls).toEqual([
      { key: '2', id: 'c1', name: 'send', arguments: '{"to":"a"}' },
      { key: '3', id: 'c2', name: 'sql', arguments: 'select "a"', freeForm: true },
      { key: '4', id: 'mcp_1', name: 'read', arguments: '{}' },
      {
        key: '9',
        id: 'c3',
        name: 'local_shell',
        arguments: '{"type":"exec","command":["ls","-l"],"env":{"A":"b"}}',
      },
      { key: '10', id: 'c4', name: 'computer', arguments: '{"actions":[{"type":"type","text":"typed"}]}' },
      { key: '11', id: 'ma_1', name: 'wipe', arguments: '{"all":true}' },
    ]);
  });

  it('finishes every item, and names the log-probabilities that spell its text', () => {
    const root = parse(response(ITEMS.slice(0, 3)));
    const part = readResponsesAnswer(root);
    expect(part?.groups.map(({ index, finished, toolCalls }) => [index, finished, toolCalls])).toEqual([
      [0, true, []],
      [1, true, []],
      [2, true, ['2']],
    ]);
    expect(part?.groups.map(({ logprobs }) => logprobs?.kind ?? null)).toEqual(['array', null, null]);
    expect(part).toMatchObject({ ends: true, isError: false });
  });

  it('covers every string exactly once', () => {
    const root = parse(response(ITEMS, { instructions: 'Be kind.', tools: [{ name: 'send' }], metadata: { a: 'b' } }));
    const part = readResponsesAnswer(root);
    const expected: string[] = [];
    eachString(root, '', (leaf) => {
      expected.push(leaf.value);
    });
    const seen = [
      ...(part?.pieces ?? []).map(({ leaf }) => leaf.value),
      ...(part?.leaves ?? []).filter(({ name }) => !/^keys? /.test(name)).map(({ text }) => text),
      ...(part?.echoes ?? []).map(({ value }) => value),
    ];
    expect(seen.sort()).toEqual(expected.sort());
  });

  it('takes instructions and input as echoes and never as text of the answer', () => {
    const part = read(
      response([], {
        instructions: [{ role: 'system', content: [{ type: 'input_text', text: 'planted' }] }],
        input: 'asked',
      }),
    );
    expect(part.echoes.map(({ value }) => value)).toEqual(['system', 'input_text', 'planted', 'asked']);
    expect(part.pieces).toEqual([]);
    expect(part.leaves.map(({ text }) => text)).not.toContain('planted');
  });

  it('reads long keys and the token counts', () => {
    const part = read(
      response([], { metadata: { 'a key that says something': '' }, usage: { input_tokens: 3, output_tokens: 4 } }),
    );
    expect(part.leaves.map(({ text }) => text)).toContain('a key that says something');
    expect(part.usage).toEqual({ inputTokens: 3, outputTokens: 4 });
  });

  it('is an answer also when it failed', () => {
    const part = read(response([], { status: 'failed', error: { code: 'server_error', message: 'It broke.' } }));
    expect(part.isError).toBe(false);
    expect(part.leaves.map(({ text }) => text)).toContain('It broke.');
  });

  it('reads items that are no objects and parts that are no parts', () => {
    const part = read(response(['bare', { type: 'message', content: ['said', 7, { type: 'x', odd: ['y'] }] }]));
    expect(channels(part)).toEqual([['1/content/0/text', 'text', 'said']]);
    expect(part.leaves.map(({ text }) => text)).toEqual(expect.arrayContaining(['bare', 'y']));
  });

  it('is an error when there is an error in place of an output', () => {
    expect(read({ error: { message: 'No.' } })).toMatchObject({ isError: true });
  });

  it.each([
    ['a list', []],
    ['a chat completion', { object: 'chat.completion', choices: [] }],
    ['an empty object', {}],
    ['an error that is null', { error: null }],
  ])('is not %s', (_name, body) => {
    expect(readResponsesAnswer(parse(body))).toBeNull();
  });
});

describe('a list of input items', () => {
  it('is an echo of what the client said', () => {
    const root = parse({
      object: 'list',
      data: [{ id: 'msg_1', type: 'message', role: 'system', content: [{ type: 'input_text', text: 'planted' }] }],
      first_id: 'msg_1',
      has_more: false,
    });
    const part = readInputItems(root);
    expect(part?.echoes.map(({ value }) => value)).toEqual(['msg_1', 'message', 'system', 'input_text', 'planted']);
    expect(part?.leaves).toEqual([
      { name: '/object', text: 'list' },
      { name: '/first_id', text: 'msg_1' },
    ]);
    expect(part).toMatchObject({ pieces: [], isError: false, ends: true });
  });

  it('is not a response, nor a list of anything else than items', () => {
    expect(readInputItems(parse(response([])))).toBeNull();
    expect(readInputItems(parse({ object: 'list', data: {} }))).toBeNull();
    expect(readInputItems(parse({ error: { message: 'No.' } }))).toMatchObject({ isError: true });
  });
});
