import { describeSdk } from './behaviours.ts';
import { Bench } from './bench.ts';
import { langchainSdk } from './langchainClient.ts';

const bench = new Bench();

describeSdk(
  bench,
  langchainSdk({
    name: '@langchain/openai chat',
    format: 'chat',
    refusal: { shownAs: 'nothing', because: 'it drops refusals of chat completions' },
  }),
);
describeSdk(
  bench,
  langchainSdk({ name: '@langchain/openai responses', format: 'responses', refusal: { shownAs: 'refusal' } }),
);
