/** Responses of the openai package, any major. Tools are run by the application, which sends back what it was given. */
import type OpenAI from 'openai';
import { openaiClient } from './openaiChat.ts';
import { OPENAI_TRIES, OPENAI_TROUBLES, openaiFailure } from './openaiErrors.ts';
import {
  type Ask,
  addText,
  LOOKUP,
  MODEL,
  newOutcome,
  type Outcome,
  parametersOf,
  runLookup,
  type Sdk,
  signalOf,
} from './sdk.ts';

type Item = OpenAI.Responses.ResponseInputItem;
type Answer = OpenAI.Responses.Response;

export function openaiResponses(
  name: string,
  Client: typeof OpenAI,
  more: { readonly losesErrorEvents?: string } = {},
): Sdk {
  return {
    name: `${name} responses`,
    format: 'responses',
    manyChoices: false,
    showsToolCalls: true,
    obeysShouldRetry: true,
    tries: OPENAI_TRIES,
    troubles: OPENAI_TROUBLES,
    refusal: { shownAs: 'refusal' },
    ...more,
    call: async (ask) => {
      const outcome = newOutcome();
      await converse(openaiClient(Client, ask), ask, outcome).catch((error: unknown) => {
        outcome.failure = openaiFailure(error);
      });
      return outcome;
    },
  };
}

async function converse(client: OpenAI, ask: Ask, outcome: Outcome): Promise<void> {
  const input: Item[] = [{ role: 'user', content: ask.user }];
  const answer = await (ask.stream ? streamed : whole)(client, ask, input, outcome);
  if (ask.tool !== 'run' || answer === null) return;
  const calls = answer.output.filter((item) => item.type === 'function_call');
  if (calls.length === 0) return;
  const results = calls.map(
    (call): Item => ({
      type: 'function_call_output',
      call_id: call.call_id,
      output: runLookup(outcome, JSON.parse(call.arguments)),
    }),
  );
  await (ask.stream ? streamed : whole)(client, ask, [...input, ...(answer.output as Item[]), ...results], outcome);
}

function bodyOf({ system, tool }: Ask, input: Item[]) {
  const lookup = {
    type: 'function' as const,
    name: LOOKUP.name,
    description: LOOKUP.description,
    parameters: parametersOf(),
    strict: true,
  };
  return { model: MODEL, instructions: system, input, ...(tool !== undefined && { tools: [lookup] }) };
}

async function whole(client: OpenAI, ask: Ask, input: Item[], outcome: Outcome): Promise<Answer> {
  const answer = await client.responses.create(bodyOf(ask, input), signalOf(ask));
  outcome.shown.push(answer);
  outcome.totalTokens = answer.usage?.total_tokens ?? null;
  for (const item of answer.output) {
    if (item.type === 'function_call') outcome.toolText += item.arguments;
    if (item.type !== 'message') continue;
    for (const part of item.content) {
      if (part.type === 'output_text') outcome.texts[0] = (outcome.texts[0] ?? '') + part.text;
      else outcome.refusal += part.refusal;
    }
  }
  return answer;
}

/** Null when the stream ended without a finished response. */
async function streamed(client: OpenAI, ask: Ask, input: Item[], outcome: Outcome): Promise<Answer | null> {
  const stream = await client.responses.create({ ...bodyOf(ask, input), stream: true }, signalOf(ask));
  let answer: Answer | null = null;
  for await (const event of stream) {
    outcome.shown.push(event);
    if (event.type === 'response.output_text.delta') addText(outcome, ask, event.delta);
    else if (event.type === 'response.refusal.delta') outcome.refusal += event.delta;
    else if (event.type === 'response.function_call_arguments.delta') outcome.toolText += event.delta;
    else if (event.type === 'response.completed') answer = event.response;
  }
  outcome.totalTokens = answer?.usage?.total_tokens ?? null;
  return answer;
}
