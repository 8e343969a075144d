import { describe, expect, it } from 'vitest';
import { readDataAnswer, readEmbeddingsAnswer } from '../../../../gateway/wire/dataAnswer.ts';
import { coveredBy, parse, stringsOf } from './coverage.ts';

const bytes = Buffer.from(new Float32Array([0.5, -1]).buffer).toString('base64');
const embeddings = (embedding: unknown, rest: object = {}) => ({
  object: 'list',
  model: 'm',
  data: [{ object: 'embedding', index: 0, embedding, ...rest }],
  usage: { prompt_tokens: 2, total_tokens: 2 },
});

describe('embeddings', () => {
  it.each([
    ['numbers', [0.5, -1]],
    ['base64', bytes],
  ])('are no text as %s', (_name, embedding) => {
    const part = readEmbeddingsAnswer(parse(embeddings(embedding)));
    if (part === null) throw new Error('was refused');
    expect(coveredBy(part)).toEqual(stringsOf(embeddings([])));
    expect(part).toMatchObject({ pieces: [], groups: [], ends: true, isError: false });
    expect(part.usage).toEqual({ inputTokens: 2, outputTokens: null });
  });

  it.each([['that is no base64'], [['in a list']], [{ base64: 'AAAA' }]])('are text as %j', (embedding) => {
    const answer = embeddings(embedding);
    const part = readEmbeddingsAnswer(parse(answer));
    expect(part && coveredBy(part)).toEqual(stringsOf(answer));
  });

  it('are read for every other string', () => {
    const answer = { ...embeddings([1], { note: 'hi' }), extra: { embedding: 'AAAA' } };
    const part = readEmbeddingsAnswer(parse(answer));
    expect(part && coveredBy(part)).toEqual(stringsOf(answer));
    const odd = { data: ['AAAA', [{ embedding: 'AAAA' }]] };
    const oddPart = readEmbeddingsAnswer(parse(odd));
    expect(oddPart && coveredBy(oddPart)).toEqual(stringsOf(odd));
  });

  it('may be an error instead', () => {
    expect(readEmbeddingsAnswer(parse({ error: { message: 'no' } }))).toMatchObject({ isError: true });
  });

  it.each([[[]], ['text'], [{}], [{ data: 'AAAA' }]])('are not %j', (value) => {
    expect(readEmbeddingsAnswer(parse(value))).toBeNull();
  });
});

describe('an answer that is data', () => {
  it('hands on every string and long key', () => {
    const answer = {
      id: 'modr-1',
      model: 'm',
      results: [{ flagged: true, categories: { 'self-harm/instructions': true }, note: ['a', { b: 'c' }] }],
    };
    const part = readDataAnswer(parse(answer));
    expect(part && coveredBy(part)).toEqual(stringsOf(answer));
    expect(part?.leaves).toContainEqual({ name: 'key self-harm/instructions', text: 'self-harm/instructions' });
    expect(part).toMatchObject({ pieces: [], ends: true, isError: false, usage: null });
  });

  it('may be an error, and is nothing but an object', () => {
    expect(readDataAnswer(parse({ error: 'no' }))).toMatchObject({ isError: true });
    expect(readDataAnswer(parse({ error: null }))).toMatchObject({ isError: false });
    expect(readDataAnswer(parse(['a']))).toBeNull();
  });
});
