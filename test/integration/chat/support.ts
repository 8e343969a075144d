/** What the chat tests share: requests as raw bytes, event streams as a client reads them, waits with a deadline. */
import { connect, type Socket } from 'node:net';
import { afterEach, expect } from 'vitest';
import { until as untilWithin, within } from '../../helpers/deadline.ts';
import type { TestGateway } from '../../helpers/gateway.ts';
import type { MockUpstream } from '../../helpers/mockUpstream.ts';
import type { Rig } from '../../helpers/rig.ts';

export { pause } from '../../helpers/deadline.ts';

export const CHAT = '/v1/chat/completions';
export const WAIT_MS = 5_000;
/** What a client reads after a stream that was not cut. */
export const DONE = '[DONE]';

/** A chat request with a system text, which carries the canary. */
export function chatBody(extra: object = {}): Record<string, unknown> {
  return {
    model: 'mock-model',
    messages: [
      { role: 'system', content: 'You are a helpful assistant.' },
      { role: 'user', content: 'Hello' },
    ],
    ...extra,
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** One request and its whole answer. Rejects when the connection breaks. */
export async function ask(
  gateway: TestGateway,
  body: unknown,
  headers: Record<string, string> = {},
  path = CHAT,
): Promise<Answer> {
  const response = await within(WAIT_MS, gateway.post(path, body, headers), 'the head of the answer');
  const text = await within(WAIT_MS, response.text(), 'the whole answer');
  return { status: response.status, headers: response.headers, text };
}

/** Reads an answer to its end; `onText` sees all that has arrived, after each part of it. */
export async function readStream(response: Response, onText: (text: string) => void = () => {}): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(part, { stream: true });
    onText(text);
  }
  return text;
}

/** The payloads of an event stream, as every client reads them. */
export function payloads(text: string): string[] {
  return text
    .split(/\r\n\r\n|\n\n|\n\r\n|\r\n\n/)
    .filter((block) => block !== '')
    .flatMap((block) => {
      const lines = block.split(/\r\n|\n/).filter((line) => line.startsWith('data:'));
      return lines.length === 0 ? [] : [lines.map((line) => line.replace(/^data: ?/, '')).join('\n')];
    });
}

interface Chunk {
  readonly id?: string;
  readonly created?: number;
  readonly model?: string;
  readonly error?: Record<string, unknown>;
  readonly choices?: readonly {
    readonly index: number;
    readonly delta: Record<string, unknown>;
    readonly finish_reason: string | null;
  }[];
}

/** The chunks of an event stream, `[DONE]` left out. */
export function chunks(text: string): Chunk[] {
  return payloads(text)
    .filter((data) => data !== DONE)
    .map((data) => JSON.parse(data) as Chunk);
}

/** The text of one field of one choice. */
export function said(text: string, field = 'content', index = 0): string {
  return chunks(text)
    .flatMap((part) => part.choices ?? [])
    .filter((choice) => choice.index === index && typeof choice.delta[field] === 'string')
    .map((choice) => choice.delta[field] as string)
    .join('');
}

/** The code of an error body or of the last error event. */
export function errorCode(text: string): unknown {
  if (text.startsWith('{')) return (JSON.parse(text) as Chunk).error?.code;
  return chunks(text).findLast((part) => part.error !== undefined)?.error?.code;
}

/** The error object of a JSON answer. */
export function errorOf(text: string): Record<string, unknown> {
  return (JSON.parse(text) as { error: Record<string, unknown> }).error;
}

const ANSWER_HEADERS = ['cache-control', 'content-length', 'content-type', 'date', 'x-portcullis-action'];

export interface ExpectedError {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly param?: string | null;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A whole error answer of the chat API with all its headers. */
export function expectErrorAnswer(
  answer: Answer,
  { status, code, message, param = null, headers = {}, ...rest }: ExpectedError,
): void {
  const type = rest.type ?? 'invalid_request_error';
  expect({ status: answer.status, body: JSON.parse(answer.text) as unknown }).toEqual({
    status,
    body: { error: { message, type, param, code } },
  });
  const own = { 'content-type': 'application/json', 'cache-control': 'no-store', 'x-should-retry': 'false' };
  for (const [name, value] of Object.entries({ ...own, 'x-portcullis-action': 'none', ...headers })) {
    expect(`${name}: ${answer.headers.get(name)}`).toBe(`${name}: ${value}`);
  }
  expect(answer.headers.get('x-request-id')).toBe(answer.headers.get('x-portcullis-telemetry-id'));
  expect([...answer.headers.keys()]).toEqual(expect.arrayContaining(ANSWER_HEADERS));
}

/** All headers of an answer that a guard has replaced by an error. */
export function refusalHeaders({ headers, text }: Answer): Record<string, unknown> {
  return {
    'cache-control': 'no-store',
    connection: 'keep-alive',
    'content-length': String(text.length),
    'content-type': 'application/json',
    date: expect.any(String),
    'keep-alive': expect.any(String),
    'x-portcullis-action': 'block',
    'x-portcullis-telemetry-id': headers.get('x-request-id'),
    'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
    'x-should-retry': 'false',
  };
}

/** Says that no four characters of the token in a row are in the text. */
export function expectNoneOf(token: string, text: string): void {
  expect(token).toMatch(/^[0-9a-f]{32}$/);
  const found = Array.from({ length: token.length - 3 }, (_, at) => token.slice(at, at + 4)).filter((part) =>
    text.includes(part),
  );
  expect(found).toEqual([]);
}

/** The canary in a system text. */
export function canaryOf(systemText: string): string {
  const token = /\bref: ([0-9a-f]{32})\b/.exec(systemText)?.[1];
  if (token === undefined) throw new Error('the system text carries no canary');
  return token;
}

/** The process goes on serving. */
export async function expectServing(gateway: TestGateway, mock: MockUpstream): Promise<void> {
  mock.clear();
  const answer = await ask(gateway, chatBody());
  expect({ status: answer.status, seen: mock.requests.length }).toEqual({ status: 200, seen: 1 });
  expect(answer.text).toContain('Hello from the mock.');
}

/** After each test of the caller, no gateway of its rig has a request in work. */
export function idleAfterEach(rig: Pick<Rig, 'gateways'>): void {
  afterEach(async () => {
    for (const gateway of rig.gateways) await expectIdle(gateway);
  });
}

/** The same, and the process goes on serving. */
export function servingAfterEach(rig: Rig): void {
  afterEach(async () => {
    await expectIdle(rig.gateway);
    await expectServing(rig.gateway, rig.mock);
  });
}

/** Polls until it is true. */
export function until(what: string, holds: () => boolean | Promise<boolean>, ms = WAIT_MS): Promise<void> {
  return untilWithin(ms, what, holds);
}

/** The value of one series; 0 when it is absent. `labels` in the order of the metric's label names. */
export async function metric(gateway: TestGateway, series: string): Promise<number> {
  const line = (await gateway.metrics()).split('\n').find((entry) => entry.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
}

/** No request is in work and no stream is open. */
export async function expectIdle(gateway: TestGateway): Promise<void> {
  await until('no request in flight and no open stream', async () => {
    const text = await gateway.metrics();
    return text.includes('\nportcullis_in_flight_requests 0\n') && text.includes('\nportcullis_open_streams 0\n');
  });
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** Everything the server sent. */
  readonly text: string;
  /** How the connection ended. */
  readonly end: 'closed' | 'reset';
}

/** A connection that sends bytes as they are. */
export class RawClient {
  readonly socket: Socket;
  text = '';
  #end: RawAnswer['end'] | null = null;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (part) => {
      this.text += part.toString('latin1');
    });
    socket.on('error', () => {
      this.#end = 'reset';
    });
    socket.on('close', () => {
      this.#end ??= 'closed';
    });
  }

  static async open(gateway: TestGateway): Promise<RawClient> {
    const socket = connect({ port: Number(new URL(gateway.url).port), host: '127.0.0.1', noDelay: true });
    const client = new RawClient(socket);
    await within(WAIT_MS, new Promise((resolve) => socket.once('connect', resolve)), 'a connection to the gateway');
    return client;
  }

  get ended(): boolean {
    return this.#end !== null;
  }

  send(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }

  /** Waits until the server closes the connection. */
  async closed(ms = WAIT_MS): Promise<RawAnswer> {
    await until('the server closes the connection', () => this.#end !== null, ms);
    return this.answer();
  }

  /** Waits until one whole answer with a length is here. */
  async whole(ms = WAIT_MS): Promise<RawAnswer> {
    await until(
      'a whole answer',
      () => {
        const { headers, body } = this.answer();
        return this.text.includes('\r\n\r\n') && body.length >= Number(headers.get('content-length') ?? 0);
      },
      ms,
    );
    return this.answer();
  }

  answer(): RawAnswer {
    const border = this.text.indexOf('\r\n\r\n');
    const [statusLine = '', ...lines] = this.text.slice(0, Math.max(0, border)).split('\r\n');
    return {
      status: Number(statusLine.split(' ')[1] ?? 0),
      headers: new Map(
        lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
      ),
      body: border === -1 ? '' : this.text.slice(border + 4),
      text: this.text,
      end: this.#end ?? 'closed',
    };
  }

  close(): void {
    this.socket.destroy();
  }
}

/** The head of a chat request, with these lines beside host, key and media type. */
export function head(gateway: TestGateway, lines: readonly string[], start = `POST ${CHAT} HTTP/1.1`): string {
  const own = ['host: gateway.test', `authorization: Bearer ${gateway.key}`, 'content-type: application/json'];
  return `${[start, ...own, ...lines].join('\r\n')}\r\n\r\n`;
}
