import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { aiSdk } from './aiClient.ts';
import { describeSdk } from './behaviours.ts';
import { Bench } from './bench.ts';
import { type Ask, MODEL } from './sdk.ts';

const bench = new Bench();
const DROPS_REFUSALS = { shownAs: 'nothing', because: 'it drops refusals' } as const;

const SHOWS_REFUSALS = { shownAs: 'text', because: 'it shows refusals as text' } as const;

const openai = ({ origin, key }: Ask) => createOpenAI({ baseURL: `${origin}/v1`, apiKey: key });

describeSdk(
  bench,
  aiSdk({ name: 'ai 6 with @ai-sdk/openai-compatible', format: 'chat', refusal: DROPS_REFUSALS }, ({ origin, key }) =>
    createOpenAICompatible({ name: 'gateway', baseURL: `${origin}/v1`, apiKey: key, includeUsage: true })(MODEL),
  ),
);
describeSdk(
  bench,
  aiSdk({ name: 'ai 6 with @ai-sdk/openai chat', format: 'chat', refusal: SHOWS_REFUSALS }, (ask) =>
    openai(ask).chat(MODEL),
  ),
);
describeSdk(
  bench,
  aiSdk({ name: 'ai 6 with @ai-sdk/openai', format: 'responses', refusal: SHOWS_REFUSALS }, (ask) =>
    openai(ask)(MODEL),
  ),
);
