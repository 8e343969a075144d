import { readCompletionsChunk } from '../wire/completionsAnswer.ts';
import { chunkDialect } from './chunkDialect.ts';

/** Streams of legacy completion chunks (OpenAI). */
export const completionsDialect = chunkDialect({
  read: readCompletionsChunk,
  id: 'cmpl-stopped',
  object: 'text_completion',
  empty: { text: '', logprobs: null },
});
