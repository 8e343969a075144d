import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startValidateApp, type ValidateApp } from '../helpers/validateApp.ts';

/** Bytes of a large body, under the limit of one text. */
const SIZE = 900_000;
const DEADLINE_MS = 15_000;

let app: ValidateApp;
beforeAll(async () => {
  app = await startValidateApp();
});
afterAll(() => app.close());

const fill = (piece: string) => piece.repeat(Math.floor(SIZE / piece.length));

async function timed(path: string, body: unknown): Promise<{ status: number; ms: number; action: string }> {
  const started = performance.now();
  const { status, json } = await app.post(path, body);
  return { status, ms: performance.now() - started, action: json.action };
}

describe('a large hostile body ends in time', () => {
  it.each([
    [
      'JSON of many strings',
      { prompt: `[${fill('"zebrasanitize \\u0041",').slice(0, -1)}]`, context: { mime: 'application/json' } },
    ],
    [
      'JSON of one escaped string',
      { prompt: `["${fill('\\u0061 zebrasanitize ')}"]`, context: { mime: 'application/json' } },
    ],
    ['HTML of open tags', { prompt: fill('<a '), context: { mime: 'text/html' } }],
    ['HTML of open quotes', { prompt: fill('<a b="'), context: { mime: 'text/html' } }],
    ['HTML of open comments', { prompt: fill('<!--'), context: { mime: 'text/html' } }],
    ['HTML of tags', { prompt: fill('<b>zebra'), context: { mime: 'text/html' } }],
    ['control tokens', { prompt: fill('<|im_start|>') }],
    [
      'many attachments',
      { prompt: 'x', attachments_text: Array.from({ length: 60_000 }, () => ({ text: 'zebrablock' })) },
    ],
  ])('/validate: %s', async (_name, body) => {
    const { status, ms } = await timed('/validate', { ...body, opts: { return_sanitized: true } });
    expect(status).toBe(200);
    expect(ms).toBeLessThan(DEADLINE_MS);
  });

  it.each([
    ['tool markers', { output: fill('<tool_call>'), expect: { allowedTools: [] } }],
    ['forged tool calls', { output: fill('<tool_call>{"name":"f"}</tool_call>'), expect: { allowedTools: ['f'] } }],
    ['HTML', { output: fill('<a on'), expect: { mime: 'text/html' } }],
    ['canaries', { output: fill('Zq3x '), canaryTokens: ['Zq3x'], canaryPolicy: 'observe' }],
    ['canaries to cut', { output: fill('Zq3x '), canaryTokens: ['Zq3x'], canaryPolicy: 'sanitize' }],
    ['control tokens', { output: fill('<|im_start|>') }],
    [
      'many given calls',
      {
        output: '',
        toolCalls: Array.from({ length: 20_000 }, () => ({ name: 'f', arguments: { q: 'x' } })),
        expect: { allowedTools: [] },
      },
    ],
  ])('/validate_output: %s', async (_name, body) => {
    const { status, ms } = await timed('/validate_output', body);
    expect(status).toBe(200);
    expect(ms).toBeLessThan(DEADLINE_MS);
  });
});
