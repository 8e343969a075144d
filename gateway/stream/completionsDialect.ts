/** Streams of OpenAI legacy completion chunks: as those of chat completions, in another shape. */
import { openaiErrorBody } from '../errors.ts';
import { readCompletionsChunk } from '../wire/completionsAnswer.ts';
import { chunkHead, DONE, DONE_MARK } from './chatDialect.ts';
import type { StoppedStream, StreamDialect } from './dialect.ts';
import { reframe } from './sse.ts';

/** A finish for every open choice, the error that SDKs raise, and the end. */
export const completionsDialect: StreamDialect = {
  read: readCompletionsChunk,
  doneMark: DONE_MARK,
  namedEvents: false,
  isDelta: () => true,
  endsWithGroups: true,
  stopped: (stream) => [...finishes(stream), reframe(openaiErrorBody(stream.error)), DONE],
  finished: (stream) => [...finishes(stream), DONE],
  failed: ({ error }) => [reframe(openaiErrorBody(error)), DONE],
};

function finishes({ last, openGroups }: StoppedStream): Buffer[] {
  const head = chunkHead(last, 'cmpl-stopped', 'text_completion');
  const choices = openGroups.length === 0 ? [0] : openGroups;
  return choices.map((index) => {
    const choice = { index, text: '', logprobs: null, finish_reason: 'content_filter' };
    return reframe(JSON.stringify({ ...head, choices: [choice] }));
  });
}
