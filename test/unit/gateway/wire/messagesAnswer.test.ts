import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AnswerPart } from '../../../../gateway/wire/answer.ts';
import { parseJson } from '../../../../gateway/wire/json.ts';
import { readMessagesAnswer, readTokenCount } from '../../../../gateway/wire/messagesAnswer.ts';
import { toJson } from '../../../../gateway/wire/nodeText.ts';
import { channelsOf, coveredBy, parse, stringsOf } from './coverage.ts';

const MESSAGE = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude',
  content: [
    { type: 'thinking', thinking: 'let me see', signature: 'c2ln' },
    {
      type: 'text',
      text: 'it rains',
      citations: [{ type: 'web_search_result_location', cited_text: 'rain', url: 'https://a.test', title: 't' }],
    },
    { type: 'tool_use', id: 'tu_1', name: 'get', input: { place: { city: 'Bonn' }, days: ['mon', 'tue'], n: 2 } },
    {
      type: 'web_search_tool_result',
      tool_use_id: 'tu_2',
      content: [{ type: 'web_search_result', title: 'w', url: 'https://b.test', encrypted_content: 'RUE=' }],
    },
    { type: 'compaction', content: 'so far', encrypted_content: 'RUI=' },
    'odd',
  ],
  stop_reason: 'tool_use',
  stop_sequence: null,
  usage: { input_tokens: 12, output_tokens: 34, service_tier: 'standard' },
};

const read = (value: unknown): AnswerPart => {
  const part = readMessagesAnswer(parse(value));
  if (part === null) throw new Error('was refused');
  return part;
};

describe('a whole message', () => {
  it('hands on every string exactly once', () => {
    expect(coveredBy(read(MESSAGE))).toEqual(stringsOf(MESSAGE));
  });

  it('is read into one channel for each text and each string of a call', () => {
    const part = read(MESSAGE);
    expect(channelsOf([part])).toEqual({
      '0/thinking': 'let me see',
      '1/text': 'it rains',
      '1/citations/title': 't',
      '1/citations/cited_text': 'rain',
      '2/name': 'get',
      '2/input/place/city': 'Bonn',
      '2/input/days/0': 'mon',
      '2/input/days/1': 'tue',
      '3/content/title': 'w',
      '4/content': 'so far',
    });
    expect(part.pieces.filter(({ kind }) => kind === 'tool').map(({ channel }) => channel)).toEqual([
      '2/name',
      '2/input/place/city',
      '2/input/days/0',
      '2/input/days/1',
    ]);
  });

  it('is complete, with every block finished and its calls and tokens told', () => {
    const part = read(MESSAGE);
    expect(part).toMatchObject({ isError: false, ends: true, usage: { inputTokens: 12, outputTokens: 34 } });
    expect(part.groups.map(({ index, finished, toolCalls }) => [index, finished, toolCalls])).toEqual([
      [0, true, []],
      [1, true, []],
      [2, true, ['2']],
      [3, true, []],
      [4, true, []],
      [5, true, []],
    ]);
    const args = '{"place":{"city":"Bonn"},"days":["mon","tue"],"n":2}';
    expect(part.calls).toEqual([{ key: '2', id: 'tu_1', name: 'get', arguments: args }]);
  });

  it.each(['tool_use', 'server_tool_use', 'mcp_tool_use'])('tells the call of a %s without input', (type) => {
    const part = read({ type: 'message', content: [{ type, id: 'tu_1', name: 'now', input: {} }] });
    expect(part.calls).toEqual([{ key: '0', id: 'tu_1', name: 'now', arguments: '{}' }]);
  });

  it('gives a call of many strings a bounded number of channels', () => {
    const rows = Array.from({ length: 500 }, (_, index) => `row ${index}`);
    const answer = { type: 'message', content: [{ type: 'tool_use', id: 'tu_1', name: 'put', input: { rows } }] };
    const part = read(answer);
    expect(coveredBy(part)).toEqual(stringsOf(answer));
    expect(new Set(part.pieces.map(({ channel }) => channel)).size).toBeLessThan(100);
  });

  it('hands on long keys as leaves', () => {
    const part = read({ content: [{ type: 'tool_use', name: 'x', input: { secret_in_a_key: 1 } }] });
    expect(part.leaves).toContainEqual({ name: 'key secret_in_a_key', text: 'secret_in_a_key' });
  });

  it('may be an error instead', () => {
    const error = { type: 'error', error: { type: 'overloaded_error', message: 'busy' }, request_id: 'req_1' };
    const part = read(error);
    expect(part).toMatchObject({ isError: true, usage: null, groups: [], pieces: [] });
    expect(coveredBy(part)).toEqual(stringsOf(error));
  });

  it.each([[[]], ['text'], [{}], [{ type: 'message', content: 'text' }]])('is not %j', (value) => {
    expect(readMessagesAnswer(parse(value))).toBeNull();
  });
});

describe('a count of tokens', () => {
  it('is read for every string it should not have, and is no usage', () => {
    const part = readTokenCount(parse({ input_tokens: 7, note: 'hi' }));
    expect(part).toMatchObject({ isError: false, ends: true, usage: null });
    expect(part?.leaves).toContainEqual({ name: '/note', text: 'hi' });
  });

  it('may be an error, and is nothing else', () => {
    expect(readTokenCount(parse({ type: 'error', error: { message: 'no' } }))).toMatchObject({ isError: true });
    expect(readTokenCount(parse({ content: [] }))).toBeNull();
  });
});

describe('JSON written from nodes', () => {
  it('says what the source said', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const source = JSON.stringify(value);
        expect(JSON.parse(toJson(parseJson(source, 64)))).toEqual(JSON.parse(source));
      }),
    );
  });

  it('keeps the order of members and has no blanks', () => {
    const source = '{"b":[1,{"a":"\\n\\""}],"a":{},"c":[[],null,true]}';
    expect(toJson(parseJson(source.replaceAll(',', ' , '), 64))).toBe(source);
  });

  it('does not recurse', () => {
    const depth = 50_000;
    const source = `${'['.repeat(depth)}${']'.repeat(depth)}`;
    expect(toJson(parseJson(source, depth))).toBe(source);
  });
});
