/** The surfaces that stream, as one table: what a provider says in each format, and what a client reads of it. */
import { expect } from 'vitest';
import type { GatewayConfig } from '../../../config/schema.ts';
import type { TestGateway } from '../../helpers/gateway.ts';
import {
  anthropicError,
  anthropicMessage,
  completion,
  completionAnswer,
  completionEvents,
  contentEvents,
  functionCallItem,
  type MockUpstream,
  messageEvents,
  pieces,
  type Reply,
  responseEvents,
  responseObject,
  type StreamReply,
  textItem,
  toolCallEvents,
  toolUseBlock,
} from '../../helpers/mockUpstream.ts';
import { type Answer, ask, CHAT, canaryOf, chatBody, DONE, payloads, until } from '../chat/support.ts';

type Json = Readonly<Record<string, unknown>>;

/** For rows that are all failures of the provider: it must not be left alone for them. */
export const patient = (config: GatewayConfig): GatewayConfig => ({
  ...config,
  upstream: { ...config.upstream, breaker: { ...config.upstream.breaker, failuresMax: 10_000 } },
});

export interface StreamSurface {
  readonly name: string;
  readonly path: string;
  /** Events have names, and no `[DONE]` follows them. */
  readonly named: boolean;
  readonly body: (stream: boolean) => Json;
  readonly whole: (text: string) => object;
  readonly events: (text: string, size?: number) => string[];
  /** Events of a tool call; null where the format has none. */
  readonly call: ((args: string) => string[]) | null;
  /** Events before the first delta. */
  readonly opening: number;
  /** Text that one event adds. */
  readonly delta: (event: Json) => string;
  /** This event says that the answer is complete. */
  readonly completes: (event: Json) => boolean;
  /** What a provider in trouble says in a stream, and as a whole answer. */
  readonly error: Json;
  readonly errorBody: Json;
}

const openaiError = { error: { message: 'Something went wrong.', type: 'server_error', param: null, code: null } };
const choicesOf = (event: Json) => (event.choices ?? []) as readonly (Json & { readonly delta?: Json })[];
const finishes = (event: Json): boolean =>
  choicesOf(event).some(({ finish_reason }) => typeof finish_reason === 'string' && finish_reason !== 'content_filter');

export const STREAMS: readonly StreamSurface[] = [
  {
    name: 'chat',
    path: CHAT,
    named: false,
    body: (stream) => chatBody({ stream }),
    whole: (text) => completion(text),
    events: (text, size = 5) => contentEvents(pieces(text, size)),
    call: (args) => toolCallEvents([{ id: 'call_1', name: 'remove', arguments: args }]),
    opening: 1,
    delta: (event) =>
      choicesOf(event)
        .map(({ delta }) => String(delta?.content ?? ''))
        .join(''),
    completes: finishes,
    error: openaiError,
    errorBody: openaiError,
  },
  {
    name: 'responses',
    path: '/v1/responses',
    named: true,
    body: (stream) => ({ model: 'mock-model', instructions: 'You are helpful.', input: 'Hello', stream }),
    whole: (text) => responseObject({ output: [textItem(text)] }),
    events: (text, size = 5) => responseEvents([textItem(text)], size),
    call: (args) => responseEvents([functionCallItem('remove', args)]),
    opening: 4,
    delta: ({ type, delta }) => (type === 'response.output_text.delta' ? String(delta) : ''),
    completes: ({ type }) => type === 'response.completed',
    error: { type: 'error', sequence_number: 9, code: 'server_error', message: 'Something went wrong.', param: null },
    errorBody: openaiError,
  },
  {
    name: 'messages',
    path: '/v1/messages',
    named: true,
    body: (stream) => ({
      model: 'mock-model',
      max_tokens: 100,
      system: 'You are helpful.',
      messages: [{ role: 'user', content: 'Hello' }],
      stream,
    }),
    whole: (text) => anthropicMessage([text]),
    events: (text, size = 5) => messageEvents([text], size),
    call: (args) => messageEvents([toolUseBlock('remove', JSON.parse(args))]),
    opening: 3,
    delta: ({ type, delta }) => (type === 'content_block_delta' ? ((delta as { text?: string }).text ?? '') : ''),
    completes: ({ type }) => type === 'message_stop',
    error: anthropicError('overloaded_error'),
    errorBody: anthropicError('overloaded_error'),
  },
  {
    name: 'completions',
    path: '/v1/completions',
    named: false,
    body: (stream) => ({ model: 'mock-model', prompt: 'Hello', stream }),
    whole: (text) => completionAnswer(text),
    events: (text, size = 5) => completionEvents([text], size),
    call: null,
    opening: 0,
    delta: (event) =>
      choicesOf(event)
        .map(({ text }) => String(text ?? ''))
        .join(''),
    completes: finishes,
    error: openaiError,
    errorBody: openaiError,
  },
];

export const ROWS = STREAMS.map((on) => [on.name, on] as const);
export const MODES = ['whole', 'streamed'] as const;
export type Mode = (typeof MODES)[number];

/** Text with everything that framing trips over, and nothing that waits at its end. */
export const TEXT = 'The quick brown fox: data: Grüße aus Köln 🙂\n\nevent: x\r\ndata: [DONE]\nand that is all: 你好';

export function request(gateway: TestGateway, on: StreamSurface, stream: boolean): Promise<Answer> {
  return ask(gateway, on.body(stream), {}, on.path);
}

/** A stream as the format's provider sends it. */
export function stream(on: StreamSurface, events: readonly string[], rest: Partial<StreamReply> = {}): Reply {
  return { stream: { events, ...(on.named && { named: true }), ...rest } };
}

/** A good answer in either mode. */
export function good(on: StreamSurface, mode: Mode, text: string): Reply {
  return mode === 'whole' ? { json: on.whole(text) } : stream(on, on.events(text));
}

/** What the provider calls the answer that was asked for. */
export function label(mode: Mode): Reply {
  return mode === 'whole' ? {} : { headers: { 'content-type': 'text/event-stream' } };
}

/** The events a client reads, `[DONE]` left out. */
export function eventsOf(text: string): Json[] {
  return payloads(text)
    .filter((data) => data !== DONE)
    .map((data) => JSON.parse(data) as Json);
}

export function said(on: StreamSurface, text: string): string {
  return eventsOf(text).map(on.delta).join('');
}

/** The code of an error answer or of the last error event. */
export function codeOf(text: string): unknown {
  const bodies = text.startsWith('{') ? [JSON.parse(text) as Json] : eventsOf(text);
  const error = bodies.findLast((body) => body.error !== undefined)?.error as Json | undefined;
  return error?.code;
}

/** The answer ended as complete: once, and with nothing behind it. */
export function expectComplete(on: StreamSurface, text: string): void {
  const all = payloads(text);
  expect(all.filter((data) => data === DONE).length).toBe(on.named ? 0 : 1);
  expect(on.named ? on.completes(JSON.parse(all.at(-1) ?? '{}') as Json) : all.at(-1) === DONE).toBe(true);
  expect(eventsOf(text).filter(on.completes).length).toBe(1);
}

/** The whole error answer, before the first byte. */
export async function expectRefused(
  { gateway, mock }: { gateway: TestGateway; mock: MockUpstream },
  on: StreamSurface,
  mode: Mode,
  reply: Reply,
  status: number,
  code: string,
): Promise<void> {
  mock.reply(reply);
  const answer = await request(gateway, on, mode === 'streamed');
  expect({ status: answer.status, code: codeOf(answer.text) }).toEqual({ status, code });
  expect(answer.headers.get('content-type')).toBe('application/json');
}

/** What was said before, then an error event, and nothing that looks complete. */
export function expectBroken(on: StreamSurface, answer: Answer, code: string, before: string): void {
  expect({ status: answer.status, said: said(on, answer.text) }).toEqual({ status: 200, said: before });
  expect(eventsOf(answer.text).some(on.completes)).toBe(false);
  expect(codeOf(answer.text)).toBe(code);
  expect(eventsOf(answer.text).at(-1)).toHaveProperty('error');
  expect(payloads(answer.text).filter((data) => data === DONE).length).toBe(on.named ? 0 : 1);
}

/** A canary of the tenant that every surface looks for. */
export async function liveCanary(gateway: TestGateway, mock: MockUpstream): Promise<string> {
  mock.clear();
  await ask(gateway, chatBody());
  const token = canaryOf(mock.last.systemText);
  const known = async () =>
    (await gateway.deps.canaries.live('default', gateway.deps.config.policies.default as never, false)).set.tokens
      .length > 0;
  await until('the canary is registered', known);
  return token;
}
