/** Messages of the Anthropic SDK. Tools are run by the application. */
import Anthropic from '@anthropic-ai/sdk';
import {
  type Ask,
  addText,
  type Failure,
  LOOKUP,
  MODEL,
  newOutcome,
  type Outcome,
  parametersOf,
  runLookup,
  type Sdk,
  signalOf,
} from './sdk.ts';

export const anthropicSdk: Sdk = {
  name: '@anthropic-ai/sdk',
  format: 'messages',
  manyChoices: false,
  showsToolCalls: true,
  obeysShouldRetry: true,
  tries: 3,
  troubles: {
    blocked: { sees: { type: 'BadRequestError', status: 400, code: 'content_filter' } },
    unauthorized: { sees: { type: 'AuthenticationError', status: 401, code: 'invalid_api_key' } },
    notFound: { sees: { type: 'NotFoundError', status: 404 } },
    tooLarge: { sees: { type: 'ContentTooLargeError', status: 413, code: 'request_too_large' } },
    rateLimited: { sees: { type: 'RateLimitError', status: 429 } },
    serverError: { sees: { type: 'InternalServerError', status: 500 } },
    badUpstream: { sees: { type: 'InternalServerError', status: 502, code: 'bad_upstream' } },
    leakMidStream: { sees: { type: 'APIError', code: 'content_filter' } },
    toolRunStopped: { sees: { type: 'APIError', code: 'content_filter' } },
    brokenMidStream: { sees: { type: 'APIError', code: 'upstream_error' } },
  },
  refusal: { shownAs: 'refusal' },
  call: async (ask) => {
    const outcome = newOutcome();
    const maxRetries = ask.retries === undefined ? {} : { maxRetries: ask.retries };
    const client = new Anthropic({ baseURL: ask.origin, apiKey: ask.key, ...maxRetries });
    await converse(client, ask, outcome).catch((error: unknown) => {
      outcome.failure = anthropicFailure(error);
    });
    return outcome;
  },
};

/** The gateway's code is beside the type and message of the error object. */
export function anthropicFailure(error: unknown): Failure {
  const { status, message, headers, error: body } = error as Partial<InstanceType<typeof Anthropic.APIError>>;
  const sent = (body as { error?: { code?: string } } | undefined)?.error;
  return {
    type: (error as object).constructor.name,
    status: status ?? null,
    code: sent?.code ?? null,
    message: message ?? '',
    header: (name) => headers?.get(name) ?? null,
  };
}

async function converse(client: Anthropic, ask: Ask, outcome: Outcome): Promise<void> {
  const act = ask.stream ? streamed : whole;
  const messages: Anthropic.MessageParam[] = [{ role: 'user', content: ask.user }];
  const { content } = await act(client, ask, messages, outcome);
  const calls = content.filter((block) => block.type === 'tool_use');
  if (ask.tool !== 'run' || calls.length === 0) return;
  const results = calls.map(({ id, input }) => ({
    type: 'tool_result' as const,
    tool_use_id: id,
    content: runLookup(outcome, input),
  }));
  await act(client, ask, [...messages, { role: 'assistant', content }, { role: 'user', content: results }], outcome);
}

function bodyOf({ system, tool }: Ask, messages: Anthropic.MessageParam[]) {
  const lookup = { name: LOOKUP.name, description: LOOKUP.description, input_schema: parametersOf() };
  return { model: MODEL, max_tokens: 100, system, messages, ...(tool !== undefined && { tools: [lookup] }) };
}

async function whole(
  client: Anthropic,
  ask: Ask,
  messages: Anthropic.MessageParam[],
  outcome: Outcome,
): Promise<Anthropic.Message> {
  const message = await client.messages.create(bodyOf(ask, messages), signalOf(ask));
  outcome.shown.push(message);
  outcome.totalTokens = message.usage.input_tokens + message.usage.output_tokens;
  const texts = message.content.flatMap((block) => (block.type === 'text' ? [block.text] : []));
  if (message.stop_reason === 'refusal') outcome.refusal = texts.join('');
  else if (texts.length > 0) outcome.texts[0] = texts.join('');
  for (const block of message.content) if (block.type === 'tool_use') outcome.toolText += JSON.stringify(block.input);
  return message;
}

async function streamed(
  client: Anthropic,
  ask: Ask,
  messages: Anthropic.MessageParam[],
  outcome: Outcome,
): Promise<Anthropic.Message> {
  const stream = client.messages.stream(bodyOf(ask, messages), signalOf(ask));
  for await (const event of stream) {
    outcome.shown.push(event);
    if (event.type === 'message_delta' && event.delta.stop_reason === 'refusal') {
      outcome.refusal = outcome.texts.splice(0).join('');
    }
    if (event.type !== 'content_block_delta') continue;
    if (event.delta.type === 'text_delta') addText(outcome, ask, event.delta.text);
    else if (event.delta.type === 'input_json_delta') outcome.toolText += event.delta.partial_json;
  }
  const message = await stream.finalMessage();
  outcome.totalTokens = message.usage.input_tokens + message.usage.output_tokens;
  return message;
}
