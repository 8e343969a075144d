import { anthropicSdk } from './anthropicClient.ts';
import { describeSdk } from './behaviours.ts';
import { Bench } from './bench.ts';

const bench = new Bench();

describeSdk(bench, anthropicSdk);
