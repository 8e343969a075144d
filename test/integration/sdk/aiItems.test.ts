/** Conversations of the ai package over responses: later turns refer to stored items by id instead of repeating them. */
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, type ModelMessage, stepCountIs, streamText, tool } from 'ai';
import { describe, expect, it } from 'vitest';
import {
  answerWith,
  functionCallItem,
  type MockHandler,
  reasoningItem,
  responseEvents,
  responseObject,
} from '../../helpers/mockUpstream.ts';
import { failureOf } from './aiClient.ts';
import { Bench, canaryOf, LEAD, SYSTEM, TEXT, USER } from './bench.ts';
import { LOOKUP, MODEL } from './sdk.ts';

const bench = new Bench();

const model = () => createOpenAI({ baseURL: `${bench.gateway.url}/v1`, apiKey: bench.gateway.key })(MODEL);
const lookup = tool({ inputSchema: jsonSchema(LOOKUP.parameters), execute: () => LOOKUP.result });
const REASONED_CALL: MockHandler = ({ ordinal, wantsStream }) => {
  const output = [
    reasoningItem(['The shelf has to be looked up.'], { id: `rs_mock_${ordinal}` }),
    functionCallItem(LOOKUP.name, '{"title":"Atlas","limit":1}', ordinal),
  ];
  const id = `resp_mock_${ordinal}`;
  return wantsStream
    ? { stream: { events: responseEvents(output, 5, { id }), named: true } }
    : { json: responseObject({ id, output }) };
};

/** Ids that the latest request refers to. */
function references(): string[] {
  const { input } = bench.mock.last.json as { input: { type?: string; id?: string }[] };
  return input.flatMap(({ type, id }) => (type === 'item_reference' && id !== undefined ? [id] : []));
}

const options = () => ({
  model: model(),
  system: SYSTEM,
  prompt: USER,
  tools: { [LOOKUP.name]: lookup },
  stopWhen: stepCountIs(3),
});

describe('ai 6 with @ai-sdk/openai', () => {
  it('refers to its reasoning in the second step', async () => {
    bench.mock.next(REASONED_CALL);
    bench.mock.fallback(answerWith(TEXT));

    const { text, steps } = await generateText(options());

    expect(text).toBe(TEXT);
    expect(steps).toHaveLength(2);
    const first = bench.mock.requests[0]?.ordinal;
    expect(references()).toEqual([`rs_mock_${first}`]);
  });

  it('refers to reasoning that was streamed', async () => {
    bench.mock.next(REASONED_CALL);
    bench.mock.fallback(answerWith(TEXT));

    expect(await streamText(options()).text).toBe(TEXT);
    const first = bench.mock.requests[0]?.ordinal;
    expect(references()).toEqual([`rs_mock_${first}`]);
  });

  it('refers to an earlier answer in the next turn', async () => {
    bench.mock.fallback(answerWith(TEXT));
    const asked: ModelMessage = { role: 'user', content: USER };
    const { response } = await generateText({ model: model(), system: SYSTEM, messages: [asked] });
    const first = bench.mock.last.ordinal;

    const messages = [asked, ...response.messages, { role: 'user' as const, content: 'And the second one?' }];
    const { text } = await generateText({ model: model(), system: SYSTEM, messages });

    expect(text).toBe(TEXT);
    expect(references()).toEqual([`msg_mock_${first}`]);
  });

  it('raises a leak in the second step', async () => {
    bench.mock.next(REASONED_CALL);
    bench.mock.fallback((request) => answerWith(LEAD + canaryOf(request))(request));

    const failure = await generateText(options()).catch(failureOf);

    expect(failure).toMatchObject({ type: 'AI_APICallError', status: 400, code: 'content_filter' });
    expect(bench.mock.requests).toHaveLength(2);
  });

  it('finds no item that the gateway has not seen, and nothing reaches the provider', async () => {
    const unknown: ModelMessage = {
      role: 'assistant',
      content: [{ type: 'text', text: TEXT, providerOptions: { openai: { itemId: 'msg_unknown' } } }],
    };
    const messages = [{ role: 'user' as const, content: USER }, unknown, { role: 'user' as const, content: USER }];

    const failure = await generateText({ model: model(), messages }).catch(failureOf);

    expect(failure).toMatchObject({ type: 'AI_APICallError', status: 404 });
    expect(bench.mock.requests).toHaveLength(0);
  });
});
