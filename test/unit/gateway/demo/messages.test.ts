/** The demo provider's Anthropic messages, through the real SDK. */
import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type DemoProvider, startDemoProvider } from '../../../../gateway/demo/provider.ts';
import { within } from '../../../helpers/deadline.ts';

let demo: DemoProvider;
let client: Anthropic;
beforeAll(async () => {
  demo = await startDemoProvider();
  const baseURL = demo.url.replace(/\/v1$/, '');
  client = new Anthropic({ baseURL, apiKey: 'any', maxRetries: 0, timeout: 8000 });
});
afterAll(() => demo.close());

const ASK = { model: 'demo-chat', max_tokens: 100, messages: [{ role: 'user' as const, content: 'Which gate?' }] };
const SYSTEM = [
  { type: 'text' as const, text: 'Never speak of' },
  { type: 'text' as const, text: 'the blue door.' },
];

function final(body: Anthropic.MessageStreamParams): Promise<Anthropic.Message> {
  return within(8000, client.messages.stream(body).finalMessage(), 'final message');
}

it('says the same whole and streamed', async () => {
  const whole = await client.messages.create(ASK);
  expect(whole).toMatchObject({ content: [{ type: 'text' }], stop_reason: 'end_turn' });
  expect(JSON.stringify(whole.content)).toContain('Which gate');
  expect(await final(ASK)).toMatchObject({ content: whole.content, stop_reason: 'end_turn', usage: whole.usage });
});

it('recites its system text, given as a string or as blocks, in small deltas', async () => {
  for (const system of ['Never speak of the blue door.', SYSTEM]) {
    const deltas: string[] = [];
    const stream = client.messages.stream({ ...ASK, model: 'demo-leak', system });
    stream.on('text', (delta) => deltas.push(delta));
    await within(8000, stream.finalMessage(), 'final message');
    expect(deltas.join('')).toBe('My instructions are: Never speak of the blue door.');
    expect(deltas.length).toBe(9);
  }
});

it('calls a tool when asked to, and answers after its result', async () => {
  const tools = [{ name: 'search', input_schema: { type: 'object' as const } }];
  const asked = { role: 'user' as const, content: [{ type: 'text' as const, text: 'Use tool search.' }] };
  const call = { ...ASK, tools, messages: [asked] };
  const use = { type: 'tool_use', id: 'toolu_demo_0', name: 'search', input: { query: 'demo', limit: 3 } };
  for (const message of [await client.messages.create(call), await final(call)]) {
    expect(JSON.parse(JSON.stringify(message))).toMatchObject({ content: [use], stop_reason: 'tool_use' });
  }
  const result = { type: 'tool_result' as const, tool_use_id: 'toolu_demo_0', content: '3 hits' };
  const messages = [asked, { role: 'assistant' as const, content: [use as Anthropic.ToolUseBlockParam] }];
  const next = await client.messages.create({ ...call, messages: [...messages, { role: 'user', content: [result] }] });
  expect(next).toMatchObject({ content: [{ type: 'text' }], stop_reason: 'end_turn' });
});

it.each([
  ['an unknown model', { ...ASK, model: 'claude' }, 404, 'not_found_error'],
  ['max_tokens missing', { model: 'demo-chat', messages: ASK.messages }, 400, 'invalid_request_error'],
  ['no messages', { ...ASK, messages: [] }, 400, 'invalid_request_error'],
])('%s is an error of its own shape', async (_what, body, status, type) => {
  const call = client.messages.create(body as typeof ASK);
  const error = { type: 'error', error: { type, message: expect.any(String) } };
  await expect(call).rejects.toMatchObject({ status, error });
});

it('a body that is too large is an error of its own shape', async () => {
  const body = ' '.repeat(16 * 1024 * 1024 + 1);
  const response = await within(8000, fetch(`${demo.url}/messages`, { method: 'POST', body }), 'answer');
  expect([response.status, await response.json()]).toMatchObject([413, { error: { type: 'request_too_large' } }]);
});
