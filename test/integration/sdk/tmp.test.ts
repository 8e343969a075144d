import OpenAI from 'openai';
import { describeSdk } from './behavioursTmp.ts';
import { openaiSdk } from './openaiClient.ts';
describeSdk(openaiSdk('openai 6', OpenAI));
