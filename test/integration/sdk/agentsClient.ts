/** The Agents SDK through its own OpenAI provider, in chat mode or over responses. */
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from '@openai/agents';
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

// Traces would be sent to the SDK's maker.
setTracingDisabled(true);

export function agentsSdk(format: 'chat' | 'responses', more: Partial<Sdk> = {}): Sdk {
  return {
    name: `@openai/agents ${format}`,
    format,
    manyChoices: false,
    showsToolCalls: false,
    obeysShouldRetry: true,
    tries: OPENAI_TRIES,
    troubles: OPENAI_TROUBLES,
    refusal: { shownAs: 'error', because: 'it raises refusals' },
    ...more,
    call: async (ask) => {
      const outcome = newOutcome();
      const modelProvider = new OpenAIProvider({
        baseURL: `${ask.origin}/v1`,
        apiKey: ask.key,
        useResponses: format === 'responses',
      });
      const runner = new Runner({ modelProvider, tracingDisabled: true });
      await (ask.stream ? streamed : whole)(runner, ask, outcome).catch((error: unknown) => {
        outcome.failure = openaiFailure(error);
      });
      return outcome;
    },
  };
}

function agentOf({ system, tool: offered }: Ask, outcome: Outcome): Agent {
  const lookup = tool({
    name: LOOKUP.name,
    description: LOOKUP.description,
    parameters: parametersOf(),
    execute: (input: unknown) => runLookup(outcome, input),
  });
  return new Agent({ name: 'assistant', instructions: system, model: MODEL, tools: offered === 'run' ? [lookup] : [] });
}

async function whole(runner: Runner, ask: Ask, outcome: Outcome): Promise<void> {
  const result = await runner.run(agentOf(ask, outcome), ask.user, signalOf(ask));
  outcome.shown.push(...result.rawResponses);
  outcome.texts[0] = String(result.finalOutput);
  outcome.totalTokens = result.state.usage.totalTokens;
}

async function streamed(runner: Runner, ask: Ask, outcome: Outcome): Promise<void> {
  const result = await runner.run(agentOf(ask, outcome), ask.user, { ...signalOf(ask), stream: true });
  for await (const event of result) {
    if (event.type !== 'raw_model_stream_event') continue;
    outcome.shown.push(event.data);
    if (event.data.type === 'output_text_delta') addText(outcome, ask, event.data.delta);
    else if (event.data.type === 'model') outcome.toolText += argumentsIn(event.data.event);
  }
  await result.completed;
  outcome.totalTokens = result.state.usage.totalTokens;
}

/** Pieces of tool arguments in an event as the provider sent it. */
function argumentsIn(event: unknown): string {
  const { type, delta, choices } = event as {
    type?: string;
    delta?: string;
    choices?: { delta?: { tool_calls?: { function?: { arguments?: string } }[] } }[];
  };
  if (type === 'response.function_call_arguments.delta') return delta ?? '';
  const calls = (choices ?? []).flatMap((choice) => choice.delta?.tool_calls ?? []);
  return calls.map((call) => call.function?.arguments ?? '').join('');
}
