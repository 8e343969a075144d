/** Responses of the demo provider: created, and asked for again by id. */
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { contentSchema, type DemoAnswer, type DemoTurn, demoAnswer, readRequest, textOf } from './answers.ts';
import { CREATED, NOT_HERE, namedBlock, sendJson, sendOpenAiError, sendStream } from './http.ts';
import type { KeptResponse, ResponseMemory } from './memory.ts';
import { responseEvents } from './responseEvents.ts';

const ITEMS_LIMIT_DEFAULT = 20;
const ITEMS_LIMIT_MAX = 100;

const itemSchema = z.looseObject({
  id: z.string().nullish(),
  type: z.string().nullish(),
  role: z.string().nullish(),
  content: contentSchema.nullish(),
  output: contentSchema.nullish(),
});
const inputSchema = z.union([z.string(), z.array(itemSchema)]);
const requestSchema = z.looseObject({
  model: z.string(),
  input: inputSchema,
  instructions: inputSchema.nullish(),
  previous_response_id: z.string().nullish(),
  tools: z.array(z.looseObject({ type: z.string(), name: z.string().optional() })).nullish(),
  stream: z.boolean().nullish(),
  store: z.boolean().nullish(),
  background: z.boolean().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
});

type Item = z.infer<typeof itemSchema>;
type Request = z.infer<typeof requestSchema>;

export async function answerResponses(body: string, response: ServerResponse, memory: ResponseMemory): Promise<void> {
  const read = readRequest(requestSchema, body, 'responses');
  if (read.kind === 'failed') return sendOpenAiError(response, read);
  const { data, model } = read;
  const previousId = data.previous_response_id ?? null;
  const previous = previousId === null ? null : memory.get(previousId);
  if (previous === undefined) {
    const message = `Previous response with id '${previousId}' not found.`;
    const param = 'previous_response_id';
    return sendOpenAiError(response, { status: 400, code: 'previous_response_not_found', message, param });
  }
  const input = listed(data.input);
  const turns = [...(previous?.turns ?? []), ...input.map(turnOf)];
  const instructions = listed(data.instructions ?? []).map((item) => ({ ...turnOf(item), role: 'system' }));
  const answer = demoAnswer({
    model,
    turns: [...instructions, ...turns],
    tools: (data.tools ?? []).flatMap(({ type, name }) => (type === 'function' && name !== undefined ? [name] : [])),
  });
  const kept: KeptResponse = {
    response: responseObject(data, answer),
    words: answer.words,
    input,
    turns: [...turns, { role: 'assistant', text: answer.words.join('') }],
    chars: body.length + (previous?.chars ?? 0),
  };
  if (data.store !== false) memory.keep(kept);
  if (data.stream === true) await stream(kept, -1, response);
  else sendJson(response, 200, kept.response);
}

/** A request for the response `id`; `part` is what follows the id, without its slash. */
export async function answerKept(
  asked: { readonly method: string; readonly id: string; readonly part: string; readonly query: URLSearchParams },
  response: ServerResponse,
  memory: ResponseMemory,
): Promise<void> {
  const { method, id, part, query } = asked;
  const kept = memory.get(id);
  if (kept === undefined) {
    const message = `Response with id '${id}' not found.`;
    return sendOpenAiError(response, { status: 404, code: 'not_found', message, param: null });
  }
  switch (`${method} ${part}`) {
    case 'GET ':
      if (query.get('stream') === 'true') return stream(kept, Number(query.get('starting_after') ?? -1), response);
      return sendJson(response, 200, kept.response);
    case 'GET input_items':
      return sendJson(response, 200, page(kept.input, query));
    case 'POST cancel': {
      // Each is complete by now, and cancelling what is complete changes nothing.
      if (kept.response.background === true) return sendJson(response, 200, kept.response);
      const message = 'Cannot cancel a synchronous response.';
      return sendOpenAiError(response, { status: 400, code: 'invalid_request', message, param: null });
    }
    case 'DELETE ':
      memory.delete(id);
      return sendJson(response, 200, { id, object: 'response', deleted: true });
    default:
      return sendOpenAiError(response, NOT_HERE);
  }
}

async function stream(kept: KeptResponse, after: number, response: ServerResponse): Promise<void> {
  const events = responseEvents(kept).filter(({ sequence_number }) => !(sequence_number <= after));
  await sendStream(
    response,
    events.map((event) => namedBlock(event, 'delta' in event)),
  );
}

function responseObject(request: Request, answer: DemoAnswer): KeptResponse['response'] {
  // Random, since a gateway may remember whose response an id is for longer than this process lives.
  const unique = randomBytes(12).toString('hex');
  const { toolCall, inputTokens, outputTokens } = answer;
  const text = { type: 'output_text', annotations: [], logprobs: [], text: answer.words.join('') };
  const item =
    toolCall === null
      ? { id: `msg_demo_${unique}`, type: 'message', status: 'completed', content: [text], role: 'assistant' }
      : { id: `fc_demo_${unique}`, type: 'function_call', status: 'completed', call_id: 'call_demo_0', ...toolCall };
  return {
    id: `resp_demo_${unique}`,
    object: 'response',
    created_at: CREATED,
    status: 'completed',
    background: request.background ?? false,
    error: null,
    incomplete_details: null,
    instructions: request.instructions ?? null,
    max_output_tokens: null,
    model: request.model,
    output: [item],
    parallel_tool_calls: true,
    previous_response_id: request.previous_response_id ?? null,
    reasoning: { effort: null, summary: null },
    store: request.store ?? true,
    temperature: 1,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: request.tools ?? [],
    top_p: 1,
    truncation: 'disabled',
    usage: {
      input_tokens: inputTokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: outputTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: inputTokens + outputTokens,
    },
    metadata: request.metadata ?? {},
  };
}

/** Items as they are listed: with ids, and text as typed parts. */
function listed(input: z.infer<typeof inputSchema>): (Item & { readonly id: string })[] {
  const items: readonly Item[] = typeof input === 'string' ? [{ role: 'user', content: input }] : input;
  return items.map((item) => {
    const id = item.id ?? `item_demo_${randomBytes(12).toString('hex')}`;
    if (typeof item.role !== 'string') return { ...item, id };
    const type = item.role === 'assistant' ? 'output_text' : 'input_text';
    const content = typeof item.content === 'string' ? [{ type, text: item.content }] : item.content;
    return { type: 'message', status: 'completed', ...item, id, content };
  });
}

function turnOf({ role, content, output }: Item): DemoTurn {
  return { role: role ?? 'tool', text: textOf(content ?? output) };
}

/** Newest first unless asked otherwise. */
function page(input: KeptResponse['input'], query: URLSearchParams): object {
  const items = query.get('order') === 'asc' ? input : input.toReversed();
  const limit = Math.min(Number(query.get('limit')) || ITEMS_LIMIT_DEFAULT, ITEMS_LIMIT_MAX);
  const start = items.findIndex(({ id }) => id === query.get('after')) + 1;
  const data = items.slice(start, start + limit);
  const ids = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
  return { object: 'list', data, ...ids, has_more: start + limit < items.length };
}
