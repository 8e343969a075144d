/** What the relay tests share: a provider that speaks plain HTTP and WebSocket handshakes, and a gateway in front. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { GatewayConfig, Policy } from '../../../config/schema.ts';
import { startGateway, type TestGateway } from '../../helpers/gateway.ts';
import { type Rig, useRig } from '../../helpers/rig.ts';
import { RawClient } from '../chat/support.ts';

export const PROVIDER_KEY = 'provider-key';
const LISTED = ['audio', 'images', 'files', 'batches', 'realtime', 'uploads'];

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** Grows while it arrives. */
  body: Buffer;
  /** The connection ended before the request or its answer did. */
  broken: boolean;
}

export type Answer = (response: ServerResponse, seen: Seen, request: IncomingMessage) => void;
export type Upgrade = (socket: Duplex, seen: Seen, head: Buffer) => void;

export class Provider {
  readonly seen: Seen[] = [];
  /** Called when the whole request is here, or at its head for `early`. */
  answer: Answer = json({ ok: true });
  early: Answer | null = null;
  upgrade: Upgrade = (socket, seen) => accept(socket, seen);
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();

  private constructor() {
    this.#server = createServer((request, response) => this.#serve(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
    this.#server.on('upgrade', (request, socket, head) => this.upgrade(socket, this.#note(request), head));
  }

  static async start(): Promise<Provider> {
    const provider = new Provider();
    await new Promise<void>((resolve) => provider.#server.listen(0, '127.0.0.1', resolve));
    return provider;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  get last(): Seen {
    const last = this.seen.at(-1);
    if (last === undefined) throw new Error('the provider saw no request');
    return last;
  }

  /** Everything it was ever sent, as text. */
  get everything(): string {
    return JSON.stringify(this.seen.map(({ method, url, headers, body }) => [method, url, headers, body.toString()]));
  }

  clear(): void {
    this.seen.length = 0;
    this.answer = json({ ok: true });
    this.early = null;
    this.upgrade = (socket, seen) => accept(socket, seen);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #note(request: IncomingMessage): Seen {
    const { method = '', url = '', headers } = request;
    const seen: Seen = { method, url, headers, body: Buffer.alloc(0), broken: false };
    this.seen.push(seen);
    return seen;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const seen = this.#note(request);
    const chunks: Buffer[] = [];
    response.once('close', () => {
      if (!response.writableFinished) seen.broken = true;
    });
    if (this.early !== null) {
      this.early(response, seen, request);
      return;
    }
    request.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      seen.body = Buffer.concat(chunks);
    });
    request.on('end', () => this.answer(response, seen, request));
  }
}

export function json(value: unknown, status = 200): Answer {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  };
}

export function bytes(body: Buffer, type: string): Answer {
  return (response) => {
    response.writeHead(200, { 'content-type': type, 'content-length': body.length }).end(body);
  };
}

/** Agrees to a WebSocket. */
export function accept(socket: Duplex, { headers }: Seen, lines: readonly string[] = []): void {
  const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const digest = createHash('sha1').update(`${headers['sec-websocket-key']}${guid}`).digest('base64');
  const head = ['HTTP/1.1 101 Switching Protocols', 'connection: Upgrade', 'upgrade: websocket'];
  socket.write([...head, `sec-websocket-accept: ${digest}`, ...lines, '', ''].join('\r\n'));
}

type Change = (config: GatewayConfig) => GatewayConfig;

export interface RelayGateway extends TestGateway {
  /** A key whose tenant's policy lists the endpoints. */
  readonly open: string;
  /** A key whose tenant's policy lists none. */
  readonly closed: string;
}

export async function startRelay(provider: Provider, change: Change = (same) => same): Promise<RelayGateway> {
  const gateway = await startGateway({
    upstream: provider.url,
    upstreamKey: PROVIDER_KEY,
    config: (config) => {
      const closed = config.policies.default as Policy;
      const relay = Object.fromEntries(LISTED.map((name) => [name, 'not-inspected' as const]));
      return change({
        ...config,
        tenants: { ...config.tenants, open: { policy: 'open' } },
        policies: { ...config.policies, open: { ...closed, relay } },
      });
    },
  });
  return Object.assign(gateway, {
    open: await gateway.createKey(['proxy'], ['open']),
    closed: await gateway.createKey(['proxy'], ['default']),
  });
}

/** A provider and a gateway in front of it for the tests of a file. */
export function useRelay(change: Change = (same) => same): Rig<Provider, RelayGateway, Change> {
  return useRig({ provider: () => Provider.start(), gateway: startRelay }, change);
}

export function limits(change: Partial<GatewayConfig['limits']>, timeouts: Partial<GatewayConfig['timeouts']> = {}) {
  return (config: GatewayConfig): GatewayConfig => ({
    ...config,
    limits: { ...config.limits, ...change },
    timeouts: { ...config.timeouts, ...timeouts },
  });
}

/** The head of a request with a key, as it stands on the wire. */
export function rawHead(key: string, start: string, lines: readonly string[] = []): string {
  return `${[`${start} HTTP/1.1`, 'host: gateway.test', `authorization: Bearer ${key}`, ...lines].join('\r\n')}\r\n\r\n`;
}

export const WEBSOCKET_KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const HANDSHAKE = ['connection: Upgrade', 'upgrade: websocket', 'sec-websocket-version: 13'];

/** The head of a handshake; `null` sends no key in a header. */
export function handshake(
  key: string | null,
  lines: readonly string[] = [],
  target = '/v1/realtime?model=voice',
): string {
  const own = [...HANDSHAKE, `sec-websocket-key: ${WEBSOCKET_KEY}`, ...(key === null ? [] : [`api-key: ${key}`])];
  return `${[`GET ${target} HTTP/1.1`, 'host: gateway.test', ...own, ...lines].join('\r\n')}\r\n\r\n`;
}

/** A connection on which these bytes were sent. */
export async function openWith(gateway: TestGateway, bytes: string): Promise<RawClient> {
  const client = await RawClient.open(gateway);
  client.send(bytes);
  return client;
}
