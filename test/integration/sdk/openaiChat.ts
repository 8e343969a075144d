/** Chat completions of the openai package, any major: one class with the same calls. */
import type OpenAI from 'openai';
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

export function openaiChat(name: string, Client: typeof OpenAI, troubles: Sdk['troubles'] = OPENAI_TROUBLES): Sdk {
  return {
    name: `${name} chat`,
    format: 'chat',
    manyChoices: true,
    showsToolCalls: true,
    obeysShouldRetry: true,
    tries: OPENAI_TRIES,
    troubles,
    refusal: { shownAs: 'refusal' },
    call: async (ask) => {
      const client = openaiClient(Client, ask);
      const outcome = newOutcome();
      const act = ask.tool === 'run' ? (ask.stream ? runStreamed : runWhole) : ask.stream ? streamed : whole;
      await act(client, ask, outcome).catch((error: unknown) => {
        outcome.failure = openaiFailure(error);
      });
      return outcome;
    },
  };
}

export function openaiClient(Client: typeof OpenAI, { origin, key, retries }: Ask): OpenAI {
  const maxRetries = retries === undefined ? {} : { maxRetries: retries };
  return new Client({ baseURL: `${origin}/v1`, apiKey: key, ...maxRetries });
}

const DEFINITION = { name: LOOKUP.name, description: LOOKUP.description, parameters: parametersOf() };

function bodyOf({ system, user, choices, tool }: Ask) {
  return {
    model: MODEL,
    messages: [
      { role: 'system' as const, content: system },
      { role: 'user' as const, content: user },
    ],
    ...(choices !== undefined && { n: choices }),
    ...(tool !== undefined && { tools: [{ type: 'function' as const, function: DEFINITION }] }),
  };
}

async function whole(client: OpenAI, ask: Ask, outcome: Outcome): Promise<void> {
  const answer = await client.chat.completions.create(bodyOf(ask), signalOf(ask));
  outcome.shown.push(answer);
  for (const { index, message } of answer.choices) {
    outcome.texts[index] = message.content ?? '';
    outcome.refusal += message.refusal ?? '';
    for (const call of message.tool_calls ?? []) outcome.toolText += 'function' in call ? call.function.arguments : '';
  }
  outcome.totalTokens = answer.usage?.total_tokens ?? null;
}

async function streamed(client: OpenAI, ask: Ask, outcome: Outcome): Promise<void> {
  const stream = await client.chat.completions.create(
    { ...bodyOf(ask), stream: true, stream_options: { include_usage: true } },
    signalOf(ask),
  );
  for await (const chunk of stream) {
    outcome.shown.push(chunk);
    for (const { index, delta } of chunk.choices) {
      addText(outcome, ask, delta.content ?? '', index);
      outcome.refusal += delta.refusal ?? '';
      for (const call of delta.tool_calls ?? []) outcome.toolText += call.function?.arguments ?? '';
    }
    outcome.totalTokens = chunk.usage?.total_tokens ?? outcome.totalTokens;
  }
}

function toolsOf(outcome: Outcome) {
  return [
    {
      type: 'function' as const,
      function: {
        ...DEFINITION,
        parse: (text: string): object => JSON.parse(text) as object,
        function: (input: object): string => runLookup(outcome, input),
      },
    },
  ];
}

async function runWhole(client: OpenAI, ask: Ask, outcome: Outcome): Promise<void> {
  const runner = client.chat.completions.runTools({ ...bodyOf(ask), tools: toolsOf(outcome) }, signalOf(ask));
  outcome.texts[0] = (await runner.finalContent()) ?? '';
  outcome.totalTokens = (await runner.totalUsage()).total_tokens;
  outcome.shown.push(runner.messages);
}

async function runStreamed(client: OpenAI, ask: Ask, outcome: Outcome): Promise<void> {
  const runner = client.chat.completions.runTools(
    { ...bodyOf(ask), tools: toolsOf(outcome), stream: true },
    signalOf(ask),
  );
  runner.on('chunk', (chunk) => {
    outcome.shown.push(chunk);
    for (const { delta } of chunk.choices) {
      for (const call of delta.tool_calls ?? []) outcome.toolText += call.function?.arguments ?? '';
    }
  });
  runner.on('content', (text) => addText(outcome, ask, text));
  await runner.finalContent();
}
