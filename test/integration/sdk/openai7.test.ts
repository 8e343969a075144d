import { describeSdk } from './behaviours.ts';
import { Bench } from './bench.ts';
import { OpenAI7 } from './openai7Client.ts';
import { openaiChat } from './openaiChat.ts';
import { OPENAI_TROUBLES } from './openaiErrors.ts';
import { openaiResponses } from './openaiResponses.ts';

const bench = new Bench();

describeSdk(
  bench,
  openaiChat('openai 7', OpenAI7, {
    ...OPENAI_TROUBLES,
    toolRunStopped: {
      sees: { type: 'ContentFilterFinishReasonError' },
      because: 'its tool runner looks at the finish that precedes the error',
    },
  }),
);
describeSdk(bench, openaiResponses('openai 7', OpenAI7));
