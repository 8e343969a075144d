/** The openai package, any major: one class with the same calls. */
import type OpenAI from 'openai';
import { type Ask, addText, type Failure, LOOKUP, MODEL, newOutcome, type Outcome, type Sdk } from './sdk.ts';

/** Error classes of the package, which Agents hands on as they are. */
export const OPENAI_ERRORS: Sdk['errors'] = {
  badRequest: 'BadRequestError',
  unauthorized: 'AuthenticationError',
  rateLimited: 'RateLimitError',
  serverError: 'InternalServerError',
  midStream: 'APIError',
  toolRunStopped: { code: 'content_filter' },
};

export function openaiSdk(name: string, Client: typeof OpenAI, errors: Sdk['errors'] = OPENAI_ERRORS): Sdk {
  return {
    name,
    manyChoices: true,
    showsToolCalls: true,
    obeysShouldRetry: true,
    errors,
    call: async (ask) => {
      const client = new Client({
        baseURL: ask.baseUrl,
        apiKey: ask.key,
        ...(ask.retries !== undefined && { maxRetries: ask.retries }),
      });
      const outcome = newOutcome();
      const act = ask.tool === 'run' ? (ask.stream ? runStreamed : runWhole) : ask.stream ? streamed : whole;
      await act(client, ask, outcome).catch((error: unknown) => {
        outcome.failure = openaiFailure(error);
      });
      return outcome;
    },
  };
}

export function openaiFailure(error: unknown): Failure {
  const { status, code, message, headers } = error as Partial<InstanceType<typeof OpenAI.APIError>>;
  return {
    type: (error as object).constructor.name,
    status: status ?? null,
    code: code ?? null,
    message: message ?? '',
    header: (name) => headers?.get(name) ?? null,
  };
}

const DEFINITION = {
  name: LOOKUP.name,
  description: LOOKUP.description,
  parameters: { ...LOOKUP.parameters, required: [...LOOKUP.parameters.required] },
};

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

function optionsOf({ signal }: Ask): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

async function whole(client: OpenAI, ask: Ask, outcome: Outcome): Promise<void> {
  const answer = await client.chat.completions.create(bodyOf(ask), optionsOf(ask));
  for (const { index, message } of answer.choices) {
    outcome.texts[index] = message.content ?? '';
    for (const call of message.tool_calls ?? []) outcome.toolText += 'function' in call ? call.function.arguments : '';
  }
  outcome.totalTokens = answer.usage?.total_tokens ?? null;
}

async function streamed(client: OpenAI, ask: Ask, outcome: Outcome): Promise<void> {
  const stream = await client.chat.completions.create(
    { ...bodyOf(ask), stream: true, stream_options: { include_usage: true } },
    optionsOf(ask),
  );
  for await (const chunk of stream) {
    for (const { index, delta } of chunk.choices) {
      addText(outcome, ask, delta.content ?? '', index);
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
        function: (input: object): string => {
          outcome.toolInputs.push(input);
          return LOOKUP.result;
        },
      },
    },
  ];
}

async function runWhole(client: OpenAI, ask: Ask, outcome: Outcome): Promise<void> {
  const runner = client.chat.completions.runTools({ ...bodyOf(ask), tools: toolsOf(outcome) }, optionsOf(ask));
  outcome.texts[0] = (await runner.finalContent()) ?? '';
  outcome.totalTokens = (await runner.totalUsage()).total_tokens;
}

async function runStreamed(client: OpenAI, ask: Ask, outcome: Outcome): Promise<void> {
  const runner = client.chat.completions.runTools(
    { ...bodyOf(ask), tools: toolsOf(outcome), stream: true },
    optionsOf(ask),
  );
  runner.on('chunk', (chunk) => {
    for (const { delta } of chunk.choices) {
      for (const call of delta.tool_calls ?? []) outcome.toolText += call.function?.arguments ?? '';
    }
  });
  runner.on('content', (text) => addText(outcome, ask, text));
  await runner.finalContent();
}
