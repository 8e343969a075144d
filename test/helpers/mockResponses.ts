/** Answers of the Responses API as data: whole, and as the sequence of events that a provider sends. */
import { CREATED, pieces } from './mockAnswers.ts';

/** An output item as on the wire, complete. */
export interface ResponseItem {
  readonly type: string;
  readonly id: string;
  readonly [field: string]: unknown;
}

export interface TextOptions {
  readonly id?: string;
  readonly annotations?: readonly object[];
  /** Each delta carries the log-probabilities of its piece; the item those of the whole text as one token. */
  readonly logprobs?: boolean;
}

/** A message of one text part. */
export function textItem(text: string, options: TextOptions = {}): ResponseItem {
  const { id = 'msg_mock_0', annotations = [], logprobs = false } = options;
  const part = { type: 'output_text', annotations, logprobs: logprobs ? [logprob(text)] : [], text };
  return messageItem([part], id);
}

export function refusalItem(refusal: string, id = 'msg_mock_0'): ResponseItem {
  return messageItem([{ type: 'refusal', refusal }], id);
}

export function messageItem(content: readonly object[], id = 'msg_mock_0'): ResponseItem {
  return { id, type: 'message', status: 'completed', content, role: 'assistant' };
}

export interface ReasoningOptions {
  readonly id?: string;
  /** Raw reasoning text, which open models send. */
  readonly content?: readonly string[];
  readonly encrypted?: string;
}

export function reasoningItem(summary: readonly string[], options: ReasoningOptions = {}): ResponseItem {
  const { id = 'rs_mock_0', content, encrypted } = options;
  return {
    id,
    type: 'reasoning',
    ...(encrypted !== undefined && { encrypted_content: encrypted }),
    ...(content && { content: content.map((text) => ({ type: 'reasoning_text', text })) }),
    summary: summary.map((text) => ({ type: 'summary_text', text })),
  };
}

export function functionCallItem(name: string, args: string, n = 0): ResponseItem {
  const ids = { id: `fc_mock_${n}`, call_id: `call_mock_${n}` };
  return { ...ids, type: 'function_call', status: 'completed', arguments: args, name };
}

export function customCallItem(name: string, input: string, n = 0): ResponseItem {
  return { id: `ctc_mock_${n}`, type: 'custom_tool_call', status: 'completed', call_id: `call_mock_${n}`, input, name };
}

/** Members of the answer that differ from the defaults. */
export interface ResponseFields {
  readonly id?: string;
  readonly instructions?: unknown;
  readonly status?: 'completed' | 'incomplete' | 'failed';
  readonly [field: string]: unknown;
}

/** A whole answer; a string stands for a message that says it. */
export function responseObject({
  output = [],
  ...fields
}: ResponseFields & { readonly output?: readonly (string | ResponseItem)[] }): Record<string, unknown> {
  return {
    id: 'resp_mock_0',
    object: 'response',
    created_at: CREATED,
    status: 'completed',
    background: false,
    completed_at: CREATED + 1,
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: null,
    max_tool_calls: null,
    model: 'mock-model',
    output: items(output),
    parallel_tool_calls: true,
    previous_response_id: null,
    prompt_cache_key: null,
    reasoning: { effort: null, summary: null },
    safety_identifier: null,
    service_tier: 'default',
    store: true,
    temperature: 1,
    text: { format: { type: 'text' }, verbosity: 'medium' },
    tool_choice: 'auto',
    tools: [],
    top_logprobs: 0,
    top_p: 1,
    truncation: 'disabled',
    usage: {
      input_tokens: 10,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: 5,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 15,
    },
    user: null,
    metadata: {},
    ...fields,
  };
}

/** The members of an answer that repeat its request. */
export function echoed(body: unknown): ResponseFields {
  const request = (body ?? {}) as Record<string, unknown>;
  const names = ['instructions', 'tools', 'tool_choice', 'metadata', 'previous_response_id', 'temperature', 'store'];
  return Object.fromEntries(names.flatMap((name) => (request[name] === undefined ? [] : [[name, request[name]]])));
}

/**
 * All events of an answer in order, for `{ events, named: true }`. Deltas are of `size` code points. Items whose parts
 * are not streamed, as those of built-in tools, are added and done.
 */
export function responseEvents(
  output: readonly (string | ResponseItem)[],
  size = 5,
  fields: ResponseFields = {},
): string[] {
  const list = items(output);
  const whole = responseObject({ ...fields, output: list });
  const started = { ...whole, status: 'in_progress', completed_at: null, output: [], usage: null };
  const begun = { ...started, error: null, incomplete_details: null };
  const events: WireEvent[] = [
    { type: 'response.created', response: begun },
    { type: 'response.in_progress', response: begun },
    ...list.flatMap((item, index) => itemEvents(item, index, size)),
    { type: `response.${String(whole.status)}`, response: whole },
  ];
  return events.map(({ type, ...rest }, n) => JSON.stringify({ type, sequence_number: n, ...rest }));
}

interface WireEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

interface Part {
  readonly type: string;
  readonly text?: string;
  readonly refusal?: string;
  readonly annotations?: readonly object[];
  readonly logprobs?: readonly object[];
}

function itemEvents(item: ResponseItem, index: number, size: number): WireEvent[] {
  const at = { item_id: item.id, output_index: index };
  const deltas = (type: string, text: string, extra: object = {}): WireEvent[] =>
    pieces(text, size).map((delta) => ({ type, ...at, ...extra, delta, obfuscation: padding(delta) }));
  const around = (empty: object, inner: readonly WireEvent[]): WireEvent[] => [
    { type: 'response.output_item.added', output_index: index, item: { ...item, ...empty } },
    ...inner,
    { type: 'response.output_item.done', output_index: index, item },
  ];
  switch (item.type) {
    case 'message':
      return around(
        { status: 'in_progress', content: [] },
        (item.content as Part[]).flatMap((part, n) => partEvents(part, { ...at, content_index: n }, size)),
      );
    case 'reasoning': {
      const content = (item.content ?? []) as Part[];
      return around({ summary: [], ...(item.content !== undefined && { content: [] }) }, [
        ...content.flatMap((part, n) => partEvents(part, { ...at, content_index: n }, size)),
        ...(item.summary as Part[]).flatMap((part, n) => {
          const place = { ...at, summary_index: n };
          const text = part.text ?? '';
          return [
            { type: 'response.reasoning_summary_part.added', ...place, part: { ...part, text: '' } },
            ...deltas('response.reasoning_summary_text.delta', text, { summary_index: n }),
            { type: 'response.reasoning_summary_text.done', ...place, text },
            { type: 'response.reasoning_summary_part.done', ...place, part },
          ];
        }),
      ]);
    }
    case 'function_call':
      return around({ status: 'in_progress', arguments: '' }, [
        ...deltas('response.function_call_arguments.delta', String(item.arguments)),
        { type: 'response.function_call_arguments.done', ...at, arguments: item.arguments, name: item.name },
      ]);
    case 'custom_tool_call':
      return around({ status: 'in_progress', input: '' }, [
        ...deltas('response.custom_tool_call_input.delta', String(item.input)),
        { type: 'response.custom_tool_call_input.done', ...at, input: item.input },
      ]);
    case 'web_search_call':
      return around(
        { status: 'in_progress' },
        ['in_progress', 'searching', 'completed'].map((step) => ({ type: `response.web_search_call.${step}`, ...at })),
      );
    default:
      return around({}, []);
  }
}

function partEvents(part: Part, at: object, size: number): WireEvent[] {
  const around = (empty: object, inner: readonly WireEvent[]): WireEvent[] => [
    { type: 'response.content_part.added', ...at, part: { ...part, ...empty } },
    ...inner,
    { type: 'response.content_part.done', ...at, part },
  ];
  const text = part.text ?? part.refusal ?? '';
  const deltas = (type: string, extra: (delta: string) => object = () => ({})): WireEvent[] =>
    pieces(text, size).map((delta) => ({ type, ...at, delta, ...extra(delta), obfuscation: padding(delta) }));
  switch (part.type) {
    case 'output_text': {
      const logprobs = part.logprobs ?? [];
      return around({ annotations: [], logprobs: [], text: '' }, [
        ...deltas('response.output_text.delta', (delta) => ({
          logprobs: logprobs.length === 0 ? [] : [logprob(delta)],
        })),
        ...(part.annotations ?? []).map((annotation, n) => ({
          type: 'response.output_text.annotation.added',
          ...at,
          annotation_index: n,
          annotation,
        })),
        { type: 'response.output_text.done', ...at, text, logprobs },
      ]);
    }
    case 'refusal':
      return around({ refusal: '' }, [
        ...deltas('response.refusal.delta'),
        { type: 'response.refusal.done', ...at, refusal: text },
      ]);
    case 'reasoning_text':
      return around({ text: '' }, [
        ...deltas('response.reasoning_text.delta'),
        { type: 'response.reasoning_text.done', ...at, text },
      ]);
    default:
      return around({}, []);
  }
}

function items(output: readonly (string | ResponseItem)[]): ResponseItem[] {
  return output.map((item, n) => (typeof item === 'string' ? textItem(item, { id: `msg_mock_${n}` }) : item));
}

function logprob(token: string): object {
  const bytes = [...Buffer.from(token)];
  return { token, bytes, logprob: -0.25, top_logprobs: [{ token, bytes, logprob: -0.25 }] };
}

/** Hides the length of a delta, as providers do: both together have 16 characters or more. */
function padding(delta: string): string {
  return 'kQ7vXm2RtLp9Zc4W'.slice(Math.min(delta.length, 16));
}
