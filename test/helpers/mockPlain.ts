/** Answers of the plain endpoints as data: legacy completions, embeddings, moderations, models. */
import { createHash } from 'node:crypto';
import { CREATED, interleave, pieces, type Reply } from './mockAnswers.ts';

/** A legacy completion; each text is one choice. */
export function completionAnswer(...texts: readonly string[]): Record<string, unknown> {
  return {
    ...completionCommon(),
    choices: texts.map((text, index) => completionChoice(index, text, 'stop')),
    usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  };
}

/** The events of a legacy completion, choices in turn. With `logprobs` each piece is a token. */
export function completionEvents(texts: readonly string[], size = 5, logprobs = false): string[] {
  const chunk = (choice: object) => JSON.stringify({ ...completionCommon(), choices: [choice] });
  const lists = texts.map((text, index) => {
    let offset = 0;
    const parts = pieces(text, size).map((piece) => {
      const probs = logprobs ? tokenLogprobs(piece, offset) : null;
      offset += piece.length;
      return chunk(completionChoice(index, piece, null, probs));
    });
    return [...parts, chunk(completionChoice(index, '', 'stop'))];
  });
  return interleave(...lists);
}

function completionCommon(): object {
  return { id: 'cmpl-mock', object: 'text_completion', created: CREATED, model: 'mock-model' };
}

function completionChoice(index: number, text: string, finishReason: string | null, logprobs: object | null = null) {
  return { text, index, logprobs, finish_reason: finishReason };
}

function tokenLogprobs(token: string, offset: number): object {
  return { tokens: [token], token_logprobs: [-0.25], top_logprobs: [{ [token]: -0.25 }], text_offset: [offset] };
}

export const EMBEDDING_DIMENSIONS = 8;

/** The same vector of the same text, each member a multiple of 1/128 in [-1, 1), so that 32 bits hold it exactly. */
export function embeddingOf(text: string, dimensions = EMBEDDING_DIMENSIONS): number[] {
  return Array.from({ length: dimensions }, (_, i) => {
    const digest = createHash('sha256')
      .update(`${i >> 5}:${text}`)
      .digest();
    return ((digest[i & 31] ?? 0) - 128) / 128;
  });
}

/** The answer to an embeddings request; base64 when it asks for it. */
export function embeddingsAnswer(body: unknown): Record<string, unknown> {
  const { input, encoding_format, dimensions } = (body ?? {}) as {
    input?: unknown;
    encoding_format?: unknown;
    dimensions?: number;
  };
  const data = inputsOf(input).map((text, index) => {
    const vector = embeddingOf(text, dimensions);
    const embedding = encoding_format === 'base64' ? base64Of(vector) : vector;
    return { object: 'embedding', index, embedding };
  });
  return { object: 'list', data, model: 'mock-model', usage: { prompt_tokens: 10, total_tokens: 10 } };
}

/** Little-endian 32-bit floats. */
export function base64Of(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [i, value] of vector.entries()) bytes.writeFloatLE(value, i * 4);
  return bytes.toString('base64');
}

const MODERATION_CATEGORIES = [
  'harassment',
  'harassment/threatening',
  'hate',
  'hate/threatening',
  'illicit',
  'illicit/violent',
  'self-harm',
  'self-harm/instructions',
  'self-harm/intent',
  'sexual',
  'sexual/minors',
  'violence',
  'violence/graphic',
] as const;

/** The answer to a moderations request: one result for each text, nothing flagged. */
export function moderationsAnswer(body: unknown): Record<string, unknown> {
  const { input } = (body ?? {}) as { input?: unknown };
  const each = (value: unknown) => Object.fromEntries(MODERATION_CATEGORIES.map((name) => [name, value]));
  const result = {
    flagged: false,
    categories: each(false),
    category_scores: each(0.0001),
    category_applied_input_types: each(['text']),
  };
  // Parts of one text with images are judged together.
  const together = Array.isArray(input) && typeof input[0] === 'object';
  const results = together ? [result] : inputsOf(input).map(() => result);
  return { id: 'modr-mock', model: 'omni-moderation-mock', results };
}

/** One text for each input; token lists stand for themselves. */
function inputsOf(input: unknown): string[] {
  if (!Array.isArray(input)) return [String(input)];
  return typeof input[0] === 'number' ? [input.join(' ')] : input.map(String);
}

export function modelObject(id: string): Record<string, unknown> {
  return { id, object: 'model', created: 0, owned_by: 'mock' };
}

export function unknownModel(id: string): Reply {
  const message = `The model '${id}' does not exist or you do not have access to it.`;
  return {
    status: 404,
    json: { error: { message, type: 'invalid_request_error', param: 'model', code: 'model_not_found' } },
  };
}
