import { describe, expect, it } from 'vitest';
import type { AnswerPart } from '../../../../gateway/wire/answer.ts';
import { readChatAnswer } from '../../../../gateway/wire/chatAnswer.ts';
import { channelsOf, coveredBy, parse, stringsOf } from './coverage.ts';

const read = (value: unknown): AnswerPart => {
  const part = readChatAnswer(parse(value));
  if (part === null) throw new Error('was refused');
  return part;
};
const ofChoice = (choice: object): object => ({ id: 'x', choices: [{ index: 0, ...choice }] });
const chunk = (delta: object): object => ofChoice({ delta });
const message = (given: object): object => ofChoice({ message: { role: 'assistant', ...given } });
const calls = (value: unknown): [string, string | null | undefined, string | null, string | null][] =>
  read(value).calls.map(({ key, id, name, arguments: args }) => [key, id, name, args]);

const CALL = { id: 'a', type: 'function', function: { name: 'send', arguments: '{}' } };

describe('the calls of a chat answer', () => {
  it('are told apart by their place in a whole message, whatever numbers they bear', () => {
    const tool_calls = [
      { ...CALL, index: 0 },
      { ...CALL, index: 0, id: 'b' },
    ];
    expect(calls(message({ tool_calls }))).toEqual([
      ['0/message/tool_calls/0', 'a', 'send', '{}'],
      ['0/message/tool_calls/1', 'b', 'send', '{}'],
    ]);
  });

  it.each([
    ['a number', 3, '0/tool_calls/3'],
    ['a number as a text', '3', '0/tool_calls/3'],
    ['no number', undefined, '0/tool_calls/0'],
    ['what is no number', [3], '0/tool_calls/0'],
  ])('go by %s in a stream', (_name, index, key) => {
    expect(calls(chunk({ tool_calls: [{ ...CALL, index }] }))).toEqual([[key, 'a', 'send', '{}']]);
  });

  const base = '0/tool_calls/0';
  it.each<[string, object, unknown[]]>([
    ['one object in place of a list', chunk({ tool_calls: CALL }), [base, 'a', 'send', '{}']],
    ['no wrapper', chunk({ tool_calls: [{ id: 'a', name: 'send', arguments: '{}' }] }), [base, 'a', 'send', '{}']],
    ['the choice', ofChoice({ delta: {}, tool_calls: [CALL] }), ['0/choice/tool_calls/0', 'a', 'send', '{}']],
    [
      'the choice, in the older form',
      ofChoice({ function_call: { name: 'send', arguments: '{}' } }),
      ['0/choice/function_call', null, 'send', '{}'],
    ],
    ['a text', chunk({ tool_calls: ['send'] }), [base, null, null, null]],
    ['a text in place of a list', chunk({ tool_calls: 'send' }), [base, null, null, null]],
    ['a list in the older form', chunk({ function_call: [CALL] }), ['0/function_call', null, null, null]],
    ['an empty object', chunk({ tool_calls: [{}] }), [base, null, null, null]],
    [
      'arguments that are an object',
      chunk({ tool_calls: [{ ...CALL, function: { name: 'send', arguments: { to: ['x'] } } }] }),
      [base, 'a', 'send', '{"to":["x"]}'],
    ],
  ])('are told, and hold their frame, as %s', (_name, answer, call) => {
    expect(calls(answer)).toEqual([call]);
    expect(read(answer).groups).toMatchObject([{ toolCalls: [call[0]] }]);
    expect(coveredBy(read(answer))).toEqual(stringsOf(answer));
  });

  it('may begin with an empty object that a text goes on with', () => {
    const parts = [{ name: 'send', arguments: {} }, { arguments: '{"to":' }, { arguments: '1}' }];
    const given = parts.flatMap((fn) => read(chunk({ tool_calls: [{ index: 0, function: fn }] })).calls);
    expect(given.map(({ arguments: args }) => args)).toEqual([null, '{"to":', '1}']);
  });

  it('are none where providers say that there is none', () => {
    for (const nothing of [null, false, '', []]) {
      const part = read(ofChoice({ delta: { tool_calls: nothing }, tool_calls: nothing }));
      expect([part.calls, part.groups[0]?.toolCalls]).toEqual([[], []]);
    }
    expect(calls(chunk({ function_call: null }))).toEqual([]);
  });
});

describe('the parts of a chat message', () => {
  const text = (said: string) => ({ type: 'text', text: said });

  it('of type text are one text, and those of each other type are another', () => {
    const content = [
      text('a'),
      { type: 'reference', text: 'x' },
      text('b'),
      { type: 'reference', text: 'y' },
      text('c'),
    ];
    expect(channelsOf([read(message({ content }))])).toEqual({
      '0/message/content': 'abc',
      '0/message/content/reference': 'xy',
    });
  });

  it('keep what is nested in them to themselves, from chunk to chunk', () => {
    const parts = ['a', 'b', 'c'].map((said, n) => {
      const thinking = { type: 'thinking', thinking: [text(`${n}`), text('!')] };
      return read(chunk({ content: n === 1 ? [text(said), thinking] : [thinking, text(said)] }));
    });
    expect(channelsOf(parts)).toEqual({ '0/content': 'abc', '0/content/thinking/thinking': '0!1!2!' });
  });

  it('go on with a content that is a text, and are read string by string', () => {
    const answer = chunk({ content: [{ text: 'b', url: 'u', id: 'i' }, 'odd', 7, [text('c')]] });
    expect(channelsOf([read(chunk({ content: 'a' })), read(answer)])).toEqual({
      '0/content': 'abc',
      '0/content/0/url': 'u',
      '0/content/1': 'odd',
    });
    expect(coveredBy(read(answer))).toEqual(stringsOf(answer));
  });
});
