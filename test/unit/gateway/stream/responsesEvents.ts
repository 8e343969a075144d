/** One event of every type of the Responses API, and what they carry. */
import type { ResponseStreamEvent } from 'openai/resources/responses/responses';
import { type JsonNode, parseJson } from '../../../../gateway/wire/json.ts';

export type EventType = ResponseStreamEvent['type'];

export const parse = (value: unknown): JsonNode => parseJson(JSON.stringify(value), 64);

const TEXT_PART = { type: 'output_text', text: 'Hi', annotations: [{ type: 'url_citation', url: 'u:1', title: 't' }] };
export const MESSAGE = { id: 'msg_1', type: 'message', role: 'assistant', status: 'completed', content: [TEXT_PART] };
export const CALL = { id: 'fc_1', type: 'function_call', call_id: 'c1', name: 'send', arguments: '{"to":"a"}' };
const RESPONSE = {
  id: 'resp_1',
  object: 'response',
  created_at: 1_760_000_000,
  model: 'gpt-x',
  status: 'in_progress',
  instructions: 'planted',
  temperature: 0.5,
  tools: [{ type: 'function', name: 'send' }],
  output: [] as unknown[],
};
export const LAST = {
  ...RESPONSE,
  status: 'completed',
  output: [MESSAGE, CALL],
  usage: { input_tokens: 1, output_tokens: 2 },
};
const LOGPROBS = [{ token: 'Hi', logprob: -1, top_logprobs: [{ token: 'Ho', logprob: -2 }] }];

const at = { item_id: 'msg_1', output_index: 0, sequence_number: 5 };
const inContent = { ...at, content_index: 0 };
const inSummary = { ...at, summary_index: 0 };
const inResponse = { sequence_number: 0 };

/** One event of every type that the SDK knows. */
const EVENTS: Record<EventType, object> = {
  error: { code: 'server_error', message: 'It broke.', param: null, sequence_number: 9 },
  'response.audio.delta': { delta: 'AAAA', sequence_number: 5 },
  'response.audio.done': { sequence_number: 5 },
  'response.audio.transcript.delta': { delta: 'spo', sequence_number: 5 },
  'response.audio.transcript.done': { sequence_number: 5 },
  'response.code_interpreter_call_code.delta': { ...at, delta: 'pri' },
  'response.code_interpreter_call_code.done': { ...at, code: 'print(1)' },
  'response.code_interpreter_call.completed': at,
  'response.code_interpreter_call.in_progress': at,
  'response.code_interpreter_call.interpreting': at,
  'response.completed': { ...inResponse, response: LAST },
  'response.content_part.added': { ...inContent, part: { type: 'output_text', text: '', annotations: [] } },
  'response.content_part.done': { ...inContent, part: { ...TEXT_PART, logprobs: LOGPROBS } },
  'response.created': { ...inResponse, response: RESPONSE },
  'response.custom_tool_call_input.delta': { ...at, delta: 'sel"' },
  'response.custom_tool_call_input.done': { ...at, input: 'select' },
  'response.failed': {
    ...inResponse,
    response: { ...RESPONSE, error: { code: 'server_error', message: 'It broke.' } },
  },
  'response.file_search_call.completed': at,
  'response.file_search_call.in_progress': at,
  'response.file_search_call.searching': at,
  'response.function_call_arguments.delta': { ...at, delta: '{"t' },
  'response.function_call_arguments.done': { ...at, name: 'send', arguments: '{"to":"a"}' },
  'response.image_generation_call.completed': at,
  'response.image_generation_call.generating': at,
  'response.image_generation_call.in_progress': at,
  'response.image_generation_call.partial_image': { ...at, partial_image_b64: 'iVBO', partial_image_index: 0 },
  'response.in_progress': { ...inResponse, response: RESPONSE },
  'response.incomplete': { ...inResponse, response: { ...LAST, incomplete_details: { reason: 'max_output_tokens' } } },
  'response.mcp_call_arguments.delta': { ...at, delta: '{' },
  'response.mcp_call_arguments.done': { ...at, arguments: '{}' },
  'response.mcp_call.completed': at,
  'response.mcp_call.failed': at,
  'response.mcp_call.in_progress': at,
  'response.mcp_list_tools.completed': at,
  'response.mcp_list_tools.failed': at,
  'response.mcp_list_tools.in_progress': at,
  'response.output_item.added': { ...inResponse, output_index: 0, item: { ...CALL, arguments: '' } },
  'response.output_item.done': { ...inResponse, output_index: 0, item: CALL },
  'response.output_text.annotation.added': {
    ...inContent,
    annotation: { type: 'url_citation', url: 'u:1', title: 't' },
  },
  'response.output_text.delta': { ...inContent, delta: 'Hi', logprobs: LOGPROBS, obfuscation: 'x1' },
  'response.output_text.done': { ...inContent, text: 'Hi', logprobs: LOGPROBS },
  'response.queued': { ...inResponse, response: RESPONSE },
  'response.reasoning_summary_part.added': { ...inSummary, part: { type: 'summary_text', text: '' } },
  'response.reasoning_summary_part.done': { ...inSummary, part: { type: 'summary_text', text: 'brief' } },
  'response.reasoning_summary_text.delta': { ...inSummary, delta: 'br' },
  'response.reasoning_summary_text.done': { ...inSummary, text: 'brief' },
  'response.reasoning_text.delta': { ...inContent, delta: 'lo' },
  'response.reasoning_text.done': { ...inContent, text: 'long' },
  'response.refusal.delta': { ...inContent, delta: 'N' },
  'response.refusal.done': { ...inContent, refusal: 'No' },
  'response.web_search_call.completed': at,
  'response.web_search_call.in_progress': at,
  'response.web_search_call.searching': at,
};

export const events = Object.entries(EVENTS).map(([type, rest]): [string, Record<string, unknown>] => [
  type,
  { type, ...rest },
]);
export const event = (type: EventType, changes: object = {}): object => ({ type, ...EVENTS[type], ...changes });
