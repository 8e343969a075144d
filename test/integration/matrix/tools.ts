/** Tool calls against a policy, as data and as text. */
import type { Policy } from '../../../config/schema.ts';
import {
  anthropicMessage,
  completion,
  completionAnswer,
  completionEvents,
  contentEvents,
  customCallItem,
  functionCallItem,
  type MessageBlock,
  messageEvents,
  pieces,
  type Reply,
  type ResponseItem,
  responseEvents,
  responseObject,
  toolCallEvents,
  toolUseBlock,
} from '../../helpers/mockUpstream.ts';
import { absent, customCallReply, filled, type Position } from './positions.ts';
import { RESPONSE_ID } from './responses.ts';

export const TOOL_POSITIONS = [
  'name that is not allowed',
  'argument against the schema',
  'required argument is missing',
  'arguments that are no JSON',
  'second of two calls',
  'custom tool that is not allowed',
  'call written as text',
  'call written as text, second choice',
] as const;
export type ToolPosition = (typeof TOOL_POSITIONS)[number];

export const TOOL_POLICY: Policy['tools'] = {
  allowed: ['look_up', 'send'],
  required: { send: ['to'] },
  strict: false,
  schemas: { look_up: { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'] } },
  arguments: [],
};

interface Call {
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
}

const BAD_NAME: Call = { name: 'forbidden_tool', arguments: '{"id":1}' };
const GOOD: Call = { name: 'look_up', arguments: '{"id":1}' };
const CALLS: Partial<Record<ToolPosition, readonly Call[]>> = {
  'name that is not allowed': [BAD_NAME],
  'argument against the schema': [{ name: 'look_up', arguments: '{"id":"forbidden_tool"}' }],
  'required argument is missing': [{ name: 'send', arguments: '{"body":"forbidden_tool"}' }],
  'arguments that are no JSON': [{ name: 'look_up', arguments: '{"id":1,"forbidden_tool' }],
  'second of two calls': [GOOD, BAD_NAME],
};
const MARKED = 'Well 你好 <tool_call>{"name": "forbidden_tool", "arguments": {"id": 1}}</tool_call> and more.';

type Builder = (calls: readonly Call[]) => { readonly whole: Reply; readonly stream: Reply };

function cells(
  build: Builder,
  rest: Pick<
    Record<ToolPosition, Position>,
    'custom tool that is not allowed' | 'call written as text' | 'call written as text, second choice'
  >,
  instead: Partial<Record<ToolPosition, Position>> = {},
): Record<ToolPosition, Position> {
  const asData = Object.entries(CALLS).map(([name, calls]): [string, Position] => [
    name,
    filled(
      'shown',
      () => build(calls).whole,
      () => build(calls).stream,
    ),
  ]);
  return { ...Object.fromEntries(asData), ...rest, ...instead } as Record<ToolPosition, Position>;
}

const position = (whole: Reply, stream: Reply): Position =>
  filled(
    'shown',
    () => whole,
    () => stream,
  );

const CHAT = cells(
  (calls) => {
    const list = calls.map((call, n) => ({ id: `call_${n}`, ...call }));
    return {
      whole: { json: completion({ content: null, tool_calls: list }) },
      stream: { stream: { events: toolCallEvents(list, 3) } },
    };
  },
  {
    'custom tool that is not allowed': position(customCallReply('call_0', 'forbidden_tool', 'x'), {
      stream: {
        events: toolCallEvents([{ id: 'call_0', name: 'NAME', arguments: 'x' }]).map((event) =>
          event
            .replace(
              '"type":"function","function":{"name":"NAME","arguments"',
              '"type":"custom","custom":{"name":"forbidden_tool","input"',
            )
            .replace('"function":{"arguments"', '"custom":{"input"'),
        ),
      },
    }),
    'call written as text': position(
      { json: completion(MARKED) },
      { stream: { events: contentEvents(pieces(MARKED, 3)) } },
    ),
    'call written as text, second choice': position(
      { json: completion('Well.', MARKED) },
      { stream: { events: [...contentEvents(['Well 你好']), ...contentEvents(pieces(MARKED, 3), 1)] } },
    ),
  },
);

const responses = (output: readonly (string | ResponseItem)[]) => ({
  whole: { json: responseObject({ id: RESPONSE_ID, output }) },
  stream: { stream: { events: responseEvents(output, 3, { id: RESPONSE_ID }), named: true } },
});
const ofResponses = (output: readonly (string | ResponseItem)[]): Position =>
  position(responses(output).whole, responses(output).stream);
const RESPONSES = cells(
  (calls) => responses(['Well 你好', ...calls.map((call, n) => functionCallItem(call.name, call.arguments, n))]),
  {
    'custom tool that is not allowed': ofResponses([customCallItem('forbidden_tool', 'x')]),
    'call written as text': ofResponses([MARKED]),
    'call written as text, second choice': ofResponses(['Well 你好', MARKED]),
  },
);

const messages = (blocks: readonly (string | MessageBlock)[]) => ({
  whole: { json: anthropicMessage(blocks) },
  stream: { stream: { events: messageEvents(blocks, 3), named: true } },
});
const ofMessages = (blocks: readonly (string | MessageBlock)[]): Position =>
  position(messages(blocks).whole, messages(blocks).stream);
const BROKEN_INPUT = messageEvents([toolUseBlock('look_up', { id: 1 })], 50).map((event) =>
  event.replace('"partial_json":"{\\"id\\":1}"', '"partial_json":"{\\"id\\":1,\\"forbidden_tool"'),
);
const MESSAGES = cells(
  (calls) =>
    messages([
      'Well 你好',
      ...calls.map((call, n) => {
        const isJson = call.arguments.endsWith('}');
        return toolUseBlock(call.name, isJson ? (JSON.parse(call.arguments) as unknown) : call.arguments, `toolu_${n}`);
      }),
    ]),
  {
    'custom tool that is not allowed': absent('every tool has an object as input'),
    'call written as text': ofMessages([MARKED]),
    'call written as text, second choice': ofMessages(['Well 你好', MARKED]),
  },
  {
    'arguments that are no JSON': {
      whole: { absent: 'the input of a whole answer is JSON' },
      stream: filled(
        'shown',
        () => ({}),
        () => ({ stream: { events: BROKEN_INPUT, named: true } }),
      ).stream,
    },
  },
);

const AS_DATA = absent('knows no calls as data');
const COMPLETIONS: Record<ToolPosition, Position> = {
  'name that is not allowed': AS_DATA,
  'argument against the schema': AS_DATA,
  'required argument is missing': AS_DATA,
  'arguments that are no JSON': AS_DATA,
  'second of two calls': AS_DATA,
  'custom tool that is not allowed': AS_DATA,
  'call written as text': position(
    { json: completionAnswer(MARKED) },
    { stream: { events: completionEvents([MARKED], 3) } },
  ),
  'call written as text, second choice': position(
    { json: completionAnswer('Well.', MARKED) },
    { stream: { events: completionEvents(['Well. 你好', MARKED], 3) } },
  ),
};

const CANCELLED = Object.fromEntries(
  Object.entries(RESPONSES).map(([name, { whole }]) => [name, { whole, stream: { absent: 'has no streams' } }]),
) as unknown as Record<ToolPosition, Position>;

/** By the name of the surface; the others answer with no tool calls. */
export const TOOL_CELLS: Readonly<Record<string, Readonly<Record<ToolPosition, Position>>>> = {
  chat: CHAT,
  responses: RESPONSES,
  'responses, retrieved': RESPONSES,
  'responses, cancelled': CANCELLED,
  messages: MESSAGES,
  completions: COMPLETIONS,
};
