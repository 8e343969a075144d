/** Chat completions of the demo provider. */
import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { argumentPieces, contentSchema, type DemoAnswer, demoAnswer, readRequest, textOf } from './answers.ts';
import { type Block, CREATED, sendJson, sendOpenAiError, sendStream } from './http.ts';

const CHOICES_MAX = 8;

const requestSchema = z.looseObject({
  model: z.string(),
  messages: z.array(z.looseObject({ role: z.string(), content: contentSchema.nullish() })).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  n: z.int().min(1).max(CHOICES_MAX).nullish(),
  tools: z.array(z.looseObject({ function: z.looseObject({ name: z.string() }).optional() })).nullish(),
});

interface Shape {
  readonly model: string;
  readonly choices: readonly number[];
  readonly includeUsage: boolean;
}

export async function answerChat(body: string, response: ServerResponse): Promise<void> {
  const read = readRequest(requestSchema, body, 'chat completion');
  if (read.kind === 'failed') return sendOpenAiError(response, read);
  const { data, model } = read;
  const answer = demoAnswer({
    model,
    turns: data.messages.map(({ role, content }) => ({ role, text: textOf(content) })),
    tools: (data.tools ?? []).flatMap((tool) => (tool.function === undefined ? [] : [tool.function.name])),
  });
  const choices = Array.from({ length: data.n ?? 1 }, (_, index) => index);
  const shape = { model, choices, includeUsage: data.stream_options?.include_usage ?? false };
  if (data.stream === true) await sendStream(response, chunks(shape, answer));
  else sendJson(response, 200, whole(shape, answer));
}

function whole(shape: Shape, answer: DemoAnswer): object {
  const message = {
    role: 'assistant',
    content: answer.toolCall === null ? answer.words.join('') : null,
    refusal: null,
    ...(answer.toolCall !== null && { tool_calls: [{ ...CALL, function: answer.toolCall }] }),
  };
  const choices = shape.choices.map((index) => ({
    index,
    message,
    logprobs: null,
    finish_reason: finishReason(answer),
  }));
  return { ...common(shape, 'chat.completion'), choices, usage: usage(answer) };
}

function* chunks(shape: Shape, answer: DemoAnswer): Generator<Block> {
  const chunk = (choices: object[], extra: object = {}) => {
    const noUsage = shape.includeUsage ? { usage: null } : {};
    return `data: ${JSON.stringify({ ...common(shape, 'chat.completion.chunk'), choices, ...noUsage, ...extra })}\n\n`;
  };
  const all = (delta: object, paced = false, reason: string | null = null): Block => ({
    text: shape.choices.map((index) => chunk([{ index, delta, finish_reason: reason }])).join(''),
    paced,
  });

  yield all({ role: 'assistant', content: answer.toolCall === null ? '' : null });
  if (answer.toolCall !== null) {
    const { name, arguments: args } = answer.toolCall;
    yield all({ tool_calls: [{ index: 0, ...CALL, function: { name, arguments: '' } }] });
    for (const piece of argumentPieces(args)) {
      yield all({ tool_calls: [{ index: 0, function: { arguments: piece } }] }, true);
    }
  }
  for (const word of answer.words) yield all({ content: word }, true);
  yield all({}, false, finishReason(answer));
  if (shape.includeUsage) yield { text: chunk([], { usage: usage(answer) }), paced: false };
  yield { text: 'data: [DONE]\n\n', paced: false };
}

const CALL = { id: 'call_demo_0', type: 'function' } as const;

function finishReason({ toolCall }: DemoAnswer): string {
  return toolCall === null ? 'stop' : 'tool_calls';
}

/** Also the usage of legacy completions. */
export function usage({ inputTokens, outputTokens }: DemoAnswer): object {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  };
}

function common({ model }: Shape, object: string): object {
  return { id: 'chatcmpl-demo', object, created: CREATED, model, system_fingerprint: 'demo' };
}
