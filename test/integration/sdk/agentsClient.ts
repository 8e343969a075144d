/** The Agents SDK in chat mode, through its own OpenAI provider. */
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from '@openai/agents';
import { OPENAI_ERRORS, openaiFailure } from './openaiClient.ts';
import { type Ask, addText, LOOKUP, MODEL, newOutcome, type Outcome, type Sdk } from './sdk.ts';

// Traces would be sent to the SDK's maker.
setTracingDisabled(true);

export const agentsSdk: Sdk = {
  name: '@openai/agents',
  manyChoices: false,
  showsToolCalls: false,
  obeysShouldRetry: true,
  errors: OPENAI_ERRORS,
  call: async (ask) => {
    const outcome = newOutcome();
    await (ask.stream ? streamed : whole)(ask, outcome).catch((error: unknown) => {
      outcome.failure = openaiFailure(error);
    });
    return outcome;
  },
};

function runnerOf({ baseUrl, key }: Ask): Runner {
  const modelProvider = new OpenAIProvider({ baseURL: baseUrl, apiKey: key, useResponses: false });
  return new Runner({ modelProvider, tracingDisabled: true });
}

function agentOf({ system, tool: offered }: Ask, outcome: Outcome): Agent {
  const lookup = tool({
    name: LOOKUP.name,
    description: LOOKUP.description,
    parameters: {
      ...LOOKUP.parameters,
      required: [...LOOKUP.parameters.required],
    },
    execute: (input: unknown) => {
      outcome.toolInputs.push(input);
      return LOOKUP.result;
    },
  });
  return new Agent({ name: 'assistant', instructions: system, model: MODEL, tools: offered === 'run' ? [lookup] : [] });
}

function optionsOf({ signal }: Ask): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

async function whole(ask: Ask, outcome: Outcome): Promise<void> {
  const result = await runnerOf(ask).run(agentOf(ask, outcome), ask.user, optionsOf(ask));
  outcome.texts[0] = String(result.finalOutput);
  outcome.totalTokens = result.state.usage.totalTokens;
}

async function streamed(ask: Ask, outcome: Outcome): Promise<void> {
  const result = await runnerOf(ask).run(agentOf(ask, outcome), ask.user, { ...optionsOf(ask), stream: true });
  for await (const event of result) {
    if (event.type !== 'raw_model_stream_event') continue;
    if (event.data.type === 'output_text_delta') addText(outcome, ask, event.data.delta);
    else if (event.data.type === 'model') outcome.toolText += argumentsIn(event.data.event);
  }
  await result.completed;
  outcome.totalTokens = result.state.usage.totalTokens;
}

/** Pieces of tool arguments in a chunk as the provider sent it. */
function argumentsIn(event: unknown): string {
  const { choices } = event as { choices?: { delta?: { tool_calls?: { function?: { arguments?: string } }[] } }[] };
  const calls = (choices ?? []).flatMap(({ delta }) => delta?.tool_calls ?? []);
  return calls.map((call) => call.function?.arguments ?? '').join('');
}
