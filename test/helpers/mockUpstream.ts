/**
 * A provider whose every answer the test decides. Answers are taken from a queue (`reply`, `next`), then from
 * `fallback`; `GET /models` is answered apart and takes none.
 */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import zlib from 'node:zlib';
import { completion, contentEvents, frameEvents, pieces, type Reply, type StreamReply } from './mockAnswers.ts';

export * from './mockAnswers.ts';

/** A request as the provider saw it. */
export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Undefined when the body is not JSON. */
  readonly json: unknown;
  /** Text of all system and developer messages, which may carry a canary. */
  readonly systemText: string;
  readonly messages: readonly { readonly role: string; readonly text: string }[];
  readonly wantsStream: boolean;
  /** When each stream event was written, by `performance.now()`. */
  readonly sentAt: number[];
  /** The connection went away before the answer was complete. */
  aborted: boolean;
  abortedAt: number | null;
  /** Settles once the answer is sent or the connection is gone. */
  readonly over: Promise<void>;
}

/** Returns an answer, or nothing when it wrote one itself. */
export type MockHandler = (
  request: RecordedRequest,
  response: ServerResponse,
) => Reply | undefined | Promise<Reply | undefined>;

export class MockUpstream {
  /** Base URL, ends in `/v1`. */
  readonly url: string;
  readonly requests: RecordedRequest[] = [];
  models: readonly string[] = ['mock-model'];
  readonly #queue: MockHandler[] = [];
  #fallback: MockHandler = (request) => answerWith('Hello from the mock.')(request);
  readonly #close: () => Promise<void>;

  static async start(): Promise<MockUpstream> {
    const server = createServer();
    const sockets = new Set<Socket>();
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const mock = new MockUpstream((server.address() as AddressInfo).port, () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    });
    server.on('request', async (request, response) => {
      const parts: Buffer[] = [];
      try {
        for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
      } catch {
        // The client left while it sent its body: there is no request to record.
        return;
      }
      const text = Buffer.concat(parts).toString();
      await mock.#handle(record(request.method ?? '', request.url ?? '', request.headers, text, response), response);
    });
    return mock;
  }

  private constructor(port: number, close: () => Promise<void>) {
    this.url = `http://127.0.0.1:${port}/v1`;
    this.#close = close;
  }

  /** The next answer. */
  reply(reply: Reply): void {
    this.#queue.push(() => reply);
  }

  /** The next answer, made from the request. */
  next(handler: MockHandler): void {
    this.#queue.push(handler);
  }

  /** The answer of every request the queue has none for. */
  fallback(answer: Reply | MockHandler): void {
    this.#fallback = typeof answer === 'function' ? answer : () => answer;
  }

  /** The latest request. */
  get last(): RecordedRequest {
    const request = this.requests.at(-1);
    if (request === undefined) throw new Error('the mock upstream has seen no request');
    return request;
  }

  /** Forgets requests and queued answers. */
  clear(): void {
    this.requests.length = 0;
    this.#queue.length = 0;
  }

  /** Kills open connections. */
  close(): Promise<void> {
    return this.#close();
  }

  async #handle(request: RecordedRequest, response: ServerResponse): Promise<void> {
    if (request.method === 'GET' && request.path === '/v1/models') {
      const data = this.models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'mock' }));
      return send(request, response, { json: { object: 'list', data } });
    }
    this.requests.push(request);
    try {
      const reply = await (this.#queue.shift() ?? this.#fallback)(request, response);
      if (reply !== undefined) await send(request, response, reply);
    } catch (error) {
      if (!response.destroyed) response.destroy(error as Error);
    }
  }
}

/** A handler that says this text, streamed in pieces of `size` code points when the request wants a stream. */
export function answerWith(text: string, size = 5, stream: Partial<StreamReply> = {}) {
  return (request: RecordedRequest): Reply =>
    request.wantsStream
      ? { stream: { ...stream, events: contentEvents(pieces(text, size)) } }
      : { json: completion(text) };
}

/** A handler that leaks the system text, canary included, in any form. */
export function leakWith(transform: (systemText: string) => string, size = 5, stream: Partial<StreamReply> = {}) {
  return (request: RecordedRequest): Reply => answerWith(transform(request.systemText), size, stream)(request);
}

function record(
  method: string,
  path: string,
  headers: IncomingHttpHeaders,
  text: string,
  response: ServerResponse,
): RecordedRequest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  const body = (json ?? {}) as { stream?: unknown; messages?: { role: string; content?: unknown }[] };
  const messages = (Array.isArray(body.messages) ? body.messages : []).map(({ role, content }) => ({
    role,
    text: textOf(content),
  }));
  const request: RecordedRequest = {
    method,
    path,
    headers,
    text,
    json,
    messages,
    systemText: messages
      .filter(({ role }) => role === 'system' || role === 'developer')
      .map((message) => message.text)
      .join('\n'),
    wantsStream: body.stream === true,
    sentAt: [],
    aborted: false,
    abortedAt: null,
    over: finished(response).catch(() => {
      request.aborted = true;
      request.abortedAt = performance.now();
    }),
  };
  return request;
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part: { text?: unknown }) => (typeof part.text === 'string' ? part.text : '')).join('');
}

async function send(request: RecordedRequest, response: ServerResponse, reply: Reply): Promise<void> {
  if (reply.delayMs !== undefined) await pause(reply.delayMs);
  if (response.destroyed || reply.fault === 'never') return;
  if (reply.fault === 'destroy') return void response.socket?.destroy();
  if (reply.fault === 'reset') return void response.socket?.resetAndDestroy();

  response.statusCode = reply.status ?? 200;
  const type = reply.stream === undefined ? 'application/json' : reply.stream.contentType;
  if (type !== null) response.setHeader('content-type', type ?? 'text/event-stream; charset=utf-8');
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);
  if (reply.coding !== undefined) {
    response.setHeader('content-encoding', reply.coding.startsWith('gzip') ? 'gzip' : reply.coding.replace('-raw', ''));
  }
  if (reply.fault !== undefined) {
    response.flushHeaders();
    if (reply.fault === 'head-then-destroy') setTimeout(() => response.socket?.destroy(), 10);
    return;
  }

  const encoder = encoderFor(reply);
  encoder?.pipe(response);
  const target = encoder ?? response;
  if (reply.stream !== undefined) {
    response.flushHeaders();
    await sendStream(request, response, target, reply.stream);
  } else target.end(reply.json === undefined ? (reply.body ?? '') : JSON.stringify(reply.json));
}

type Target = ServerResponse | zlib.Gzip | zlib.BrotliCompress | zlib.Deflate | zlib.DeflateRaw;

function encoderFor(reply: Reply): Exclude<Target, ServerResponse> | null {
  switch (reply.coding) {
    case 'gzip':
      return zlib.createGzip();
    case 'br':
      return zlib.createBrotliCompress();
    case 'deflate':
      return zlib.createDeflate();
    case 'deflate-raw':
      return zlib.createDeflateRaw();
    default:
      return null;
  }
}

async function sendStream(
  request: RecordedRequest,
  response: ServerResponse,
  target: Target,
  stream: StreamReply,
): Promise<void> {
  const frames = frameEvents(stream);
  const cut = stream.cut;
  const whole = cut === undefined ? frames : frames.slice(0, cut.afterEvents);
  const interval = stream.intervalMs ?? 0;
  const writes = interval === 0 && stream.bytesPerWrite !== undefined ? [Buffer.concat(whole)] : whole;
  for (const [i, bytes] of writes.entries()) {
    if (i > 0 && interval > 0) await pause(interval);
    if (response.destroyed) return;
    request.sentAt.push(performance.now());
    await write(target, bytes, stream.bytesPerWrite ?? bytes.length);
  }
  const next = cut === undefined ? undefined : frames[cut.afterEvents];
  if (cut?.midEvent === true && next !== undefined)
    await write(target, next.subarray(0, next.length >> 1), next.length);
  if (cut === undefined || cut.how === 'end') return void target.end();
  if (cut.how === 'silence') return;
  // What was written must arrive first, or the cut would come earlier than asked for.
  await pause(20);
  if (cut.how === 'destroy') response.socket?.destroy();
  else response.socket?.resetAndDestroy();
}

/** Each write is one packet and, with a coding, one flush. */
async function write(target: Target, bytes: Buffer, bytesPerWrite: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += bytesPerWrite) {
    target.write(bytes.subarray(at, at + bytesPerWrite));
    if ('flush' in target) target.flush();
    // A turn of the event loop, so that the kernel is given each write on its own.
    await new Promise((resolve) => setImmediate(resolve));
    if (target.destroyed) return;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
