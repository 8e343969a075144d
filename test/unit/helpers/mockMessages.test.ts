/** What the mock's Anthropic answers are to the real SDK. */
import Anthropic from '@anthropic-ai/sdk';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { within } from '../../helpers/deadline.ts';
import {
  answerWith,
  anthropicError,
  anthropicMessage,
  leakWith,
  type MessageBlock,
  MockUpstream,
  messageEvents,
  textBlock,
  thinkingBlock,
  toolUseBlock,
} from '../../helpers/mockUpstream.ts';

let mock: MockUpstream;
let client: Anthropic;
beforeAll(async () => {
  mock = await MockUpstream.start();
  client = new Anthropic({ baseURL: mock.origin, apiKey: 'key-of-a-test', maxRetries: 0, timeout: 5000 });
});
afterEach(() => {
  mock.fallback(answerWith('Hello from the mock.'));
  mock.clear();
});
afterAll(() => mock.close());

const ASK = { model: 'm', max_tokens: 100, messages: [{ role: 'user' as const, content: 'Hi' }] };

const CITATION = {
  type: 'char_location',
  cited_text: 'Oak and iron.',
  document_index: 0,
  document_title: 'Gates',
  start_char_index: 0,
  end_char_index: 13,
};

const BLOCKS: Record<string, { blocks: MessageBlock[]; stop: string }> = {
  text: { blocks: [textBlock('Grüße, 漢字 und 👋🏽!')], stop: 'end_turn' },
  'thinking before text': { blocks: [thinkingBlock('Let me think.'), textBlock('Done.')], stop: 'end_turn' },
  'redacted thinking': {
    blocks: [{ type: 'redacted_thinking', data: 'RW1wdHk=' }, textBlock('Done.')],
    stop: 'end_turn',
  },
  'two tool calls, one without arguments': {
    blocks: [
      textBlock('I will look.'),
      toolUseBlock('search', { query: 'naïve "quotes"', limit: 3 }),
      toolUseBlock('now', {}, 'toolu_mock_1'),
    ],
    stop: 'tool_use',
  },
  'text with citations': { blocks: [textBlock('It is oak.', [CITATION, CITATION])], stop: 'end_turn' },
};

describe.each(Object.entries(BLOCKS))('%s', (_name, { blocks, stop }) => {
  it('is read whole', async () => {
    mock.reply({ json: anthropicMessage(blocks) });
    const message = await client.messages.create(ASK);
    expect([message.content, message.stop_reason]).toEqual([blocks, stop]);
  });

  it.each([1, 5, 1000])('is put together from deltas of %i by the stream helper', async (size) => {
    mock.reply({ stream: { events: messageEvents(blocks, size), named: true } });
    const message = await within(5000, client.messages.stream(ASK).finalMessage(), 'final message');
    expect(JSON.parse(JSON.stringify(message.content))).toEqual(blocks);
    expect([message.stop_reason, message.usage.output_tokens]).toEqual([stop, 5]);
  });
});

it('a stream has a ping, event names and no [DONE]', async () => {
  mock.reply({ stream: { events: messageEvents(['Hi']), named: true } });
  const response = await client.messages.create({ ...ASK, stream: true }).asResponse();
  const text = await within(3000, response.text(), 'stream');
  expect(text.split('\n').filter((line) => line.startsWith('event: '))).toEqual([
    'event: message_start',
    'event: content_block_start',
    'event: ping',
    'event: content_block_delta',
    'event: content_block_stop',
    'event: message_delta',
    'event: message_stop',
  ]);
  expect(text).not.toContain('[DONE]');
});

it('an error event is thrown by the SDK', async () => {
  const events = [...messageEvents(['Hi']).slice(0, 4), JSON.stringify(anthropicError('overloaded_error', 'Busy.'))];
  mock.reply({ stream: { events, named: true } });
  await expect(client.messages.stream(ASK).finalMessage()).rejects.toThrow('Busy.');
  mock.reply({ status: 404, json: anthropicError('not_found_error') });
  await expect(client.messages.create(ASK)).rejects.toMatchObject({ status: 404 });
});

it('leaks the system text, given as a string or as blocks', async () => {
  mock.fallback(leakWith((text) => text.toUpperCase()));
  const system = [
    { type: 'text' as const, text: 'Be ' },
    { type: 'text' as const, text: 'kind.' },
  ];
  for (const given of ['Be kind.', system]) {
    const whole = await client.messages.create({ ...ASK, system: given });
    const streamed = await client.messages.stream({ ...ASK, system: given }).finalMessage();
    const said = { type: 'text', text: 'BE KIND.' };
    expect([whole.content, streamed.content]).toEqual([[said], [said]]);
  }
  expect(mock.last.messages).toEqual([{ role: 'user', text: 'Hi' }]);
});

it('counts tokens without taking from the fallback', async () => {
  expect(await client.messages.countTokens({ model: 'm', messages: ASK.messages })).toEqual({ input_tokens: 10 });
});
