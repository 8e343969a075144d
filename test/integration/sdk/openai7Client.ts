import type OpenAI from 'openai';
import Client from 'openai7';

/** openai 7. The calls used here are the same in both majors; private members keep the compiler from seeing it. */
export const OpenAI7 = Client as unknown as typeof OpenAI;
