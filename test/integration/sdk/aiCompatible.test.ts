import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { aiSdk } from './aiClient.ts';
import { describeSdk } from './behaviours.ts';
import { MODEL } from './sdk.ts';

describeSdk(
  aiSdk('ai 6 with @ai-sdk/openai-compatible', ({ baseUrl, key }) =>
    createOpenAICompatible({ name: 'gateway', baseURL: baseUrl, apiKey: key, includeUsage: true })(MODEL),
  ),
);
