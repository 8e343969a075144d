/** Streams of OpenAI Responses events: how they are ended before their time. Nothing comes after the last event. */
import { ERRORS } from '../errors.ts';
import { integer } from '../wire/answer.ts';
import { type JsonNode, member, stringMember } from '../wire/json.ts';
import { readResponsesEvent } from '../wire/responsesEvent.ts';
import type { StoppedStream, StreamDialect } from './dialect.ts';
import { namedFrame } from './namedFrame.ts';

export const responsesDialect: StreamDialect = {
  read: readResponsesEvent,
  doneMark: null,
  namedEvents: true,
  isDelta: (root) => stringMember(root, 'type')?.endsWith('.delta') === true,
  endsWithGroups: false,
  stopped: (stream) => [errorFrame(stream)],
  finished: (stream) => [incompleteFrame(stream)],
  failed: (stream) => [errorFrame(stream)],
};

/** Both spellings of an error: some SDKs raise only the nested one, and the flat one is what the schema says. */
function errorFrame({ last, error: { code, message, param } }: StoppedStream): Buffer {
  return namedFrame('error', {
    type: 'error',
    sequence_number: nextNumber(last),
    code,
    message,
    param,
    error: { message, type: ERRORS[code].type, param, code },
  });
}

/** Members of the first response that its last one repeats. Nothing of the prompt, which may hold canaries there. */
const KEPT = ['id', 'created_at', 'model', 'parallel_tool_calls', 'temperature', 'top_p'] as const;

function incompleteFrame({ first, last }: StoppedStream): Buffer {
  const begun = member(first, 'response');
  const kept = KEPT.flatMap((key): [string, unknown][] => {
    const node = member(begun, key);
    return node === null || node.kind === 'object' || node.kind === 'array' ? [] : [[key, node.value]];
  });
  return namedFrame('response.incomplete', {
    type: 'response.incomplete',
    sequence_number: nextNumber(last),
    response: {
      id: stringMember(begun, 'id') ?? 'resp_stopped',
      object: 'response',
      created_at: Math.floor(Date.now() / 1000),
      model: '',
      parallel_tool_calls: true,
      temperature: null,
      top_p: null,
      ...Object.fromEntries(kept),
      status: 'incomplete',
      error: null,
      incomplete_details: { reason: 'content_filter' },
      instructions: null,
      metadata: {},
      output: [],
      tool_choice: 'auto',
      tools: [],
      usage: null,
    },
  });
}

function nextNumber(last: JsonNode | null): number {
  const number = integer(member(last, 'sequence_number'));
  return number === null ? 0 : number + 1;
}
