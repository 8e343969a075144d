/** Answers of a mock provider as data: bodies, stream events, framings and the usual ways to be wrong. */

export type Coding = 'gzip' | 'br' | 'deflate' | 'deflate-raw' | 'gzip-label-only';

/** How events are put into lines. */
export type Framing =
  | 'lf'
  | 'crlf'
  | 'cr'
  | 'mixed'
  | 'no-space'
  | 'multi-line'
  | 'comments'
  | 'event-message'
  | 'id-retry'
  | 'bom';

export const FRAMINGS: readonly Framing[] = [
  'lf',
  'crlf',
  'cr',
  'mixed',
  'no-space',
  'multi-line',
  'comments',
  'event-message',
  'id-retry',
  'bom',
];

/** What happens instead of the rest of a stream. */
export interface Cut {
  /** Events that are sent whole. */
  readonly afterEvents: number;
  /** Half of the next event is sent too. */
  readonly midEvent?: boolean;
  /** `end` is a clean end, `reset` an RST. */
  readonly how: 'destroy' | 'reset' | 'end' | 'silence';
}

/** The payload of `data:`, or one with a line `event:` above it. */
export type StreamEvent = string | { readonly event: string; readonly data: string };

export interface StreamReply {
  /** Without `[DONE]`. */
  readonly events: readonly StreamEvent[];
  /** Gives each payload the event name that its member `type` has, as the Responses and Messages APIs do. */
  readonly named?: boolean;
  readonly framing?: Framing;
  readonly intervalMs?: number;
  /** Splits each event, or with `intervalMs` 0 the whole stream, into writes of so many bytes. */
  readonly bytesPerWrite?: number;
  /** Null sends none. */
  readonly contentType?: string | null;
  /** Whether `[DONE]` is sent. By default only after a stream without event names. */
  readonly done?: boolean;
  readonly afterDone?: readonly StreamEvent[];
  readonly cut?: Cut;
}

/** One answer. Without `body`, `json` or `stream` the body is empty. */
export interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly body?: string | Buffer;
  readonly stream?: StreamReply;
  readonly coding?: Coding;
  /** Before anything is sent. */
  readonly delayMs?: number;
  readonly fault?: 'destroy' | 'reset' | 'never' | 'head-then-silence' | 'head-then-destroy';
}

/** 2026-01-01. */
export const CREATED = 1_767_225_600;

export interface Message {
  readonly content?: string | null;
  readonly refusal?: string | null;
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ToolCall[];
  readonly [field: string]: unknown;
}

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** A chat completion; each text or message is one choice. */
export function completion(...choices: readonly (string | Message)[]): object {
  return {
    id: 'chatcmpl-mock',
    object: 'chat.completion',
    created: CREATED,
    model: 'mock-model',
    choices: choices.map((choice, index) => {
      const message = typeof choice === 'string' ? { content: choice } : choice;
      const calls = message.tool_calls?.map(({ id, name, arguments: args }) => ({
        id,
        type: 'function',
        function: { name, arguments: args },
      }));
      return {
        index,
        message: { role: 'assistant', content: null, refusal: null, ...message, ...(calls && { tool_calls: calls }) },
        logprobs: null,
        finish_reason: calls === undefined ? 'stop' : 'tool_calls',
      };
    }),
    usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  };
}

/** One chunk as text. */
export function chunk(delta: object, index = 0, finishReason: string | null = null): string {
  return rawChunk([{ index, delta, logprobs: null, finish_reason: finishReason }]);
}

export function rawChunk(choices: readonly object[], extra: object = {}): string {
  return JSON.stringify({
    id: 'chatcmpl-mock',
    object: 'chat.completion.chunk',
    created: CREATED,
    model: 'mock-model',
    choices,
    ...extra,
  });
}

export const USAGE_CHUNK = rawChunk([], { usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } });

/** Pieces of `size` code points. */
export function pieces(text: string, size: number): string[] {
  const points = [...text];
  const out: string[] = [];
  for (let at = 0; at < points.length; at += size) out.push(points.slice(at, at + size).join(''));
  return out;
}

/** The events of one choice: role, a delta for each piece, finish. */
export function contentEvents(parts: readonly string[], index = 0, field = 'content'): string[] {
  return [
    chunk({ role: 'assistant', content: '' }, index),
    ...parts.map((part) => chunk({ [field]: part }, index)),
    chunk({}, index, 'stop'),
  ];
}

/** Events of several choices, taken in turn. */
export function interleave(...lists: readonly (readonly string[])[]): string[] {
  const longest = Math.max(0, ...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_, i) => lists.flatMap((list) => list.slice(i, i + 1))).flat();
}

/** Tool calls in parallel: names first, then their arguments in pieces, in turn. */
export function toolCallEvents(calls: readonly ToolCall[], size = 4): string[] {
  const starts = calls.map(({ id, name }, index) =>
    chunk({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] }),
  );
  const args = calls.map((call, index) =>
    pieces(call.arguments, size).map((piece) => chunk({ tool_calls: [{ index, function: { arguments: piece } }] })),
  );
  return [chunk({ role: 'assistant', content: null }), ...starts, ...interleave(...args), chunk({}, 0, 'tool_calls')];
}

/** The bytes of each event, `[DONE]` and what follows it included. */
export function frameEvents(stream: StreamReply): Buffer[] {
  const events = [...stream.events];
  const hasNames = stream.named === true || events.some((event) => typeof event !== 'string');
  if (stream.done ?? !hasNames) events.push('[DONE]');
  events.push(...(stream.afterDone ?? []));
  return events.map((event, i) => Buffer.from(frame(withName(event, stream), i, stream.framing ?? 'lf')));
}

interface NamedEvent {
  readonly event: string | null;
  readonly data: string;
}

function withName(event: StreamEvent, stream: StreamReply): NamedEvent {
  if (typeof event !== 'string') return event;
  return { event: stream.named === true && event !== '[DONE]' ? typeOf(event) : null, data: event };
}

function typeOf(data: string): string | null {
  try {
    const { type } = JSON.parse(data) as { type?: unknown };
    return typeof type === 'string' ? type : null;
  } catch {
    // A payload that is broken on purpose has its name all the same.
    return /"type":"([\w.]+)"/.exec(data)?.[1] ?? null;
  }
}

const LINE_ENDS = ['\n', '\r\n', '\r', '\n', '\r\n'] as const;
const EVENT_ENDS = ['\n\n', '\r\n\r\n', '\r\r', '\n\r\n', '\r\n\n'] as const;

function frame({ event, data }: NamedEvent, i: number, framing: Framing): string {
  const name = (end: string, blank = ' ') => (event === null ? '' : `event:${blank}${event}${end}`);
  switch (framing) {
    case 'lf':
      return `${name('\n')}data: ${data}\n\n`;
    case 'crlf':
      return `${name('\r\n')}data: ${data}\r\n\r\n`;
    case 'cr':
      return `${name('\r')}data: ${data}\r\r`;
    case 'mixed':
      return `${name(LINE_ENDS[i % 5] ?? '')}data: ${data}${EVENT_ENDS[i % 5]}`;
    case 'no-space':
      return `${name('\n', '')}data:${data}\n\n`;
    case 'multi-line':
      // Between the first two members of the object a line end is white space.
      return `${name('\n')}data: ${data.replace(',"', '\ndata: ,"')}\n\n`;
    case 'comments':
      return `: keep-alive\n\n: processing\n${name('\n')}data: ${data}\n\n`;
    case 'event-message':
      return `${name('\n') || 'event: message\n'}data: ${data}\n\n`;
    case 'id-retry':
      return `id: ${i}\nretry: 3000\n${name('\n')}data: ${data}\n\n`;
    case 'bom':
      return `${i === 0 ? '\u{feff}' : ''}${name('\n')}data: ${data}\n\n`;
    default: {
      const never: never = framing;
      throw new Error(`unknown framing ${String(never)}`);
    }
  }
}

const ERROR = { message: 'Something went wrong.', type: 'server_error', param: null, code: null };

/** Answers of providers in trouble. */
export const TROUBLE = {
  html200: { headers: { 'content-type': 'text/html' }, body: '<!doctype html><title>Sign in</title>' },
  empty200: { headers: { 'content-type': 'application/json' }, body: '' },
  errorIn200: { json: { error: ERROR } },
  errorEvent: { stream: { events: [chunk({ content: 'Hello' }), JSON.stringify({ error: ERROR })] } },
  truncatedJson: {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(completion('Hello there')).slice(0, -40),
  },
  brokenEvent: { stream: { events: [chunk({ content: 'Hello' }), '{"choices":[{"index":0,', chunk({}, 0, 'stop')] } },
  redirect: { status: 302, headers: { location: 'http://169.254.169.254/latest/meta-data/' } },
  rateLimited: {
    status: 429,
    headers: { 'retry-after': '7', 'x-ratelimit-remaining-requests': '0' },
    json: { error: { ...ERROR, type: 'rate_limit_error', code: 'rate_limit_exceeded' } },
  },
  serverError: { status: 500, json: { error: ERROR } },
  hugeHeader: { headers: { 'x-huge': 'a'.repeat(64 * 1024) }, json: completion('Hello') },
} as const satisfies Record<string, Reply>;
