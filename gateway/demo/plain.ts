/** The demo provider's legacy completions, embeddings and models. */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import {
  DEMO_MODELS,
  type DemoAnswer,
  type DemoModel,
  demoAnswer,
  readRequest,
  tokens,
  UNKNOWN_MODEL,
} from './answers.ts';
import { usage } from './chat.ts';
import { type Block, CREATED, sendJson, sendOpenAiError, sendStream } from './http.ts';

const CHOICES_MAX = 8;
const PROMPTS_MAX = 8;
const INPUTS_MAX = 256;
const DIMENSIONS_MAX = 1024;
const DIMENSIONS_DEFAULT = 16;

const completionSchema = z.looseObject({
  model: z.string(),
  prompt: z.union([z.string(), z.array(z.string()).min(1).max(PROMPTS_MAX)]),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  n: z.int().min(1).max(CHOICES_MAX).nullish(),
});

export async function answerCompletion(body: string, response: ServerResponse): Promise<void> {
  const read = readRequest(completionSchema, body, 'completion');
  if (read.kind === 'failed') return sendOpenAiError(response, read);
  const { data, model } = read;
  // A prompt is question and instructions in one, so the leaking model recites it.
  const role = model === 'demo-leak' ? 'system' : 'user';
  const answers = [data.prompt].flat().flatMap((text) => {
    const answer = demoAnswer({ model, turns: [{ role, text }], tools: [] });
    return Array.from({ length: data.n ?? 1 }, () => answer);
  });
  const includeUsage = data.stream_options?.include_usage ?? false;
  if (data.stream === true) return sendStream(response, chunks(model, answers, includeUsage));
  const choices = answers.map(({ words }, index) => choice(index, words.join(''), 'stop'));
  sendJson(response, 200, { ...common(model), choices, usage: usage(sum(answers)) });
}

function* chunks(model: DemoModel, answers: readonly DemoAnswer[], includeUsage: boolean): Generator<Block> {
  const chunk = (choices: readonly object[], extra: object = {}) =>
    `data: ${JSON.stringify({ ...common(model), choices, ...(includeUsage && { usage: null }), ...extra })}\n\n`;
  const longest = Math.max(...answers.map(({ words }) => words.length));
  for (let i = 0; i <= longest; i += 1) {
    const text = answers.map(({ words }, index) => {
      const word = words[i];
      if (word !== undefined) return chunk([choice(index, word, null)]);
      return i === words.length ? chunk([choice(index, '', 'stop')]) : '';
    });
    yield { text: text.join(''), paced: i > 0 };
  }
  if (includeUsage) yield { text: chunk([], { usage: usage(sum(answers)) }), paced: false };
  yield { text: 'data: [DONE]\n\n', paced: false };
}

function common(model: DemoModel): object {
  return { id: 'cmpl-demo', object: 'text_completion', created: CREATED, model };
}

function choice(index: number, text: string, finishReason: string | null): object {
  return { text, index, logprobs: null, finish_reason: finishReason };
}

function sum(answers: readonly DemoAnswer[]): DemoAnswer {
  const total = (count: (answer: DemoAnswer) => number) => answers.reduce((all, answer) => all + count(answer), 0);
  return {
    words: [],
    toolCall: null,
    inputTokens: total(({ inputTokens }) => inputTokens),
    outputTokens: total(({ outputTokens }) => outputTokens),
  };
}

const inputSchema = z.union([
  z.string().min(1),
  z.array(z.string()).min(1).max(INPUTS_MAX),
  z.array(z.int()).min(1),
  z.array(z.array(z.int()).min(1)).min(1).max(INPUTS_MAX),
]);
const embeddingSchema = z.looseObject({
  model: z.string(),
  input: inputSchema,
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.int().min(1).max(DIMENSIONS_MAX).nullish(),
});

export async function answerEmbeddings(body: string, response: ServerResponse): Promise<void> {
  const read = readRequest(embeddingSchema, body, 'embeddings');
  if (read.kind === 'failed') return sendOpenAiError(response, read);
  const { data, model } = read;
  const texts = textsOf(data.input);
  const used = texts.reduce((all, text) => all + tokens(text), 0);
  const embeddings = texts.map((text, index) => {
    const vector = vectorOf(text, data.dimensions ?? DIMENSIONS_DEFAULT);
    const embedding = data.encoding_format === 'base64' ? base64Of(vector) : [...vector];
    return { object: 'embedding', index, embedding };
  });
  const counts = { prompt_tokens: used, total_tokens: used };
  sendJson(response, 200, { object: 'list', data: embeddings, model, usage: counts });
}

/** One text for each input; token lists stand for themselves. */
function textsOf(input: z.infer<typeof inputSchema>): string[] {
  if (typeof input === 'string') return [input];
  return typeof input[0] === 'number' ? [input.join(' ')] : input.map(String);
}

/** The same vector of the same text, of length 1. It says nothing about meaning. */
function vectorOf(text: string, dimensions: number): Float32Array {
  const values: number[] = [];
  for (let i = 0; values.length < dimensions; i += 1) {
    // Half a step off zero, so that no vector is of length 0.
    for (const byte of createHash('sha256').update(`${i}:${text}`).digest()) values.push(byte - 127.5);
  }
  const kept = values.slice(0, dimensions);
  const length = Math.hypot(...kept);
  return Float32Array.from(kept, (value) => value / length);
}

/** Little-endian, whatever the machine. */
function base64Of(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [i, value] of vector.entries()) bytes.writeFloatLE(value, i * 4);
  return bytes.toString('base64');
}

export function answerModels(response: ServerResponse): void {
  sendJson(response, 200, { object: 'list', data: DEMO_MODELS.map(modelObject) });
}

export function answerModel(id: string, response: ServerResponse): void {
  const model = DEMO_MODELS.find((name) => name === id);
  if (model === undefined) sendOpenAiError(response, UNKNOWN_MODEL);
  else sendJson(response, 200, modelObject(model));
}

function modelObject(id: DemoModel): object {
  return { id, object: 'model', created: CREATED, owned_by: 'portcullis-demo' };
}
