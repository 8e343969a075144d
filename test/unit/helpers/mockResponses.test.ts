/** What the mock's Responses answers are to the real SDK. */
import OpenAI from 'openai';
import type { ResponseInput, ResponseStreamEvent } from 'openai/resources/responses/responses';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import {
  answerWith,
  customCallItem,
  functionCallItem,
  leakWith,
  MockUpstream,
  messageItem,
  type ResponseItem,
  reasoningItem,
  refusalItem,
  responseEvents,
  responseObject,
  textItem,
} from '../../helpers/mockUpstream.ts';

let mock: MockUpstream;
let client: OpenAI;
beforeAll(async () => {
  mock = await MockUpstream.start();
  client = new OpenAI({ baseURL: mock.url, apiKey: 'key-of-a-test', maxRetries: 0, timeout: 5000 });
});
afterEach(() => {
  mock.fallback(answerWith('Hello from the mock.'));
  mock.clear();
});
afterAll(() => mock.close());

const ASK = { model: 'm', instructions: 'Be kind.', input: 'Hi' } as const;
const CITATION = { type: 'url_citation', url: 'https://example.test/a', title: 'A', start_index: 0, end_index: 4 };

const ITEMS: Record<string, ResponseItem[]> = {
  'text with annotations and log-probabilities': [
    textItem('Grüße, 漢字 und 👋🏽!', { annotations: [CITATION, CITATION], logprobs: true }),
  ],
  'two messages': [textItem('first'), textItem('second', { id: 'msg_mock_1' })],
  'a refusal': [refusalItem('I can’t help with that.')],
  'text and a refusal in one message': [
    messageItem([
      { type: 'output_text', annotations: [], logprobs: [], text: 'Well,' },
      { type: 'refusal', refusal: 'no.' },
    ]),
  ],
  'reasoning before text': [
    reasoningItem(['**Plan**\n\nThink.', 'Then say it.'], { encrypted: 'gAAAAA' }),
    textItem('Said.', { id: 'msg_mock_1' }),
  ],
  'raw reasoning': [reasoningItem([], { content: ['Let me see.'] })],
  'parallel function calls': [
    functionCallItem('search', '{"query":"naïve \\"quotes\\"","limit":3}'),
    functionCallItem('now', '{}', 1),
  ],
  'a custom tool call': [customCallItem('run', "print('hi')\n")],
  'a web search': [
    {
      id: 'ws_mock_0',
      type: 'web_search_call',
      status: 'completed',
      action: { type: 'search', query: 'portcullis', queries: ['portcullis'], sources: null },
    },
    textItem('Found.', { id: 'msg_mock_1' }),
  ],
};

async function eventsOf(reply: { events: string[] }): Promise<ResponseStreamEvent[]> {
  mock.reply({ stream: { ...reply, named: true } });
  const events: ResponseStreamEvent[] = [];
  for await (const event of await client.responses.create({ ...ASK, stream: true })) events.push(event);
  return events;
}

describe.each(Object.entries(ITEMS))('%s', (_name, output) => {
  it('is read whole', async () => {
    mock.reply({ json: responseObject({ output }) });
    const answer = await client.responses.create(ASK);
    expect(answer.output).toEqual(output);
  });

  it.each([1, 5, 1000])('is put together from deltas of %i by the stream helper', async (size) => {
    const events = responseEvents(output, size);
    // Without the last event the helper has only what items, parts and deltas have built.
    for (const sent of [events, events.slice(0, -1)]) {
      mock.reply({ stream: { events: sent, named: true } });
      const final = await within(5000, client.responses.stream(ASK).finalResponse(), 'final response');
      // The helper adds a `parsed` of its own to text and calls.
      expect(final.output).toMatchObject(output);
      expect(final.status).toBe(sent === events ? 'completed' : 'in_progress');
    }
  });

  it('has numbered events and deltas that add up to what `done` says', async () => {
    const events = await eventsOf({ events: responseEvents(output, 3) });
    expect(events.map((event) => (event as { sequence_number: number }).sequence_number)).toEqual(
      events.map((_, i) => i),
    );
    const sums = new Map<string, string>();
    for (const event of events as unknown as Record<string, unknown>[]) {
      const { type, item_id, content_index, summary_index } = event as Record<string, string>;
      const key = `${type?.replace(/\.(delta|done)$/, '')} ${item_id} ${content_index ?? summary_index}`;
      if (type?.endsWith('.delta')) sums.set(key, (sums.get(key) ?? '') + String(event.delta));
      else if (sums.has(key)) {
        expect(event.text ?? event.refusal ?? event.arguments ?? event.input).toBe(sums.get(key));
        sums.delete(key);
      }
    }
    expect(sums.size).toBe(0);
  });
});

it('an incomplete answer ends with its reason', async () => {
  const fields = { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } } as const;
  const events = await eventsOf({ events: responseEvents(['Half a'], 3, fields) });
  expect(events[0]).toMatchObject({ type: 'response.created', response: { incomplete_details: null } });
  expect(events.at(-1)).toMatchObject({ type: 'response.incomplete', response: fields });
});

describe('the default answer', () => {
  it('repeats the instructions wherever the provider does', async () => {
    const whole = await client.responses.create(ASK);
    expect([whole.instructions, whole.output_text]).toEqual(['Be kind.', 'Hello from the mock.']);
    const echoes: unknown[] = [];
    for await (const event of await client.responses.create({ ...ASK, stream: true })) {
      if ('response' in event) echoes.push([event.type, event.response.instructions]);
    }
    const types = ['response.created', 'response.in_progress', 'response.completed'];
    expect(echoes).toEqual(types.map((type) => [type, 'Be kind.']));
  });

  it('has ids of its own each time', async () => {
    const ids = [await client.responses.create(ASK), await client.responses.create(ASK)].flatMap((answer) => [
      answer.id,
      answer.output[0]?.id,
    ]);
    expect(new Set(ids).size).toBe(4);
    expect(ids[0]).toMatch(/^resp_mock_\d+$/);
    expect(ids[1]).toMatch(/^msg_mock_\d+$/);
  });

  it('leaks instructions and system items', async () => {
    mock.fallback(leakWith((text) => text.toUpperCase()));
    const input: ResponseInput = [
      { role: 'system', content: 'One.' },
      { role: 'developer', content: [{ type: 'input_text', text: 'Two.' }] },
      { role: 'user', content: 'Hi' },
    ];
    const answer = await client.responses.stream({ model: 'm', instructions: 'Zero.', input }).finalResponse();
    expect(answer.output_text).toBe('ZERO.\nONE.\nTWO.');
    expect(mock.last.messages.map(({ role }) => role)).toEqual(['system', 'developer', 'user']);
  });
});

describe('stored responses', () => {
  it('are given back whole and as a stream, with a place to start', async () => {
    const made = await client.responses.create(ASK);
    expect(await client.responses.retrieve(made.id)).toEqual(made);
    const replayed: number[] = [];
    for await (const event of await client.responses.retrieve(made.id, { stream: true, starting_after: 3 })) {
      replayed.push((event as { sequence_number: number }).sequence_number);
    }
    expect([replayed[0], mock.last.query]).toEqual([4, 'stream=true&starting_after=3']);

    const streamed = await client.responses.stream(ASK).finalResponse();
    expect((await client.responses.retrieve(streamed.id)).output_text).toBe('Hello from the mock.');
  });

  it('list their input items page by page', async () => {
    const input = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello.' },
      { type: 'function_call_output', call_id: 'call_1', output: '3' },
    ] as const;
    const { id } = await client.responses.create({ ...ASK, input: [...input] });
    const listed: unknown[] = [];
    for await (const item of client.responses.inputItems.list(id, { order: 'asc', limit: 2 })) listed.push(item);
    expect(listed).toMatchObject([
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hi' }] },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hello.' }] },
      input[2],
    ]);
    const newest = await client.responses.inputItems.list(id, { limit: 1 });
    expect(newest.data).toMatchObject([input[2]]);
  });

  it('are cancelled with an empty body, and gone once deleted', async () => {
    const { id } = await client.responses.create({ ...ASK, background: true });
    expect((await client.responses.cancel(id)).status).toBe('cancelled');
    expect([mock.last.method, mock.last.rawBody.length]).toEqual(['POST', 0]);
    expect((await client.responses.retrieve(id)).status).toBe('cancelled');
    await client.responses.delete(id);
    await expect(client.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
  });

  it('are not kept with store: false, and a queued answer is kept', async () => {
    const { id } = await client.responses.create({ ...ASK, store: false });
    await expect(client.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
    mock.reply({ json: responseObject({ id: 'resp_mine', output: ['mine'] }) });
    await client.responses.create(ASK);
    expect((await client.responses.retrieve('resp_mine')).output_text).toBe('mine');
  });
});
