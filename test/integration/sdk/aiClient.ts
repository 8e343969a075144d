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
import { type Ask, addText, type Failure, LOOKUP, newOutcome, type Outcome, runLookup, type Sdk } from './sdk.ts';

const API_CALL = 'AI_APICallError';

export const AI_TROUBLES: Sdk['troubles'] = {
  blocked: { sees: { type: API_CALL, status: 400, code: 'content_filter' } },
  unauthorized: { sees: { type: API_CALL, status: 401, code: 'invalid_api_key' } },
  notFound: { sees: { type: API_CALL, status: 404, code: 'model_not_found' } },
  tooLarge: { sees: { type: API_CALL, status: 413, code: 'request_too_large' } },
  rateLimited: { sees: { type: API_CALL, status: 429, code: 'rate_limit_exceeded' } },
  serverError: { sees: { type: API_CALL, status: 500 } },
  badUpstream: { sees: { type: API_CALL, status: 502, code: 'bad_upstream' } },
  // An error in a stream is handed on as the object that was sent.
  leakMidStream: { sees: { type: 'Object', code: 'content_filter' } },
  toolRunStopped: { sees: { code: 'content_filter' } },
  brokenMidStream: { sees: { type: 'Object', code: 'upstream_error' } },
};

export type AiOptions = Pick<Sdk, 'name' | 'format' | 'refusal'> & Partial<Pick<Sdk, 'troubles' | 'losesErrorEvents'>>;

export function aiSdk(options: AiOptions, model: (ask: Ask) => LanguageModel): Sdk {
  return {
    manyChoices: false,
    showsToolCalls: false,
    obeysShouldRetry: false,
    tries: 3,
    troubles: AI_TROUBLES,
    ...options,
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
export function failureOf(thrown: unknown): Failure {
  const error = RetryError.isInstance(thrown) ? thrown.lastError : thrown;
  if (!APICallError.isInstance(error)) {
    // Responses events carry the error inside.
    const { error: inner, code, message } = error as { error?: Sent; code?: string; message?: string };
    return {
      type: (error as object).constructor.name,
      status: null,
      code: code ?? inner?.code ?? null,
      message: message ?? inner?.message ?? String(error),
      header: () => null,
    };
  }
  // An error in a stream that has shown nothing yet is raised as if the call had been refused with that object.
  const data = error.data as { error?: Sent; code?: string } | undefined;
  return {
    type: error.name,
    status: error.statusCode ?? null,
    code: data?.error?.code ?? data?.code ?? null,
    message: error.message,
    header: (name) => error.responseHeaders?.[name] ?? null,
  };
}

interface Sent {
  readonly code?: string;
  readonly message?: string;
}

function optionsOf(model: LanguageModel, ask: Ask, outcome: Outcome) {
  const lookup = tool({
    description: LOOKUP.description,
    inputSchema: jsonSchema(LOOKUP.parameters),
    execute: (input: unknown) => runLookup(outcome, input),
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
  outcome.shown.push(
    ...result.steps.map(({ content, response, providerMetadata }) => [content, response, providerMetadata]),
  );
}

async function streamed(model: LanguageModel, ask: Ask, outcome: Outcome): Promise<void> {
  const result = streamText({ ...optionsOf(model, ask, outcome), includeRawChunks: true, onError: () => {} });
  for await (const part of result.fullStream) {
    // A step's start repeats what the application sent.
    if (part.type !== 'start-step') outcome.shown.push(part);
    if (part.type === 'text-delta') addText(outcome, ask, part.text);
    else if (part.type === 'tool-input-delta') outcome.toolText += part.delta;
    else if (part.type === 'finish') outcome.totalTokens = part.totalUsage.totalTokens ?? null;
    else if (part.type === 'error') outcome.failure ??= failureOf(part.error);
  }
}
