/** What a mock provider keeps of a request, whatever its format. */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { finished } from 'node:stream/promises';

/** The format of a request by the end of its path. */
export type MockSurface = 'chat' | 'completions' | 'responses' | 'messages' | 'other';

/** A request as the provider saw it. */
export interface RecordedRequest {
  /** Counts the requests of one mock from 1; never given twice. */
  readonly ordinal: number;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Without the question mark; empty when there is none. */
  readonly query: string;
  readonly surface: MockSurface;
  readonly headers: IncomingHttpHeaders;
  readonly rawBody: Buffer;
  readonly text: string;
  /** Undefined when the body is not JSON. */
  readonly json: unknown;
  /** `instructions` or `system`, then the text of all system and developer messages: what may carry a canary. */
  readonly systemText: string;
  /** Messages, input items with a role or an output, or prompts. */
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

export interface Received {
  readonly ordinal: number;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawBody: Buffer;
}

export function record(received: Received, response: ServerResponse): RecordedRequest {
  const { ordinal, method, url, headers, rawBody } = received;
  const at = url.indexOf('?');
  const path = at === -1 ? url : url.slice(0, at);
  const text = rawBody.toString();
  const json = parsed(text);
  const body = isObject(json) ? json : {};
  const surface = surfaceOf(path);
  const messages = messagesOf(body);
  const lead = [body.instructions, body.system].filter((value) => value !== undefined && value !== null).map(textOf);
  const system = messages.filter(({ role }) => role === 'system' || role === 'developer').map((said) => said.text);
  const request: RecordedRequest = {
    ordinal,
    method,
    path,
    query: at === -1 ? '' : url.slice(at + 1),
    surface,
    headers,
    rawBody,
    text,
    json,
    messages,
    systemText: [...lead, ...system].join('\n'),
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

type Json = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function surfaceOf(path: string): MockSurface {
  if (path.endsWith('/chat/completions')) return 'chat';
  if (path.endsWith('/completions')) return 'completions';
  if (path.endsWith('/responses')) return 'responses';
  return path.endsWith('/messages') ? 'messages' : 'other';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function messagesOf(body: Json): { role: string; text: string }[] {
  const said = body.messages ?? body.input ?? body.prompt;
  if (typeof said === 'string') return [{ role: 'user', text: said }];
  if (!Array.isArray(said)) return [];
  return said.flatMap((item: unknown) => {
    if (typeof item === 'string') return [{ role: 'user', text: item }];
    if (!isObject(item)) return [];
    if (typeof item.role === 'string') return [{ role: item.role, text: textOf(item.content) }];
    return item.output === undefined ? [] : [{ role: 'tool', text: textOf(item.output) }];
  });
}

/** Text of a string, of parts, or of what parts hold. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (Array.isArray(content)) return content.map(textOf).join('');
  return isObject(content) ? textOf(content.text ?? content.content) : '';
}
