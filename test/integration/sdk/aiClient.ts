/** The ai package with a model of one of its providers. */
import {
  APICallError,
  generateText,
  jsonSchema,
  type LanguageModel,
  RetryError,
  stepCountIs,
  streamText,
  tool,
} from 'ai';
import { type Ask, addText, type Failure, LOOKUP, newOutcome, type Outcome, type Sdk } from './sdk.ts';

export function aiSdk(name: string, model: (ask: Ask) => LanguageModel): Sdk {
  return {
    name,
    manyChoices: false,
    showsToolCalls: false,
    obeysShouldRetry: false,
    errors: {
      badRequest: 'AI_APICallError',
      unauthorized: 'AI_APICallError',
      rateLimited: 'AI_APICallError',
      serverError: 'AI_APICallError',
      // An error in a stream is handed on as the object that was sent.
      midStream: 'Object',
      toolRunStopped: { code: 'content_filter' },
    },
    call: async (ask) => {
      const outcome = newOutcome();
      const act = ask.stream ? streamed : whole;
      await act(model(ask), ask, outcome).catch((error: unknown) => {
        outcome.failure = failureOf(error);
      });
      return outcome;
    },
  };
}

/** The code of a refused call is in the parsed body only; `RetryError` stands around the last of several errors. */
function failureOf(thrown: unknown): Failure {
  const error = RetryError.isInstance(thrown) ? thrown.lastError : thrown;
  if (!APICallError.isInstance(error)) {
    const { code, message } = error as { code?: string; message?: string };
    return {
      type: (error as object).constructor.name,
      status: null,
      code: code ?? null,
      message: message ?? String(error),
      header: () => null,
    };
  }
  // An error in a stream that has shown nothing yet is raised as if the call had been refused with that object.
  const data = error.data as { error?: { code?: string }; code?: string } | undefined;
  return {
    type: error.name,
    status: error.statusCode ?? null,
    code: data?.error?.code ?? data?.code ?? null,
    message: error.message,
    header: (name) => error.responseHeaders?.[name] ?? null,
  };
}

function optionsOf(model: LanguageModel, ask: Ask, outcome: Outcome) {
  const lookup = tool({
    description: LOOKUP.description,
    inputSchema: jsonSchema(LOOKUP.parameters),
    execute: (input: unknown) => {
      outcome.toolInputs.push(input);
      return LOOKUP.result;
    },
  });
  return {
    model,
    system: ask.system,
    prompt: ask.user,
    ...(ask.tool === 'run' && { tools: { [LOOKUP.name]: lookup }, stopWhen: stepCountIs(2) }),
    ...(ask.signal !== undefined && { abortSignal: ask.signal }),
    ...(ask.retries !== undefined && { maxRetries: ask.retries }),
  };
}

async function whole(model: LanguageModel, ask: Ask, outcome: Outcome): Promise<void> {
  const result = await generateText(optionsOf(model, ask, outcome));
  outcome.texts[0] = result.text;
  outcome.totalTokens = result.totalUsage.totalTokens ?? null;
}

async function streamed(model: LanguageModel, ask: Ask, outcome: Outcome): Promise<void> {
  const result = streamText({ ...optionsOf(model, ask, outcome), onError: () => {} });
  for await (const part of result.fullStream) {
    if (part.type === 'text-delta') addText(outcome, ask, part.text);
    else if (part.type === 'tool-input-delta') outcome.toolText += part.delta;
    else if (part.type === 'finish') outcome.totalTokens = part.totalUsage.totalTokens ?? null;
    else if (part.type === 'error') outcome.failure ??= failureOf(part.error);
  }
}
