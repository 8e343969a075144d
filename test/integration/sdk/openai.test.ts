import OpenAI from 'openai';
import { describeSdk } from './behaviours.ts';
import { openaiSdk } from './openaiClient.ts';

describeSdk(openaiSdk('openai 6', OpenAI));
