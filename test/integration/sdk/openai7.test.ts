import OpenAI from 'openai7';
import { describeSdk } from './behaviours.ts';
import { OPENAI_ERRORS, openaiSdk } from './openaiClient.ts';

// The calls used here are the same in both majors; private members keep the compiler from seeing it.
const Client = OpenAI as unknown as Parameters<typeof openaiSdk>[1];

describeSdk(
  openaiSdk('openai 7', Client, {
    ...OPENAI_ERRORS,
    // Its tool runner looks at the finish that precedes the error.
    toolRunStopped: { type: 'ContentFilterFinishReasonError' },
  }),
);
