/**
 * The provider a fresh install talks to: two deterministic models on a loopback port, reached like any other
 * OpenAI-compatible upstream. `demo-chat` answers politely; `demo-leak` recites its system message, so that a
 * blocked leak can be watched. Needs no key, stores and logs nothing.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ChatAnswer, type ChatRequest, chatAnswer, DEMO_MODELS, readChatRequest } from './answers.ts';

const BODY_BYTES_MAX = 16 * 1024 * 1024;
/** Slow enough for a person to see the words arrive. */
const DELTA_INTERVAL_MS = 20;
/** 2026-01-01; a constant, so that the same request has the same answer. */
const CREATED = 1_767_225_600;

export interface DemoProvider {
  /** Base URL, ends in `/v1`. */
  readonly url: string;
  close(): Promise<void>;
}

export async function startDemoProvider(): Promise<DemoProvider> {
  const server = createServer((request, response) => {
    route(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '').split('?')[0];
  if (path === '/v1/models' && request.method === 'GET') {
    const data = DEMO_MODELS.map((id) => ({ id, object: 'model', created: CREATED, owned_by: 'portcullis-demo' }));
    return sendJson(response, 200, { object: 'list', data });
  }
  if (path !== '/v1/chat/completions' || request.method !== 'POST') {
    return sendError(response, 404, 'not_found', 'The demo provider has only /v1/models and /v1/chat/completions.');
  }

  const body = await readBody(request);
  if (body === null) return sendError(response, 413, 'request_too_large', 'The request is too large.');
  const chat = readChatRequest(body);
  if (chat.kind === 'invalid') return sendError(response, 400, 'invalid_request', chat.message);
  if (chat.kind === 'unknown_model') {
    return sendError(response, 404, 'model_not_found', 'The demo provider has only demo-chat and demo-leak.', 'model');
  }
  const answer = chatAnswer(chat.request);
  if (chat.request.stream) await streamAnswer(response, chat.request, answer);
  else sendJson(response, 200, wholeAnswer(chat.request, answer));
}

function wholeAnswer(request: ChatRequest, answer: ChatAnswer): object {
  const message = {
    role: 'assistant',
    content: answer.toolCall === null ? answer.words.join('') : null,
    refusal: null,
    ...(answer.toolCall === null ? {} : { tool_calls: [answer.toolCall] }),
  };
  const choices = Array.from({ length: request.n }, (_, index) => ({
    index,
    message,
    logprobs: null,
    finish_reason: answer.finishReason,
  }));
  return { ...common(request, 'chat.completion'), choices, usage: answer.usage };
}

async function streamAnswer(response: ServerResponse, request: ChatRequest, answer: ChatAnswer): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  const indexes = Array.from({ length: request.n }, (_, index) => index);
  const chunk = (choices: object[], extra: object = {}) => {
    const usage = request.includeUsage ? { usage: null } : {};
    return `data: ${JSON.stringify({ ...common(request, 'chat.completion.chunk'), choices, ...usage, ...extra })}\n\n`;
  };
  const all = (delta: object, finishReason: string | null = null) =>
    indexes.map((index) => chunk([{ index, delta, finish_reason: finishReason }])).join('');

  response.write(all({ role: 'assistant', content: answer.toolCall === null ? '' : null }));
  if (answer.toolCall !== null) {
    const { id, type, function: call } = answer.toolCall;
    response.write(all({ tool_calls: [{ index: 0, id, type, function: { name: call.name, arguments: '' } }] }));
    for (const piece of call.arguments.match(/.{1,8}/gsu) ?? []) {
      if (!(await pace(response))) return;
      response.write(all({ tool_calls: [{ index: 0, function: { arguments: piece } }] }));
    }
  }
  for (const word of answer.words) {
    if (!(await pace(response))) return;
    response.write(all({ content: word }));
  }
  response.write(all({}, answer.finishReason));
  if (request.includeUsage) response.write(chunk([], { usage: answer.usage }));
  response.end('data: [DONE]\n\n');
}

/** Waits for the time of the next delta; false once the client has left. */
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

function common(request: ChatRequest, object: string): object {
  return { id: 'chatcmpl-demo', object, created: CREATED, model: request.model, system_fingerprint: 'demo' };
}

/** Null when the body is too large. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) return null;
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function sendError(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  param: string | null = null,
): void {
  sendJson(response, status, { error: { message, type: 'invalid_request_error', param, code } });
}
