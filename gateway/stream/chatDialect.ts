import { readChatAnswer } from '../wire/chatAnswer.ts';
import { chunkDialect } from './chunkDialect.ts';

/** Streams of chat completion chunks (OpenAI). */
export const chatDialect = chunkDialect({
  read: readChatAnswer,
  id: 'chatcmpl-stopped',
  object: 'chat.completion.chunk',
  empty: { delta: {} },
});
