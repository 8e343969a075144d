/** Streams of Anthropic Messages events: how they are ended before their time. Nothing comes after an error. */
import { anthropicError } from '../surface/anthropicError.ts';
import { stringMember } from '../wire/json.ts';
import { readMessagesEvent } from '../wire/messagesAnswer.ts';
import type { StoppedStream, StreamDialect } from './dialect.ts';
import { namedFrame } from './namedFrame.ts';

export const messagesDialect: StreamDialect = {
  read: readMessagesEvent,
  doneMark: null,
  namedEvents: true,
  isDelta: (root) => stringMember(root, 'type') === 'content_block_delta',
  endsWithGroups: false,
  stopped: errorFrames,
  finished: (stream) => [...startFrames(stream), ...stopFrames(stream), ...refusalFrames()],
  failed: errorFrames,
};

function errorFrames({ error }: StoppedStream): Buffer[] {
  return [namedFrame('error', anthropicError(error))];
}

/** Clients read nothing before a message has begun. */
function startFrames({ first }: StoppedStream): Buffer[] {
  if (first !== null) return [];
  const message = {
    id: 'msg_stopped',
    type: 'message',
    role: 'assistant',
    model: '',
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: 0, output_tokens: 0 },
  };
  return [namedFrame('message_start', { type: 'message_start', message })];
}

function stopFrames({ openGroups }: StoppedStream): Buffer[] {
  return openGroups.map((index) => namedFrame('content_block_stop', { type: 'content_block_stop', index }));
}

function refusalFrames(): Buffer[] {
  const delta = { stop_reason: 'refusal', stop_sequence: null };
  return [
    namedFrame('message_delta', { type: 'message_delta', delta, usage: { output_tokens: 0 } }),
    namedFrame('message_stop', { type: 'message_stop' }),
  ];
}
