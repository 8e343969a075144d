/** Answers of the Anthropic Messages API as data: whole, and as the sequence of events that the provider sends. */
import { pieces } from './mockAnswers.ts';

/** A content block as on the wire, complete. */
export interface MessageBlock {
  readonly type: string;
  readonly [field: string]: unknown;
}

export function textBlock(text: string, citations: readonly object[] | null = null): MessageBlock {
  return { type: 'text', text, ...(citations && { citations }) };
}

export function thinkingBlock(thinking: string, signature = 'c2lnbmF0dXJlLW1vY2s='): MessageBlock {
  return { type: 'thinking', thinking, signature };
}

export function toolUseBlock(name: string, input: unknown, id = 'toolu_mock_0'): MessageBlock {
  return { type: 'tool_use', id, name, input };
}

/** Members of the message that differ from the defaults. */
export type MessageFields = Readonly<Record<string, unknown>>;

const USAGE = {
  input_tokens: 10,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
  output_tokens: 5,
  service_tier: 'standard',
} as const;

/** A whole answer; a string stands for a text block. */
export function anthropicMessage(
  blocks: readonly (string | MessageBlock)[],
  fields: MessageFields = {},
): Record<string, unknown> {
  const content = asBlocks(blocks);
  return {
    id: 'msg_mock_0',
    type: 'message',
    role: 'assistant',
    model: 'mock-model',
    content,
    stop_reason: content.some(({ type }) => type === 'tool_use') ? 'tool_use' : 'end_turn',
    stop_sequence: null,
    usage: USAGE,
    ...fields,
  };
}

/** All events of an answer in order, a ping after the first block has begun, for `{ events, named: true }`. */
export function messageEvents(
  blocks: readonly (string | MessageBlock)[],
  size = 5,
  fields: MessageFields = {},
): string[] {
  const message = anthropicMessage(blocks, fields);
  const start = { ...message, content: [], stop_reason: null, stop_sequence: null };
  const [first, ...rest] = asBlocks(blocks).flatMap((block, index) => blockEvents(block, index, size));
  return [
    { type: 'message_start', message: { ...start, usage: { ...USAGE, output_tokens: 1 } } },
    ...(first === undefined ? [] : [first]),
    { type: 'ping' },
    ...rest,
    {
      type: 'message_delta',
      delta: { stop_reason: message.stop_reason, stop_sequence: message.stop_sequence },
      usage: { output_tokens: 5 },
    },
    { type: 'message_stop' },
  ].map((event) => JSON.stringify(event));
}

function blockEvents(block: MessageBlock, index: number, size: number): object[] {
  const { empty, deltas } = spread(block, size);
  return [
    { type: 'content_block_start', index, content_block: { ...block, ...empty } },
    ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
    { type: 'content_block_stop', index },
  ];
}

/** What a block lacks when it starts, and the deltas that bring it. */
function spread(block: MessageBlock, size: number): { empty: object; deltas: object[] } {
  switch (block.type) {
    case 'text': {
      const citations = block.citations as readonly object[] | undefined;
      return {
        empty: { text: '', ...(citations && { citations: [] }) },
        deltas: [
          ...(citations ?? []).map((citation) => ({ type: 'citations_delta', citation })),
          ...pieces(String(block.text), size).map((text) => ({ type: 'text_delta', text })),
        ],
      };
    }
    case 'thinking':
      return {
        empty: { thinking: '', signature: '' },
        deltas: [
          ...pieces(String(block.thinking), size).map((thinking) => ({ type: 'thinking_delta', thinking })),
          { type: 'signature_delta', signature: block.signature },
        ],
      };
    case 'tool_use': {
      const json = JSON.stringify(block.input);
      // A call without arguments has only the empty first piece.
      const parts = ['', ...(json === '{}' ? [] : pieces(json, size))];
      return {
        empty: { input: {} },
        deltas: parts.map((part) => ({ type: 'input_json_delta', partial_json: part })),
      };
    }
    default:
      return { empty: {}, deltas: [] };
  }
}

function asBlocks(blocks: readonly (string | MessageBlock)[]): MessageBlock[] {
  return blocks.map((block) => (typeof block === 'string' ? textBlock(block) : block));
}

export type AnthropicErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'not_found_error'
  | 'rate_limit_error'
  | 'api_error'
  | 'overloaded_error';

/** The body of an error, which is also the payload of an event `error`. */
export function anthropicError(type: AnthropicErrorType, message = 'Something went wrong.'): Record<string, unknown> {
  return { type: 'error', error: { type, message }, request_id: 'req_mock_0' };
}
