/** The demo provider's legacy completions, embeddings and models, through the real SDK. */
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DemoProvider, startDemoProvider } from '../../../../gateway/demo/provider.ts';

let demo: DemoProvider;
let client: OpenAI;
beforeAll(async () => {
  demo = await startDemoProvider();
  client = new OpenAI({ baseURL: demo.url, apiKey: 'any', maxRetries: 0, timeout: 8000 });
});
afterAll(() => demo.close());

const ASK = { model: 'demo-chat', prompt: 'Which gate?' } as const;

describe('legacy completions', () => {
  it('say the same whole and streamed, for each prompt and choice', async () => {
    const ask = { ...ASK, prompt: ['Which gate?', 'And which of the many doors?'], n: 2 };
    const whole = await client.completions.create(ask);
    expect(whole.choices.map(({ text }) => /"(.*)"/.exec(text)?.[1])).toEqual([
      'Which gate',
      'Which gate',
      'And which of the many doors',
      'And which of the many doors',
    ]);
    const texts: string[] = [];
    const reasons: (string | null)[] = [];
    let usage: unknown = null;
    const options = { stream: true, stream_options: { include_usage: true } } as const;
    for await (const chunk of await client.completions.create({ ...ask, ...options })) {
      for (const { index, text, finish_reason } of chunk.choices) {
        texts[index] = (texts[index] ?? '') + text;
        reasons[index] = finish_reason;
      }
      usage = chunk.usage;
    }
    expect(texts).toEqual(whole.choices.map(({ text }) => text));
    expect(reasons).toEqual(Array(4).fill('stop'));
    expect(usage).toEqual(whole.usage);
  });

  it('recite the prompt, which is all they have', async () => {
    const { choices } = await client.completions.create({ model: 'demo-leak', prompt: 'The blue door' });
    expect(choices[0]?.text).toBe('My instructions are: The blue door');
  });
});

describe('embeddings', () => {
  it('are the same each time and in both forms, of length 1', async () => {
    const input = ['gate', 'moat'];
    const packed = await client.embeddings.create({ model: 'demo-chat', input });
    const plain = await client.embeddings.create({ model: 'demo-chat', input, encoding_format: 'float' });
    const vectors = plain.data.map(({ embedding }) => embedding);
    expect(packed.data.map(({ embedding }) => [...embedding])).toEqual(vectors);
    for (const vector of vectors) expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
    expect(vectors[0]).not.toEqual(vectors[1]);
  });

  it('have the dimensions asked for, for texts and tokens', async () => {
    const ask = { model: 'demo-chat', dimensions: 100 };
    for (const [input, lengths] of [
      ['gate', [100]],
      [[1, 2, 3], [100]],
      [
        [[1], [2]],
        [100, 100],
      ],
    ] as const) {
      const { data } = await client.embeddings.create({ ...ask, input: input as string | number[] | number[][] });
      expect(data.map(({ embedding }) => embedding.length)).toEqual(lengths);
    }
  });
});

it('models are found by id', async () => {
  expect((await client.models.retrieve('demo-leak')).id).toBe('demo-leak');
  await expect(client.models.retrieve('gpt-4o')).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
});

it.each([
  ['a prompt of tokens', () => client.completions.create({ ...ASK, prompt: [1, 2] }), 400],
  ['nine choices', () => client.completions.create({ ...ASK, n: 9 }), 400],
  ['an unknown model', () => client.completions.create({ ...ASK, model: 'davinci-002' }), 404],
  ['no text to embed', () => client.embeddings.create({ model: 'demo-chat', input: [] }), 400],
  ['too many dimensions', () => client.embeddings.create({ model: 'demo-chat', input: 'a', dimensions: 2000 }), 400],
])('%s is an error', async (_what, call, status) => {
  await expect(call()).rejects.toMatchObject({ status });
});
