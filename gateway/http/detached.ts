/** Exchanges on connections that Node's server has let go of because the client asked for another protocol. */
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Exchange } from './exchange.ts';

/** Clients wait for the answer to their handshake before they send more, so this is generous. */
const EARLY_BYTES_MAX = 64 * 1024;
/** How long a client may take to read a refusal: a socket closed with unread bytes is reset, and the answer with it. */
const LINGER_MS = 2_000;

/** An ordinary exchange whose connection closes behind its answer. */
export function exchangeOn(request: IncomingMessage, socket: Duplex, route: string): Exchange {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as Socket);
  response.once('finish', () => {
    socket.end();
    // What still arrives is dropped: behind a refused upgrade nothing is a request.
    socket.resume();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  });
  return new Exchange(request, response, route);
}

/** Answers 101 and takes the connection out of the exchange. */
export function switchProtocols({ outgoing }: Exchange, headers: Readonly<Record<string, string>>): void {
  const { socket } = outgoing;
  outgoing.writeHead(101, headers);
  outgoing.flushHeaders();
  if (socket !== null) outgoing.detachSocket(socket);
}

/** Holds what a client sends before its handshake is answered, and closes the connection of one that leaves. */
export class EarlyBytes {
  readonly #socket: Duplex;
  readonly #chunks: Buffer[] = [];
  readonly #onData: (chunk: Buffer) => void;
  readonly #onEnd: () => void;
  #bytes = 0;

  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    this.#onData = (chunk) => {
      this.#bytes += chunk.length;
      this.#chunks.push(chunk);
      if (this.#bytes > EARLY_BYTES_MAX) socket.pause();
    };
    this.#onEnd = () => socket.destroy();
    if (head.length > 0) this.#onData(head);
    socket.on('data', this.#onData).once('end', this.#onEnd);
  }

  /** Everything so far, in order; the socket rests and keeps what comes next. */
  take(): readonly Buffer[] {
    this.#socket.off('data', this.#onData).off('end', this.#onEnd);
    this.#socket.pause();
    return this.#chunks.splice(0);
  }
}
