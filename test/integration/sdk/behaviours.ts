/** What an application sees of the gateway through an SDK: the same table for each of them. */
import { describeAborts } from './aborts.ts';
import { describeAnswers } from './answers.ts';
import { type Bench, Place } from './bench.ts';
import { describeBlocks } from './blocks.ts';
import { describeFailures } from './failures.ts';
import type { Sdk } from './sdk.ts';
import { describeTools } from './tools.ts';

export function describeSdk(bench: Bench, sdk: Sdk): void {
  const place = new Place(bench, sdk);
  describeAnswers(place);
  describeTools(place);
  describeBlocks(place);
  describeFailures(place);
  describeAborts(place);
}
