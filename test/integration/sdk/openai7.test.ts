import OpenAI from 'openai7';
import { describeSdk } from './behaviours.ts';
import { openaiSdk } from './openaiClient.ts';

// The calls used here are the same in both majors; private members keep the compiler from seeing it.
describeSdk(openaiSdk('openai 7', OpenAI as unknown as Parameters<typeof openaiSdk>[1]));
