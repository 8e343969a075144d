import { describe, expect, it } from 'vitest';
import { readUsage } from '../../../../gateway/wire/answer.ts';
import { readDataAnswer, readEmbeddingsAnswer } from '../../../../gateway/wire/dataAnswer.ts';
import { seeded } from '../../../helpers/random.ts';
import { coveredBy, parse, stringsOf } from './coverage.ts';

const base64 = (...components: number[]): string => Buffer.from(new Float32Array(components).buffer).toString('base64');
const bytes = base64(0.5, -1, 0.25, 0.001);
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

  it.each([
    ['that is no base64'],
    [['in a list']],
    [{ base64: bytes }],
    ['3f9c1a7be25d48069b7e0c5af1d2864b'],
    ['00000000000000000000000000000000'],
    ['AAAAAAAAAAAAAAAAAAAAAA=='],
    [Buffer.from('3f9c1a7be25d4806').toString('base64')],
    [Buffer.from('ABCDEFABCDEFABCDEFABCDEFABCDEFAB').toString('base64')],
    [Buffer.from('it is 3f9c1a7be25d4806').toString('base64')],
    [base64(0.5, -1)],
    [base64(0.5, -1, 2e4, 1)],
    [base64(0.5, -1, Number.NaN, 1)],
    [base64(0.5, -1, Number.POSITIVE_INFINITY, 1)],
    [`${bytes}AAAA`],
  ])('are text as %j', (embedding) => {
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

  it('are no text as the bytes of a long vector', () => {
    const random = seeded('dataAnswer');
    const vector = Array.from({ length: 1536 }, () => (random.int(2001) - 1000) / 20_000);
    const part = readEmbeddingsAnswer(parse(embeddings(base64(...vector))));
    expect(part && coveredBy(part)).toEqual(stringsOf(embeddings([])));
  });

  it('may be an error instead', () => {
    expect(readEmbeddingsAnswer(parse({ error: { message: 'no' } }))).toMatchObject({ isError: true });
  });

  it.each([[[]], ['text'], [{}], [{ data: 'AAAA' }]])('are not %j', (value) => {
    expect(readEmbeddingsAnswer(parse(value))).toBeNull();
  });
});

describe('token counts', () => {
  it.each([
    [7, 7],
    [1_000_000_000, 1_000_000_000],
    [1_000_000_001, null],
    [1e308, null],
    [-1, null],
    [0.5, null],
    ['7', null],
  ])('%j is read as %j', (given, expected) => {
    const usage = readUsage(parse({ input_tokens: given, output_tokens: 1 }));
    expect(usage).toEqual({ inputTokens: expected, outputTokens: 1 });
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
