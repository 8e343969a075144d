import { messagesDialect } from '../stream/messagesDialect.ts';
import { readMessagesAnswer, readTokenCount } from '../wire/messagesAnswer.ts';
import { readMessagesRequest } from '../wire/messagesRequest.ts';
import { anthropicErrors } from './anthropicError.ts';
import type { Surface } from './surface.ts';

/** Anthropic Messages. */
export const messagesSurface: Surface = {
  id: 'messages',
  path: '/messages',
  readRequest: readMessagesRequest,
  readAnswer: readMessagesAnswer,
  stream: messagesDialect,
  errors: anthropicErrors,
  keptIds: null,
};

/** How many tokens a message would take. The same request, canaries included, so that the number is the right one. */
export const countTokensSurface: Surface = {
  ...messagesSurface,
  path: '/messages/count_tokens',
  readRequest: (source, limits) => ({ ...readMessagesRequest(source, limits), stream: false }),
  readAnswer: readTokenCount,
  stream: null,
};
