/** Streams of chat completion chunks (OpenAI): how they end, and how they are ended before their time. */
import { openaiErrorBody } from '../errors.ts';
import { readChatAnswer } from '../wire/chatAnswer.ts';
import { type JsonNode, stringMember } from '../wire/json.ts';
import type { StoppedStream, StreamDialect } from './dialect.ts';
import { reframe } from './sse.ts';

export const DONE_MARK = '[DONE]';
export const DONE = reframe(DONE_MARK);

/** A finish for every open choice, the error that SDKs raise, and the end. */
export const chatDialect: StreamDialect = {
  read: readChatAnswer,
  doneMark: DONE_MARK,
  namedEvents: false,
  // Every chunk adds to what its choices have.
  isDelta: () => true,
  endsWithGroups: true,
  stopped: (stream) => [...finishes(stream), reframe(openaiErrorBody(stream.error)), DONE],
  finished: (stream) => [...finishes(stream), DONE],
  failed: ({ error }) => [reframe(openaiErrorBody(error)), DONE],
};

function finishes({ last, openGroups }: StoppedStream): Buffer[] {
  const choices = openGroups.length === 0 ? [0] : openGroups;
  return choices.map((index) => {
    const choice = { index, delta: {}, finish_reason: 'content_filter' };
    return reframe(
      JSON.stringify({ ...chunkHead(last, 'chatcmpl-stopped', 'chat.completion.chunk'), choices: [choice] }),
    );
  });
}

/** Id, time and model of the chunk that was released last go on. */
export function chunkHead(last: JsonNode | null, id: string, object: string): Record<string, unknown> {
  const head: Record<string, unknown> = { id: stringMember(last, 'id') ?? id, object };
  if (last?.kind !== 'object') return head;
  const created = last.entries.get('created');
  head.created = created?.kind === 'number' ? created.value : Math.floor(Date.now() / 1000);
  head.model = stringMember(last, 'model') ?? '';
  return head;
}
