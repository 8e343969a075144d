/** Anthropic messages of the demo provider. */
import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import {
  argumentPieces,
  contentSchema,
  type DemoAnswer,
  type DemoFailure,
  type DemoTurn,
  demoAnswer,
  readRequest,
  textOf,
} from './answers.ts';
import { type Block, namedBlock, sendJson, sendStream } from './http.ts';

const blockSchema = z.looseObject({
  type: z.string(),
  text: z.string().nullish(),
  content: contentSchema.nullish(),
});
const messageSchema = z.looseObject({
  role: z.string(),
  content: z.union([z.string(), z.array(blockSchema)]),
});
const requestSchema = z.looseObject({
  model: z.string(),
  max_tokens: z.int().min(1),
  messages: z.array(messageSchema).min(1),
  system: contentSchema.nullish(),
  stream: z.boolean().nullish(),
  tools: z.array(z.looseObject({ name: z.string().optional() })).nullish(),
});

export async function answerMessages(body: string, response: ServerResponse): Promise<void> {
  const read = readRequest(requestSchema, body, 'messages');
  if (read.kind === 'failed') return sendAnthropicError(response, read);
  const { data, model } = read;
  const system = textOf(data.system);
  const answer = demoAnswer({
    model,
    turns: [...(system === '' ? [] : [{ role: 'system', text: system }]), ...data.messages.flatMap(turnsOf)],
    tools: (data.tools ?? []).flatMap(({ name }) => (name === undefined ? [] : [name])),
  });
  if (data.stream === true) await sendStream(response, events(model, answer));
  else sendJson(response, 200, message(model, answer));
}

const ERROR_TYPES: Readonly<Record<number, string>> = {
  404: 'not_found_error',
  413: 'request_too_large',
};

export function sendAnthropicError(response: ServerResponse, failure: DemoFailure): void {
  const type = ERROR_TYPES[failure.status] ?? 'invalid_request_error';
  sendJson(response, failure.status, { type: 'error', error: { type, message: failure.message } });
}

/** Tool results travel in a user message, before its text, and are no words of the user. */
function turnsOf({ role, content }: z.infer<typeof messageSchema>): DemoTurn[] {
  if (typeof content === 'string') return [{ role, text: content }];
  const results = content.filter(({ type }) => type === 'tool_result');
  const said = content.filter(({ type }) => type !== 'tool_result');
  return [
    ...results.map((block) => ({ role: 'tool', text: textOf(block.content) })),
    ...(said.length === 0 ? [] : [{ role, text: textOf(said) }]),
  ];
}

function message(model: string, answer: DemoAnswer): object {
  const { toolCall, inputTokens, outputTokens } = answer;
  const block =
    toolCall === null
      ? { type: 'text', text: answer.words.join('') }
      : { type: 'tool_use', id: 'toolu_demo_0', name: toolCall.name, input: JSON.parse(toolCall.arguments) };
  return {
    id: 'msg_demo',
    type: 'message',
    role: 'assistant',
    model,
    content: [block],
    stop_reason: stopReason(answer),
    stop_sequence: null,
    usage: { input_tokens: inputTokens, output_tokens: outputTokens },
  };
}

function* events(model: string, answer: DemoAnswer): Generator<Block> {
  const { toolCall, words, inputTokens, outputTokens } = answer;
  const usage = { input_tokens: inputTokens, output_tokens: 0 };
  const begun = { ...message(model, answer), content: [], stop_reason: null, usage };
  const deltas =
    toolCall === null
      ? words.map((text) => ({ type: 'text_delta', text }))
      : argumentPieces(toolCall.arguments).map((piece) => ({ type: 'input_json_delta', partial_json: piece }));
  const block =
    toolCall === null
      ? { type: 'text', text: '' }
      : { type: 'tool_use', id: 'toolu_demo_0', name: toolCall.name, input: {} };

  yield namedBlock(typed('message_start', { message: begun }), false);
  yield namedBlock(typed('content_block_start', { index: 0, content_block: block }), false);
  yield namedBlock(typed('ping'), false);
  for (const delta of deltas) yield namedBlock(typed('content_block_delta', { index: 0, delta }), true);
  yield namedBlock(typed('content_block_stop', { index: 0 }), false);
  const delta = { stop_reason: stopReason(answer), stop_sequence: null };
  yield namedBlock(typed('message_delta', { delta, usage: { output_tokens: outputTokens } }), false);
  yield namedBlock(typed('message_stop'), false);
}

function typed(type: string, fields: object = {}): { readonly type: string } {
  return { type, ...fields };
}

function stopReason({ toolCall }: DemoAnswer): string {
  return toolCall === null ? 'end_turn' : 'tool_use';
}
