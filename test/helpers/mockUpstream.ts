/**
 * A provider whose every answer the test decides. Answers are taken from a queue (`reply`, `next`); then the endpoints
 * that have one right answer give it: stored responses, embeddings, moderations, a model by id; the rest comes from
 * `fallback`. `GET /models` is answered apart, takes none and is not recorded.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import zlib from 'node:zlib';
import { completion, contentEvents, frameEvents, pieces, type Reply, type StreamReply } from './mockAnswers.ts';
import { anthropicMessage, messageEvents } from './mockMessages.ts';
import {
  completionAnswer,
  completionEvents,
  embeddingsAnswer,
  modelObject,
  moderationsAnswer,
  unknownModel,
} from './mockPlain.ts';
import { type RecordedRequest, record } from './mockRequest.ts';
import { MockResponseStore } from './mockResponseStore.ts';
import { echoed, responseEvents, responseObject, textItem } from './mockResponses.ts';

export * from './mockAnswers.ts';
export * from './mockMessages.ts';
export * from './mockPlain.ts';
export type { MockSurface, RecordedRequest } from './mockRequest.ts';
export * from './mockResponses.ts';

/** Returns an answer, or nothing when it wrote one itself. */
export type MockHandler = (
  request: RecordedRequest,
  response: ServerResponse,
) => Reply | undefined | Promise<Reply | undefined>;

export class MockUpstream {
  /** Base URL, ends in `/v1`. */
  readonly url: string;
  /** Without a path: the base URL of the Anthropic SDK, which adds `/v1` itself. */
  readonly origin: string;
  readonly requests: RecordedRequest[] = [];
  models: readonly string[] = ['mock-model'];
  readonly #queue: MockHandler[] = [];
  readonly #stored = new MockResponseStore();
  #ordinal = 0;
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
      mock.#ordinal += 1;
      const { method = '', url = '', headers } = request;
      const received = { ordinal: mock.#ordinal, method, url, headers, rawBody: Buffer.concat(parts) };
      await mock.#handle(record(received, response), response);
    });
    return mock;
  }

  private constructor(port: number, close: () => Promise<void>) {
    this.origin = `http://127.0.0.1:${port}`;
    this.url = `${this.origin}/v1`;
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
      return send(request, response, { json: { object: 'list', data: this.models.map(modelObject) } });
    }
    this.requests.push(request);
    try {
      const handler = this.#queue.shift();
      const reply =
        handler === undefined
          ? (this.#standard(request) ?? (await this.#fallback(request, response)))
          : await handler(request, response);
      if (reply === undefined) return;
      this.#stored.remember(request, reply);
      await send(request, response, reply);
    } catch (error) {
      if (!response.destroyed) response.destroy(error as Error);
    }
  }

  /** Answers of endpoints that have one right answer. */
  #standard(request: RecordedRequest): Reply | null {
    const { method, path, json } = request;
    if (method === 'POST' && path === '/v1/embeddings') return { json: embeddingsAnswer(json) };
    if (method === 'POST' && path === '/v1/moderations') return { json: moderationsAnswer(json) };
    if (method === 'POST' && path === '/v1/messages/count_tokens') return { json: { input_tokens: 10 } };
    if (method === 'GET' && path.startsWith('/v1/models/')) {
      const id = decodeURIComponent(path.slice('/v1/models/'.length));
      return this.models.includes(id) ? { json: modelObject(id) } : unknownModel(id);
    }
    return this.#stored.answer(request);
  }
}

/**
 * A handler that says this text in the format of the path, chat where it has none, streamed in pieces of `size` code
 * points when the request wants a stream. Responses repeat the members of their request, as the provider's do.
 */
export function answerWith(text: string, size = 5, stream: Partial<StreamReply> = {}) {
  return (request: RecordedRequest): Reply => {
    const { whole, events, named } = answerTo(request, text, size);
    return request.wantsStream
      ? { stream: { ...(named && { named }), ...stream, events: events() } }
      : { json: whole() };
  };
}

interface FormatAnswer {
  readonly whole: () => object;
  readonly events: () => string[];
  readonly named: boolean;
}

function answerTo({ surface, ordinal, json }: RecordedRequest, text: string, size: number): FormatAnswer {
  switch (surface) {
    case 'responses': {
      const fields = { ...echoed(json), id: `resp_mock_${ordinal}` };
      const output = [textItem(text, { id: `msg_mock_${ordinal}` })];
      return {
        whole: () => responseObject({ ...fields, output }),
        events: () => responseEvents(output, size, fields),
        named: true,
      };
    }
    case 'messages': {
      const fields = { id: `msg_mock_${ordinal}` };
      return {
        whole: () => anthropicMessage([text], fields),
        events: () => messageEvents([text], size, fields),
        named: true,
      };
    }
    case 'completions':
      return { whole: () => completionAnswer(text), events: () => completionEvents([text], size), named: false };
    default:
      return { whole: () => completion(text), events: () => contentEvents(pieces(text, size)), named: false };
  }
}

/** A handler that leaks the system text, canary included, in any form. */
export function leakWith(transform: (systemText: string) => string, size = 5, stream: Partial<StreamReply> = {}) {
  return (request: RecordedRequest): Reply => answerWith(transform(request.systemText), size, stream)(request);
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
