import { createOpenAI } from '@ai-sdk/openai';
import { aiSdk } from './aiClient.ts';
import { describeSdk } from './behaviours.ts';
import { MODEL } from './sdk.ts';

describeSdk(
  aiSdk('ai 6 with @ai-sdk/openai', ({ baseUrl, key }) => createOpenAI({ baseURL: baseUrl, apiKey: key }).chat(MODEL)),
);
