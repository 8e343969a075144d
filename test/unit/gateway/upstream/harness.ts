/** Real servers on free ports, and a sink that writes down what it is given. */
import { createServer, type RequestListener } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { afterEach } from 'vitest';
import type { GatewayError } from '../../../../gateway/errors.ts';
import {
  UpstreamClient,
  type UpstreamHead,
  type UpstreamOptions,
  type UpstreamRequest,
  type UpstreamSink,
} from '../../../../gateway/upstream/client.ts';
import { within } from '../../../helpers/deadline.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function listen(server: net.Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  const port = new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
  return within(2000, port, 'listen');
}

/** Returns the origin. */
export async function httpServer(listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(createServer(listener))}`;
}

/** A server that reads one request and answers with what the test writes. */
export async function rawServer(answer: (socket: Socket, request: string) => void): Promise<string> {
  const server = net.createServer((socket) => {
    let seen = '';
    socket.on('data', (data) => {
      seen += data.toString('latin1');
      const head = seen.indexOf('\r\n\r\n');
      if (head === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(seen)?.[1] ?? 0);
      if (seen.length < head + 4 + length) return;
      const request = seen;
      seen = '';
      answer(socket, request);
    });
  });
  return `http://127.0.0.1:${await listen(server)}`;
}

export function client(origin: string, options: Partial<UpstreamOptions> = {}, apiKey: string | null = 'key') {
  const made = new UpstreamClient(
    { name: 'test', kind: 'openai-compatible', origin, basePath: '/v1', apiKey, headers: {} },
    {
      connectionsMax: 4,
      requestHeaders: ['x-trace', 'openai-*'],
      responseHeaders: ['x-request-id', 'retry-after', 'x-ratelimit-*'],
      ...options,
      timeouts: {
        upstreamConnectMs: 3000,
        upstreamHeaderMs: 5000,
        upstreamIdleMs: 5000,
        upstreamTotalMs: 10_000,
        ...options.timeouts,
      },
    },
  );
  cleanups.push(() => made.destroy());
  return made;
}

/** The default deadlines with some replaced. */
export function deadlines(some: Partial<UpstreamOptions['timeouts']>): Partial<UpstreamOptions> {
  return { timeouts: some as UpstreamOptions['timeouts'] };
}

export const POST: UpstreamRequest = {
  method: 'POST',
  path: '/chat/completions',
  headers: {},
  body: Buffer.from('{"model":"m"}'),
};

export class Recorder implements UpstreamSink {
  head: UpstreamHead | null = null;
  chunks: Buffer[] = [];
  ended = 0;
  errors: GatewayError[] = [];
  readonly settled: Promise<void>;
  /** For each step a test may wait for. */
  readonly headed: Promise<void>;
  onChunk: (chunk: Buffer) => void = () => {};
  #settle: () => void = () => {};
  #headed: () => void = () => {};

  constructor() {
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.headed = new Promise((resolve) => {
      this.#headed = resolve;
    });
  }

  onHead(head: UpstreamHead): void {
    this.head = head;
    this.#headed();
  }

  onData(chunk: Buffer): void {
    this.chunks.push(Buffer.from(chunk));
    this.onChunk(chunk);
  }

  onEnd(): void {
    this.ended += 1;
    this.#settle();
  }

  onError(error: GatewayError): void {
    this.errors.push(error);
    this.#settle();
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  /** `end`, an error code, or what happened more than once. */
  get outcome(): string {
    const all = [...Array(this.ended).fill('end'), ...this.errors.map((error) => error.code)];
    return all.join(' and ') || 'nothing';
  }
}

/** Makes a call and waits until it is over. */
export async function fetchAll(
  from: UpstreamClient,
  request: Partial<UpstreamRequest> = {},
  ms = 8000,
): Promise<Recorder> {
  const sink = new Recorder();
  from.call({ ...POST, ...request }, sink);
  await within(ms, sink.settled, 'the end of the call');
  // A second callback would come in one of the next turns.
  await sleep(20);
  return sink;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Polls, since the state of another socket has no event here. */
export async function eventually(what: string, test: () => boolean, ms = 2000): Promise<void> {
  const end = Date.now() + ms;
  while (!test()) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(5);
  }
}
