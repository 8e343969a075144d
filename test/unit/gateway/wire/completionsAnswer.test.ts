import { describe, expect, it } from 'vitest';
import type { AnswerPart } from '../../../../gateway/wire/answer.ts';
import { readCompletionsAnswer, readCompletionsChunk } from '../../../../gateway/wire/completionsAnswer.ts';
import { channelsOf, coveredBy, parse, stringsOf } from './coverage.ts';

const COMPLETION = {
  id: 'cmpl-1',
  object: 'text_completion',
  created: 1,
  model: 'm',
  system_fingerprint: 'fp_1',
  choices: [
    {
      index: 0,
      text: 'it rains',
      finish_reason: 'stop',
      logprobs: {
        tokens: ['it', ' rains'],
        token_logprobs: [-1, -2],
        text_offset: [0, 2],
        top_logprobs: [{ it: -1, a_long_alternative: -3 }, {}],
      },
    },
    { index: 1, text: 'it pours', finish_reason: 'length', stop_reason: 'eos', logprobs: null, note: { a: ['b'] } },
    {
      index: 2,
      text: '',
      finish_reason: null,
      logprobs: { content: [{ token: 'x', top_logprobs: [{ token: 'y' }] }], odd: 'z' },
    },
    'odd',
  ],
  usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
};

const read = (value: unknown, reader = readCompletionsAnswer): AnswerPart => {
  const part = reader(parse(value));
  if (part === null) throw new Error('was refused');
  return part;
};

describe('a completion', () => {
  it.each([
    ['whole', readCompletionsAnswer],
    ['as a chunk', readCompletionsChunk],
  ])('hands on every string exactly once, %s', (_name, reader) => {
    expect(coveredBy(read(COMPLETION, reader))).toEqual(stringsOf(COMPLETION));
  });

  it('is read into one channel for each text', () => {
    const part = read(COMPLETION);
    expect(channelsOf([part])).toEqual({
      '0/text': 'it rains',
      '0/logprobs/tokens': 'it rains',
      '1/text': 'it pours',
      '1/choice/note/a/0': 'b',
      '2/text': '',
      '2/logprobs/content': 'x',
      '2/logprobs/odd': 'z',
    });
    expect(part.pieces.filter(({ kind }) => kind === 'meta').map(({ leaf }) => leaf.value)).toEqual([
      'it',
      ' rains',
      'x',
      'z',
    ]);
    expect(part.leaves).toContainEqual({ name: 'key a_long_alternative', text: 'a_long_alternative' });
  });

  it('names the log-probabilities that go with a text', () => {
    const source = JSON.stringify(COMPLETION);
    const [first, second] = read(COMPLETION).groups;
    expect(source.slice(first?.logprobs?.start, first?.logprobs?.end)).toBe(
      JSON.stringify(COMPLETION.choices.map((choice) => Object(choice).logprobs)[0]),
    );
    expect(second?.logprobs?.kind).toBe('null');
  });

  it('is complete when it comes whole', () => {
    const part = read(COMPLETION);
    expect(part).toMatchObject({ ends: true, isError: false, usage: { inputTokens: 3, outputTokens: 4 }, calls: [] });
    expect(part.groups.map(({ index, finished }) => [index, finished])).toEqual([
      [0, true],
      [1, true],
      [2, true],
    ]);
  });

  it('ends choice by choice in chunks', () => {
    const part = read(COMPLETION, readCompletionsChunk);
    expect(part.ends).toBe(false);
    expect(part.groups.map(({ index, finished }) => [index, finished])).toEqual([
      [0, true],
      [1, true],
      [2, false],
    ]);
  });

  it('says the same in chunks as whole', () => {
    const chunk = (index: number, text: string) => ({ object: 'text_completion', choices: [{ index, text }] });
    const chunks = [chunk(0, 'it '), chunk(1, 'it'), chunk(0, 'rains'), chunk(1, ' pours')];
    const whole = { choices: [chunk(0, 'it rains').choices[0], chunk(1, 'it pours').choices[0]] };
    const streamed = channelsOf(chunks.map((each) => read(each, readCompletionsChunk)));
    expect(streamed).toEqual(channelsOf([read(whole)]));
  });

  it('may be an error instead', () => {
    const error = { error: { message: 'no', type: 'server_error', param: null, code: 'x' } };
    for (const reader of [readCompletionsAnswer, readCompletionsChunk]) {
      const part = read(error, reader);
      expect(part).toMatchObject({ isError: true, groups: [] });
      expect(coveredBy(part)).toEqual(stringsOf(error));
    }
  });

  it.each([[[]], ['text'], [{}], [{ choices: 'text' }], [{ error: null }]])('is not %j', (value) => {
    expect(readCompletionsAnswer(parse(value))).toBeNull();
    expect(readCompletionsChunk(parse(value))).toBeNull();
  });
});
