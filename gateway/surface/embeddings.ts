import { readEmbeddingsAnswer } from '../wire/dataAnswer.ts';
import { readEmbeddingsRequest } from '../wire/plainRequests.ts';
import { openaiErrors } from './errorDialect.ts';
import type { Surface } from './surface.ts';

/** OpenAI embeddings. */
export const embeddingsSurface: Surface = {
  id: 'embeddings',
  path: '/embeddings',
  readRequest: readEmbeddingsRequest,
  readAnswer: readEmbeddingsAnswer,
  stream: null,
  errors: openaiErrors,
  keptIds: null,
};
