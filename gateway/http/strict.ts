/**
 * HTTP that another server might read differently is refused before any route sees it, and what Node's parser refuses
 * is answered with the error object that clients understand.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { GatewayError, openaiErrorBody } from '../errors.ts';

/** SDKs send about 20; Node silently drops headers beyond its own bound, so ours comes first. */
export const HEADERS_MAX = 256;
/** Request line and headers together. */
export const HEADER_BYTES_MAX = 16 * 1024;
/** How long a refused client may go on sending: a socket closed with unread bytes is reset, and the answer with it. */
const LINGER_MS = 2_000;

/** Why a request that Node accepted must not be served, or null. */
export function wireProblem(request: IncomingMessage): GatewayError | null {
  if (request.rawHeaders.length > 2 * HEADERS_MAX) return new GatewayError('headers_too_large');
  const { httpVersion, rawHeaders } = request;
  const coding = request.headers['transfer-encoding'];
  const framed = coding === undefined || (coding.toLowerCase() === 'chunked' && httpVersion === '1.1');
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
  const spoken = httpVersion === '1.1' || httpVersion === '1.0';
  const named = hosts === 1 || (hosts === 0 && httpVersion === '1.0');
  return framed && spoken && named ? null : new GatewayError('malformed_http');
}

/** What an error of Node's parser means to the client. */
export function parserProblem(error: NodeJS.ErrnoException & { rawPacket?: Buffer }): GatewayError {
  if (error.code === 'HPE_HEADER_OVERFLOW') {
    const packet = error.rawPacket ?? Buffer.alloc(0);
    const lineEnd = packet.indexOf(0x0a);
    // The first line alone is over the bound.
    const inTarget =
      (lineEnd === -1 || lineEnd > HEADER_BYTES_MAX) && /^[A-Z]+ /.test(packet.toString('latin1', 0, 16));
    return new GatewayError(inTarget ? 'uri_too_long' : 'headers_too_large');
  }
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new GatewayError('body_timeout', { message: 'The request did not arrive in time.' });
  }
  return new GatewayError('malformed_http');
}

/** Answers on a socket that no route owns, and closes it. */
export function refuseSocket(socket: Duplex, error: GatewayError): void {
  if (!socket.writable) return;
  const body = openaiErrorBody(error);
  const head = [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
    'connection: close',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'x-should-retry: false',
  ];
  socket.on('error', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.resume();
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
