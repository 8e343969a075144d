/** LangChain's chat model, over chat completions or over responses. Tools are run by the application. */
import {
  type AIMessage,
  type AIMessageChunk,
  type BaseMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
} from '@langchain/core/messages';
import { concat } from '@langchain/core/utils/stream';
import { ChatOpenAI } from '@langchain/openai';
import { OPENAI_TROUBLES, openaiFailure } from './openaiErrors.ts';
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

export function langchainSdk(options: Pick<Sdk, 'name' | 'format' | 'refusal'> & Partial<Sdk>): Sdk {
  return {
    manyChoices: false,
    showsToolCalls: true,
    obeysShouldRetry: false,
    tries: 2,
    triesBecause: 'one retry asked for: its waits start at a second and cannot be shortened',
    troubles: OPENAI_TROUBLES,
    ...options,
    call: async (ask) => {
      const outcome = newOutcome();
      await converse(ask, outcome, options.format === 'responses').catch((error: unknown) => {
        outcome.failure = openaiFailure(error);
      });
      return outcome;
    },
  };
}

async function converse(ask: Ask, outcome: Outcome, useResponsesApi: boolean): Promise<void> {
  const chat = new ChatOpenAI({
    model: MODEL,
    apiKey: ask.key,
    configuration: { baseURL: `${ask.origin}/v1` },
    useResponsesApi,
    maxRetries: ask.retries ?? 1,
  });
  const lookup = {
    type: 'function' as const,
    function: { name: LOOKUP.name, description: LOOKUP.description, parameters: parametersOf() },
  };
  const model = ask.tool === undefined ? chat : chat.bindTools([lookup]);
  const act = ask.stream ? streamed : whole;
  const messages: BaseMessage[] = [new SystemMessage(ask.system), new HumanMessage(ask.user)];
  const answer = await act(model, ask, messages, outcome);
  const calls = answer?.tool_calls ?? [];
  if (ask.tool !== 'run' || answer === null || calls.length === 0) return;
  const results = calls.map(
    ({ id, args }) => new ToolMessage({ tool_call_id: id ?? '', content: runLookup(outcome, args) }),
  );
  await act(model, ask, [...messages, answer, ...results], outcome);
}

type Model = Pick<ChatOpenAI, 'invoke' | 'stream'> | ReturnType<ChatOpenAI['bindTools']>;

async function whole(model: Model, ask: Ask, messages: BaseMessage[], outcome: Outcome): Promise<AIMessage> {
  const answer = (await model.invoke(messages, signalOf(ask))) as AIMessage;
  outcome.shown.push(answer.toDict());
  outcome.texts[0] = answer.text;
  outcome.refusal = refusalOf(answer);
  outcome.toolText = (answer.tool_calls ?? []).map(({ args }) => JSON.stringify(args)).join('');
  outcome.totalTokens = totalOf(answer.usage_metadata);
  return answer;
}

async function streamed(
  model: Model,
  ask: Ask,
  messages: BaseMessage[],
  outcome: Outcome,
): Promise<AIMessageChunk | null> {
  let all: AIMessageChunk | null = null;
  for await (const part of await model.stream(messages, signalOf(ask))) {
    const chunk = part as AIMessageChunk;
    outcome.shown.push(chunk.toDict());
    addText(outcome, ask, chunk.text);
    outcome.refusal += refusalOf(chunk);
    outcome.toolText += (chunk.tool_call_chunks ?? []).map(({ args }) => args ?? '').join('');
    all = all === null ? chunk : concat(all, chunk);
  }
  outcome.totalTokens = totalOf(all?.usage_metadata);
  return all;
}

function refusalOf({ additional_kwargs }: AIMessage | AIMessageChunk): string {
  return typeof additional_kwargs.refusal === 'string' ? additional_kwargs.refusal : '';
}

/** The package's type of it is `never` for messages without a structure of their own. */
function totalOf(usage: unknown): number | null {
  return (usage as { total_tokens?: number } | undefined)?.total_tokens ?? null;
}
