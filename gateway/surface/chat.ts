import { chatDialect } from '../stream/chatDialect.ts';
import { readChatAnswer } from '../wire/chatAnswer.ts';
import { readChatRequest } from '../wire/chatRequest.ts';
import { openaiErrors } from './errorDialect.ts';
import type { Surface } from './surface.ts';

/** OpenAI chat completions. */
export const chatSurface: Surface = {
  id: 'chat',
  path: '/chat/completions',
  readRequest: readChatRequest,
  readAnswer: readChatAnswer,
  stream: chatDialect,
  errors: openaiErrors,
  keptIds: null,
};
