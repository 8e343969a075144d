/** The fixtures of each format are what the real SDKs take for an answer, and streams add up to the whole answers. */
import { readdirSync, readFileSync } from 'node:fs';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SseParser } from '../../../gateway/stream/sse.ts';
import { within } from '../../helpers/deadline.ts';
import { MockUpstream } from '../../helpers/mockUpstream.ts';

const FOLDER = new URL('../../fixtures/', import.meta.url);
const TIMEOUT_MS = 5000;

let mock: MockUpstream;
let openai: OpenAI;
let anthropic: Anthropic;
beforeAll(async () => {
  mock = await MockUpstream.start();
  const common = { apiKey: 'key-of-a-test', maxRetries: 0, timeout: TIMEOUT_MS };
  openai = new OpenAI({ baseURL: mock.url, ...common });
  anthropic = new Anthropic({ baseURL: mock.origin, ...common });
});
afterAll(() => mock.close());

function names(folder: string, ending: string): string[] {
  const found = readdirSync(new URL(folder, FOLDER)).filter((name) => name.endsWith(ending));
  expect(found.length).toBeGreaterThan(0);
  return found.map((name) => name.slice(0, -ending.length));
}

const bytes = (name: string) => readFileSync(new URL(name, FOLDER));
const json = (name: string) => JSON.parse(bytes(name).toString()) as Record<string, unknown>;

function replay(name: string): void {
  const type = name.endsWith('.sse') ? 'text/event-stream; charset=utf-8' : 'application/json';
  mock.reply({ headers: { 'content-type': type }, body: bytes(name) });
}

const RESPONSE = { model: 'm', input: 'Hi' } as const;

describe('responses', () => {
  it.each(names('responses', '.sse'))('%s', async (name) => {
    replay(`responses/${name}.sse`);
    const events: { type: string; sequence_number: number; delta?: string }[] = [];
    const stream = openai.responses.stream(RESPONSE);
    stream.on('event', (event) => events.push(event as (typeof events)[number]));
    const final = await within(TIMEOUT_MS, stream.finalResponse(), 'final response');
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, i) => i));
    if (name === 'openai-failed') return expect(final).toMatchObject({ status: 'failed', output: [] });
    expect(final).toMatchObject(json(`responses/${name}.json`));

    replay(`responses/${name}.json`);
    const whole = await openai.responses.create(RESPONSE);
    expect(final.output_text).toBe(whole.output_text);
    const deltas = events.filter(({ type }) => type === 'response.output_text.delta').map(({ delta }) => delta);
    expect(deltas.join('')).toBe(whole.output_text);
  });

  it.each(names('responses', '.sse'))('%s builds the same without its last event', async (name) => {
    const text = bytes(`responses/${name}.sse`).toString();
    const cut = text.slice(0, text.lastIndexOf('event: '));
    mock.reply({ headers: { 'content-type': 'text/event-stream' }, body: cut });
    const final = await within(TIMEOUT_MS, openai.responses.stream(RESPONSE).finalResponse(), 'final response');
    expect(final.status).toBe('in_progress');
    if (name === 'openai-failed') expect(final.output_text).toBe('Half an');
    else expect(final.output).toMatchObject(json(`responses/${name}.json`).output as object[]);
  });

  it('web search citations point at their links', () => {
    const { output } = json('responses/openai-web-search.json') as unknown as OpenAI.Responses.Response;
    const part = output.flatMap((item) => (item.type === 'message' ? item.content : []))[0];
    if (part?.type !== 'output_text') throw new Error('no text');
    for (const note of part.annotations) {
      if (note.type !== 'url_citation') throw new Error('another annotation');
      expect(part.text.slice(note.start_index, note.end_index)).toContain(note.url);
    }
    expect(part.annotations.length).toBe(2);
  });
});

describe('messages', () => {
  const ask = { model: 'm', max_tokens: 100, messages: [{ role: 'user' as const, content: 'Hi' }] };

  it.each(names('messages', '.sse'))('%s', async (name) => {
    replay(`messages/${name}.sse`);
    const answer = within(TIMEOUT_MS, anthropic.messages.stream(ask).finalMessage(), 'final message');
    if (name === 'anthropic-error-mid-stream') return expect(answer).rejects.toThrow('Overloaded');
    const final = JSON.parse(JSON.stringify(await answer)) as Record<string, unknown>;
    if (name === 'anthropic-stop-sequence') return expect(final).toMatchObject({ stop_sequence: ' three' });
    expect(final).toMatchObject(json(`messages/${name}.json`));

    replay(`messages/${name}.json`);
    const whole = await anthropic.messages.create(ask);
    expect(final.content).toEqual(whole.content);
  });
});

describe('completions', () => {
  it.each(names('completions', '.sse'))('%s', async (name) => {
    const ask = { model: 'm', prompt: 'Hi' } as const;
    replay(`completions/${name}.sse`);
    const texts: string[] = [];
    for await (const chunk of await openai.completions.create({ ...ask, stream: true })) {
      for (const { index, text } of chunk.choices) texts[index] = (texts[index] ?? '') + text;
    }
    replay(`completions/${name}.json`);
    const whole = await openai.completions.create(ask);
    expect(texts).toEqual(whole.choices.map(({ text }) => text));
  });
});

it('embeddings are the same vectors in both forms', async () => {
  replay('embeddings/openai-base64.json');
  const packed = await openai.embeddings.create({ model: 'm', input: 'Hi' });
  replay('embeddings/openai-float.json');
  const plain = await openai.embeddings.create({ model: 'm', input: 'Hi', encoding_format: 'float' });
  expect(packed.data.map(({ embedding }) => [...embedding])).toEqual(plain.data.map(({ embedding }) => embedding));
});

describe('bytes', () => {
  const streams = ['responses', 'messages', 'completions'].flatMap((folder) =>
    names(folder, '.sse').map((name) => `${folder}/${name}`),
  );

  it.each(streams)('%s reads the same byte by byte', (name) => {
    const all = bytes(`${name}.sse`);
    const read = (parts: Buffer[]) => {
      const frames: (string | null)[][] = [];
      const parser = new SseParser({ eventBytesMax: 1 << 20 }, ({ event, data }) => frames.push([event, data]));
      for (const part of parts) parser.push(part);
      parser.end();
      return frames;
    };
    const frames = read([all]);
    expect(read(Array.from(all, (_, i) => all.subarray(i, i + 1)))).toEqual(frames);
    const named = !name.startsWith('completions/');
    if (!named) expect(frames.pop()).toEqual([null, '[DONE]']);
    for (const [event, data] of frames) {
      const { type } = JSON.parse(data ?? '') as { type?: string };
      expect(event).toBe(named ? type : null);
    }
  });

  it('every file is described', () => {
    const readme = bytes('README.md').toString();
    const missing = streams.filter((name) => !readme.includes(`\`${name.split('/')[1]}\``));
    expect(missing).toEqual([]);
  });
});
