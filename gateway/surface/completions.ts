import { completionsDialect } from '../stream/completionsDialect.ts';
import { readCompletionsAnswer } from '../wire/completionsAnswer.ts';
import { readCompletionsRequest } from '../wire/plainRequests.ts';
import { openaiErrors } from './errorDialect.ts';
import type { Surface } from './surface.ts';

/** OpenAI legacy completions. */
export const completionsSurface: Surface = {
  id: 'completions',
  path: '/completions',
  readRequest: readCompletionsRequest,
  readAnswer: readCompletionsAnswer,
  stream: completionsDialect,
  errors: openaiErrors,
  keptIds: null,
};
