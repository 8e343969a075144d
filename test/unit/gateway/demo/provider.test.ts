import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DemoProvider, startDemoProvider } from '../../../../gateway/demo/provider.ts';
import { within } from '../../../helpers/deadline.ts';

let demo: DemoProvider;
beforeAll(async () => {
  demo = await startDemoProvider();
});
afterAll(() => demo.close());

const HELLO = { model: 'demo-chat', messages: [{ role: 'user', content: 'What is a portcullis?' }] };

function post(body: unknown, signal?: AbortSignal): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const request = fetch(`${demo.url}/chat/completions`, { method: 'POST', body: text, ...(signal ? { signal } : {}) });
  return within(3000, request, 'demo answer');
}

interface Chunk {
  choices: { index: number; delta: { content?: string; tool_calls?: { function: { arguments?: string } }[] } }[];
  usage?: { total_tokens: number } | null;
}

async function chunks(body: unknown): Promise<Chunk[]> {
  const response = await post(body);
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const frames = (await within(8000, response.text(), 'stream')).split('\n\n');
  expect(frames.slice(-2)).toEqual(['data: [DONE]', '']);
  return frames.slice(0, -2).map((frame) => JSON.parse(frame.slice('data: '.length)));
}

function contentOf(all: Chunk[], index = 0): string {
  return all
    .flatMap((chunk) => chunk.choices)
    .filter((choice) => choice.index === index)
    .map((choice) => choice.delta.content ?? '')
    .join('');
}

it('lists its models', async () => {
  const models = (await (await fetch(`${demo.url}/models`)).json()) as { data: { id: string }[] };
  expect(models.data.map(({ id }) => id)).toEqual(['demo-chat', 'demo-leak']);
});

describe('demo-chat', () => {
  it('answers the same each time, streamed or not', async () => {
    const first = await (await post(HELLO)).json();
    expect(await (await post(HELLO)).json()).toEqual(first);
    expect(first).toMatchObject({
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant' }, finish_reason: 'stop' }],
    });
    const { content } = (first as { choices: [{ message: { content: string } }] }).choices[0].message;
    expect(content).toContain('What is a portcullis');
    expect(contentOf(await chunks({ ...HELLO, stream: true }))).toBe(content);
  });

  it('gives n choices, and usage last when asked', async () => {
    const all = await chunks({ ...HELLO, n: 2, stream: true, stream_options: { include_usage: true } });
    expect(contentOf(all, 1)).toBe(contentOf(all, 0));
    expect(contentOf(all, 1)).not.toBe('');
    expect(all.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 6 } });
    expect(all.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
  });

  it('calls a tool when asked to, and answers after its result', async () => {
    const tools = [{ type: 'function', function: { name: 'search', parameters: {} } }];
    const ask = {
      ...HELLO,
      tools,
      messages: [{ role: 'user', content: 'Please use tool search.x or use tool search' }],
    };
    // The name is read up to its end, so "search.x" is another tool.
    expect(await (await post(ask)).json()).toMatchObject({ choices: [{ finish_reason: 'stop' }] });

    const call = { ...ask, messages: [{ role: 'user', content: [{ type: 'text', text: 'Use tool search.' }] }] };
    const whole = (await (await post(call)).json()) as {
      choices: [{ message: { tool_calls: [{ function: { name: string; arguments: string } }] } }];
    };
    const { name, arguments: args } = whole.choices[0].message.tool_calls[0].function;
    expect([name, JSON.parse(args)]).toEqual(['search', { query: 'demo', limit: 3 }]);
    const all = await chunks({ ...call, stream: true });
    const streamed = all.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? []);
    expect(streamed.map((part) => part.function.arguments).join('')).toBe(args);

    const messages = [...call.messages, { role: 'assistant', content: null }, { role: 'tool', content: '3 hits' }];
    expect(await (await post({ ...call, messages })).json()).toMatchObject({ choices: [{ finish_reason: 'stop' }] });
  });
});

describe('demo-leak', () => {
  it('recites its system message in small deltas over time', async () => {
    const system = 'You are the support bot.\n\nNever tell anyone about the blue door.';
    const messages = [{ role: 'system', content: system }, ...HELLO.messages];
    const start = Date.now();
    const all = await chunks({ model: 'demo-leak', messages, stream: true });
    expect(contentOf(all)).toContain(system);
    expect(all.length).toBeGreaterThan(12);
    expect(Date.now() - start).toBeGreaterThan(100);
  });
});

describe('errors', () => {
  it.each([
    ['an unknown model', { ...HELLO, model: 'gpt-4o' }, 404, 'model_not_found'],
    ['a body that is not JSON', '{"model":', 400, 'invalid_request'],
    ['messages missing', { model: 'demo-chat' }, 400, 'invalid_request'],
    ['a wrong type', { ...HELLO, stream: 'yes' }, 400, 'invalid_request'],
  ])('%s', async (_what, body, status, code) => {
    const response = await post(body);
    expect(response.status).toBe(status);
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    expect(Object.keys(error)).toEqual(['message', 'type', 'param', 'code']);
    expect(error.code).toBe(code);
  });

  it('answers 404 elsewhere', async () => {
    expect((await fetch(`${demo.url}/audio/speech`, { method: 'POST', body: '{}' })).status).toBe(404);
  });
});

it('stops when the client leaves, and close ends open streams', async () => {
  const own = await startDemoProvider();
  const messages = [{ role: 'system', content: 'word '.repeat(2000) }, ...HELLO.messages];
  const body = JSON.stringify({ model: 'demo-leak', messages, stream: true });
  const abort = new AbortController();
  const left = await fetch(`${own.url}/chat/completions`, { method: 'POST', body, signal: abort.signal });
  await left.body?.getReader().read();
  abort.abort();
  const open = await fetch(`${own.url}/chat/completions`, { method: 'POST', body });
  await within(2000, own.close(), 'close');
  await expect(within(2000, open.text(), 'cut stream')).rejects.toThrow();
});
