import { agentsSdk } from './agentsClient.ts';
import { describeSdk } from './behaviours.ts';

describeSdk(agentsSdk);
