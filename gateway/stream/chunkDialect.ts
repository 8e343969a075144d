/** Streams of chunks with choices (OpenAI chat and legacy completions): how they end, and how they are ended before their time. */
import { openaiErrorBody } from '../errors.ts';
import type { AnswerPart } from '../wire/answer.ts';
import { type JsonNode, stringMember } from '../wire/json.ts';
import type { StoppedStream, StreamDialect } from './dialect.ts';
import { reframe } from './sse.ts';

const DONE_MARK = '[DONE]';
const DONE = reframe(DONE_MARK);

export interface ChunkFormat {
  readonly read: (root: JsonNode) => AnswerPart | null;
  /** Of a chunk of our own where none came before it. */
  readonly id: string;
  readonly object: string;
  /** What a choice has beside its index and its finish. */
  readonly empty: Readonly<Record<string, unknown>>;
}

/** A stop is a finish for every open choice, the error that SDKs raise, and the end. */
export function chunkDialect(format: ChunkFormat): StreamDialect {
  return {
    read: format.read,
    doneMark: DONE_MARK,
    namedEvents: false,
    // Every chunk adds to what its choices have.
    isDelta: () => true,
    endsWithGroups: true,
    stopped: (stream) => [...finishes(format, stream), reframe(openaiErrorBody(stream.error)), DONE],
    finished: (stream) => [...finishes(format, stream), DONE],
    failed: ({ error }) => [reframe(openaiErrorBody(error)), DONE],
  };
}

function finishes({ id, object, empty }: ChunkFormat, { last, openGroups }: StoppedStream): Buffer[] {
  const choices = openGroups.length === 0 ? [0] : openGroups;
  return choices.map((index) => {
    const choice = { index, ...empty, finish_reason: 'content_filter' };
    return reframe(JSON.stringify({ ...head(last, id, object), choices: [choice] }));
  });
}

/** Id, time and model of the chunk that was released last go on. */
function head(last: JsonNode | null, id: string, object: string): Record<string, unknown> {
  const own: Record<string, unknown> = { id: stringMember(last, 'id') ?? id, object };
  if (last?.kind !== 'object') return own;
  const created = last.entries.get('created');
  own.created = created?.kind === 'number' ? created.value : Math.floor(Date.now() / 1000);
  own.model = stringMember(last, 'model') ?? '';
  return own;
}
