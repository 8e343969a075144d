/**
 * The provider a fresh install talks to: two deterministic models on a loopback port, reached like any other
 * OpenAI-compatible or Anthropic-compatible upstream. `demo-chat` answers politely; `demo-leak` recites its system
 * text, so that a blocked leak can be watched. Needs no key, logs nothing, and keeps only the latest responses, in
 * memory, for requests that name them.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DemoFailure } from './answers.ts';
import { answerChat } from './chat.ts';
import { NOT_HERE, readBody, sendOpenAiError, TOO_LARGE } from './http.ts';
import { ResponseMemory } from './memory.ts';
import { answerMessages, sendAnthropicError } from './messages.ts';
import { answerCompletion, answerEmbeddings, answerModel, answerModels } from './plain.ts';
import { answerKept, answerResponses } from './responses.ts';

export interface DemoProvider {
  /** Base URL, ends in `/v1`. */
  readonly url: string;
  close(): Promise<void>;
}

export async function startDemoProvider(): Promise<DemoProvider> {
  const memory = new ResponseMemory();
  const server = createServer((request, response) => {
    route(request, response, memory).catch(() => response.destroy());
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

interface Endpoint {
  readonly answer: (body: string, response: ServerResponse, memory: ResponseMemory) => Promise<void>;
  readonly fail: (response: ServerResponse, failure: DemoFailure) => void;
}

/** What takes a JSON body. */
const ENDPOINTS: ReadonlyMap<string, Endpoint> = new Map([
  ['/v1/chat/completions', { answer: answerChat, fail: sendOpenAiError }],
  ['/v1/completions', { answer: answerCompletion, fail: sendOpenAiError }],
  ['/v1/responses', { answer: answerResponses, fail: sendOpenAiError }],
  ['/v1/messages', { answer: answerMessages, fail: sendAnthropicError }],
  ['/v1/embeddings', { answer: answerEmbeddings, fail: sendOpenAiError }],
]);

const MODELS = '/v1/models';
const RESPONSES = '/v1/responses/';

async function route(request: IncomingMessage, response: ServerResponse, memory: ResponseMemory): Promise<void> {
  const { method = '', url = '' } = request;
  const [path = '', query = ''] = url.split('?', 2);
  const endpoint = ENDPOINTS.get(path);
  if (endpoint !== undefined && method === 'POST') {
    const body = await readBody(request);
    if (body === null) return endpoint.fail(response, TOO_LARGE);
    return endpoint.answer(body, response, memory);
  }
  if (method === 'GET' && path === MODELS) return answerModels(response);
  if (method === 'GET' && path.startsWith(`${MODELS}/`)) return answerModel(path.slice(MODELS.length + 1), response);
  if (path.startsWith(RESPONSES)) {
    const [id = '', part = ''] = path.slice(RESPONSES.length).split('/');
    return answerKept({ method, id, part, query: new URLSearchParams(query) }, response, memory);
  }
  (endpoint?.fail ?? sendOpenAiError)(response, NOT_HERE);
}
