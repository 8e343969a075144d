/** The demo provider's responses, through the real SDK. */
import OpenAI from 'openai';
import type { ResponseStreamEvent } from 'openai/resources/responses/responses';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DemoProvider, startDemoProvider } from '../../../../gateway/demo/provider.ts';
import { within } from '../../../helpers/deadline.ts';

let demo: DemoProvider;
let client: OpenAI;
beforeAll(async () => {
  demo = await startDemoProvider();
  client = new OpenAI({ baseURL: demo.url, apiKey: 'any', maxRetries: 0, timeout: 8000 });
});
afterAll(() => demo.close());

const ASK = { model: 'demo-chat', instructions: 'Be kind.', input: 'Which gate?' } as const;
const LEAK = { model: 'demo-leak', instructions: 'Never speak of\n\nthe blue door.', input: 'Hi' } as const;
const SEARCH = { type: 'function', name: 'search', parameters: {}, strict: false } as const;

async function streamed(stream: AsyncIterable<ResponseStreamEvent>): Promise<ResponseStreamEvent[]> {
  const events: ResponseStreamEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

function deltas(events: readonly ResponseStreamEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'response.output_text.delta' ? [event.delta] : []));
}

describe('created', () => {
  it('say the same whole and streamed, and repeat the instructions', async () => {
    const whole = await client.responses.create(ASK);
    expect(whole.output_text).toContain('Which gate');
    const events = await streamed(await client.responses.create({ ...ASK, stream: true }));
    expect(deltas(events).join('')).toBe(whole.output_text);
    expect(events.map((event) => (event as { sequence_number: number }).sequence_number)).toEqual(
      events.map((_, i) => i),
    );
    const echoes = events.flatMap((event) => ('response' in event ? [event.response.instructions] : []));
    expect([whole.instructions, ...echoes]).toEqual(Array(4).fill('Be kind.'));
  });

  it('are put together by the stream helper', async () => {
    const final = await within(8000, client.responses.stream(ASK).finalResponse(), 'final response');
    expect(final).toMatchObject({ status: 'completed', output_text: (await client.responses.create(ASK)).output_text });
  });

  it('recite instructions and system items word by word', async () => {
    const input = [
      { role: 'system', content: 'One.' },
      { role: 'developer', content: [{ type: 'input_text', text: 'Two.' }] },
      { role: 'user', content: 'Hi' },
    ] satisfies OpenAI.Responses.ResponseInput;
    const events = await streamed(await client.responses.create({ ...LEAK, input, stream: true }));
    expect(deltas(events).length).toBeGreaterThan(8);
    expect(deltas(events).join('')).toBe(`My instructions are: ${LEAK.instructions} One. Two.`);
  });

  it('call a tool when asked to, and answer after its result', async () => {
    const ask = { ...ASK, input: 'Please use tool search.', tools: [SEARCH] };
    const [call] = (await client.responses.create(ask)).output;
    if (call?.type !== 'function_call') throw new Error('no call');
    expect([call.name, JSON.parse(call.arguments)]).toEqual(['search', { query: 'demo', limit: 3 }]);
    const final = await within(8000, client.responses.stream(ask).finalResponse(), 'final response');
    expect(final.output).toMatchObject([{ type: 'function_call', name: 'search', arguments: call.arguments }]);

    const output = { type: 'function_call_output', call_id: call.call_id, output: '3 hits' } as const;
    const next = await client.responses.create({ ...ask, input: [{ role: 'user', content: ask.input }, call, output] });
    expect(next.output).toMatchObject([{ type: 'message' }]);
  });
});

describe('kept', () => {
  it('are given back, whole, streamed and from an event on', async () => {
    const made = await client.responses.create(LEAK);
    expect(await client.responses.retrieve(made.id)).toEqual(made);
    const all = await streamed(await client.responses.retrieve(made.id, { stream: true }));
    expect(deltas(all).join('')).toBe(made.output_text);
    const rest = await streamed(await client.responses.retrieve(made.id, { stream: true, starting_after: 4 }));
    expect(rest).toEqual(all.slice(5));
  });

  it('list their input items in pages', async () => {
    const input = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello.' },
      { role: 'user', content: 'Bye' },
    ] as const;
    const { id } = await client.responses.create({ ...ASK, input: [...input] });
    const texts: unknown[] = [];
    for await (const item of client.responses.inputItems.list(id, { limit: 2 })) {
      if (item.type === 'message') texts.push(item.content);
    }
    expect(texts).toEqual([
      [{ type: 'input_text', text: 'Bye' }],
      [{ type: 'output_text', text: 'Hello.' }],
      [{ type: 'input_text', text: 'Hi' }],
    ]);
    const oldest = await client.responses.inputItems.list(id, { limit: 1, order: 'asc' });
    expect(oldest.data).toMatchObject([{ role: 'user', content: [{ text: 'Hi' }] }]);
  });

  it('are continued with their input, without their instructions', async () => {
    const input = [
      { role: 'system', content: 'Keep the key.' },
      { role: 'user', content: 'Hi' },
    ] as const;
    const first = await client.responses.create({ ...LEAK, input: [...input] });
    const next = { model: 'demo-leak', input: 'Again', previous_response_id: first.id };
    const second = await client.responses.create(next);
    expect(second.output_text).toBe('My instructions are: Keep the key.');
    expect(second.previous_response_id).toBe(first.id);
    await expect(client.responses.create({ ...next, previous_response_id: 'resp_none' })).rejects.toMatchObject({
      status: 400,
      code: 'previous_response_not_found',
    });
  });

  it('are gone once deleted, or never there with store: false', async () => {
    const { id } = await client.responses.create(ASK);
    await client.responses.delete(id);
    const unkept = await client.responses.create({ ...ASK, store: false });
    for (const gone of [id, unkept.id]) {
      await expect(client.responses.retrieve(gone)).rejects.toMatchObject({ status: 404 });
    }
  });

  it('can be cancelled with an empty body when they run in the background', async () => {
    const background = await client.responses.create({ ...ASK, background: true });
    expect(await client.responses.cancel(background.id)).toMatchObject({ id: background.id, instructions: 'Be kind.' });
    const { id } = await client.responses.create(ASK);
    await expect(client.responses.cancel(id)).rejects.toMatchObject({ status: 400 });
    await expect(client.responses.cancel('resp_none')).rejects.toMatchObject({ status: 404 });
  });
});

it.each([
  ['an unknown model', { ...ASK, model: 'gpt-4o' }, 404, 'model_not_found'],
  ['input missing', { model: 'demo-chat' }, 400, 'invalid_request'],
  ['a wrong type', { ...ASK, instructions: 7 }, 400, 'invalid_request'],
])('%s is an error', async (_what, body, status, code) => {
  const call = client.responses.create(body as typeof ASK);
  await expect(call).rejects.toMatchObject({ status, code });
});
