import { readDataAnswer } from '../wire/dataAnswer.ts';
import { readModerationsRequest } from '../wire/plainRequests.ts';
import { openaiErrors } from './errorDialect.ts';
import type { Surface } from './surface.ts';

/** OpenAI moderations. What is sent to be judged is inspected like any text; the policy decides what follows. */
export const moderationsSurface: Surface = {
  id: 'moderations',
  path: '/moderations',
  readRequest: readModerationsRequest,
  readAnswer: readDataAnswer,
  stream: null,
  errors: openaiErrors,
  keptIds: null,
};
