import OpenAI from 'openai';
import { describeSdk } from './behaviours.ts';
import { Bench } from './bench.ts';
import { openaiChat } from './openaiChat.ts';
import { openaiResponses } from './openaiResponses.ts';

const bench = new Bench();

describeSdk(bench, openaiChat('openai 6', OpenAI));
describeSdk(
  bench,
  openaiResponses('openai 6', OpenAI, { losesErrorEvents: 'it hands on a flat error event as an event' }),
);
