import { agentsSdk } from './agentsClient.ts';
import { describeSdk } from './behaviours.ts';
import { Bench } from './bench.ts';

const bench = new Bench();

describeSdk(bench, agentsSdk('chat'));
describeSdk(bench, agentsSdk('responses'));
