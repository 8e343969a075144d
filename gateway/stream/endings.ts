/** How a stream of chat completion chunks ends when it may not simply end. */
import { type JsonNode, stringMember } from '../wire/json.ts';
import { reframe } from './sse.ts';

export const DONE = Buffer.from('data: [DONE]\n\n');

export interface StoppedStream {
  /** The last chunk that was released, whose id, time and model go on; null when there was none. */
  readonly like: JsonNode | null;
  /** Choices that have begun and not finished. */
  readonly choices: readonly number[];
  /** Null for a quiet end. */
  readonly errorBody: string | null;
}

/** A finish for every open choice, the error that SDKs raise, and the end. */
export function stoppedFrames({ like, choices, errorBody }: StoppedStream): Buffer[] {
  const finishes = choices.map((index) => reframe(finishChunk(like, index)));
  return errorBody === null ? [...finishes, DONE] : [...finishes, reframe(errorBody), DONE];
}

/** What tells the client that the provider broke the answer. No finish: nothing may look complete. */
export function failureFrames(errorBody: string): Buffer[] {
  return [reframe(errorBody), DONE];
}

function finishChunk(like: JsonNode | null, index: number): string {
  const chunk: Record<string, unknown> = {
    id: stringMember(like, 'id') ?? 'chatcmpl-stopped',
    object: 'chat.completion.chunk',
  };
  if (like?.kind === 'object') {
    const created = like.entries.get('created');
    chunk.created = created?.kind === 'number' ? created.value : Math.floor(Date.now() / 1000);
    chunk.model = stringMember(like, 'model') ?? '';
  }
  return JSON.stringify({ ...chunk, choices: [{ index, delta: {}, finish_reason: 'content_filter' }] });
}
