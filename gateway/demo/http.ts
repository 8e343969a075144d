/** The demo provider's side of HTTP: bodies in, JSON and event streams out. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { DemoFailure } from './answers.ts';

const BODY_BYTES_MAX = 16 * 1024 * 1024;
/** Slow enough for a person to see the words arrive. */
const DELTA_INTERVAL_MS = 20;
/** 2026-01-01; a constant, so that the same request has the same answer. */
export const CREATED = 1_767_225_600;

export const NOT_HERE: DemoFailure = {
  status: 404,
  code: 'not_found',
  message: 'The demo provider does not have this endpoint.',
  param: null,
};

export const TOO_LARGE: DemoFailure = {
  status: 413,
  code: 'request_too_large',
  message: 'The request is too large.',
  param: null,
};

/** Null when the body is too large. */
export async function readBody(request: IncomingMessage): Promise<string | null> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) return null;
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

export function sendOpenAiError(response: ServerResponse, { status, code, message, param }: DemoFailure): void {
  sendJson(response, status, { error: { message, type: 'invalid_request_error', param, code } });
}

/** Some events of a stream; `paced` waits for the time of the next delta. */
export interface Block {
  readonly text: string;
  readonly paced: boolean;
}

/** Stops once the client has left. */
export async function sendStream(response: ServerResponse, blocks: Iterable<Block>): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  for (const { text, paced } of blocks) {
    if (paced && !(await pace(response))) return;
    response.write(text);
  }
  response.end();
}

/** An event under the name that its `type` is. */
export function namedBlock(event: { readonly type: string }, paced: boolean): Block {
  return { text: `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`, paced };
}

/** False once the client has left. */
function pace(response: ServerResponse): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = () => {
      clearTimeout(timer);
      response.off('close', settle);
      resolve(!response.destroyed);
    };
    const timer = setTimeout(settle, DELTA_INTERVAL_MS);
    response.on('close', settle);
  });
}
