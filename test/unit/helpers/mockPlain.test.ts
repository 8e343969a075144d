/** What the mock's plain answers are to the real SDK. */
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  answerWith,
  completionAnswer,
  completionEvents,
  embeddingOf,
  MockUpstream,
} from '../../helpers/mockUpstream.ts';

let mock: MockUpstream;
let client: OpenAI;
beforeAll(async () => {
  mock = await MockUpstream.start();
  client = new OpenAI({ baseURL: mock.url, apiKey: 'key-of-a-test', maxRetries: 0, timeout: 5000 });
});
afterEach(() => {
  mock.fallback(answerWith('Hello from the mock.'));
  mock.clear();
});
afterAll(() => mock.close());

const ASK = { model: 'm', prompt: 'Once upon' } as const;

async function streamed(): Promise<OpenAI.CompletionChoice[]> {
  const choices: OpenAI.CompletionChoice[] = [];
  for await (const chunk of await client.completions.create({ ...ASK, stream: true })) choices.push(...chunk.choices);
  return choices;
}

describe('legacy completions', () => {
  it('answer whole and streamed', async () => {
    mock.fallback(answerWith('a time, 漢字'));
    expect((await client.completions.create(ASK)).choices[0]?.text).toBe('a time, 漢字');
    const choices = await streamed();
    expect(choices.map(({ text }) => text).join('')).toBe('a time, 漢字');
    expect(choices.at(-1)?.finish_reason).toBe('stop');
    expect(mock.last.messages).toEqual([{ role: 'user', text: 'Once upon' }]);
  });

  it('give several choices, in turn', async () => {
    mock.reply({ json: completionAnswer('one', 'two') });
    expect((await client.completions.create({ ...ASK, n: 2 })).choices.map(({ text }) => text)).toEqual(['one', 'two']);
    mock.reply({ stream: { events: completionEvents(['one', 'two'], 2) } });
    expect((await streamed()).map(({ index, text }) => `${index}${text}`)).toEqual([
      '0on',
      '1tw',
      '0e',
      '1o',
      '0',
      '1',
    ]);
  });

  it('carry the log-probabilities of each piece', async () => {
    mock.reply({ stream: { events: completionEvents(['abcd'], 2, true) } });
    expect((await streamed())[1]?.logprobs).toMatchObject({ tokens: ['cd'], text_offset: [2] });
  });
});

describe('embeddings', () => {
  it('are the same in base64, which the SDK asks for, and as floats', async () => {
    const input = ['Grüße', 'moat'];
    const packed = await client.embeddings.create({ model: 'm', input });
    expect((mock.last.json as { encoding_format: string }).encoding_format).toBe('base64');
    const plain = await client.embeddings.create({ model: 'm', input, encoding_format: 'float' });
    expect(packed.data).toEqual(plain.data);
    expect(plain.data.map(({ embedding }) => embedding)).toEqual(input.map((text) => embeddingOf(text)));
    expect(embeddingOf('moat')).not.toEqual(embeddingOf('gate'));
  });

  it('take one text or one list of tokens as one input, and dimensions', async () => {
    for (const input of ['moat', [1, 2, 3]]) {
      const { data } = await client.embeddings.create({ model: 'm', input, dimensions: 40 });
      expect(data.map(({ embedding }) => embedding.length)).toEqual([40]);
    }
  });
});

it('moderations flag nothing, one result for each text', async () => {
  const { results } = await client.moderations.create({ input: ['one', 'two'] });
  expect(results.map(({ flagged }) => flagged)).toEqual([false, false]);
  const parts = [{ type: 'text' as const, text: 'one' }];
  expect((await client.moderations.create({ input: parts })).results.length).toBe(1);
});

it('models are found by id, slashes included', async () => {
  mock.models = ['mock-model', 'vendor/model'];
  expect((await client.models.retrieve('vendor/model')).id).toBe('vendor/model');
  await expect(client.models.retrieve('other')).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
});

it('a queued answer comes before every standard one', async () => {
  for (const call of [
    () => client.embeddings.create({ model: 'm', input: 'moat' }),
    () => client.moderations.create({ input: 'moat' }),
    () => client.models.retrieve('mock-model'),
    () => client.responses.retrieve('resp_mock_1'),
  ]) {
    mock.reply({ status: 418, json: {} });
    await expect(call()).rejects.toMatchObject({ status: 418 });
  }
});
