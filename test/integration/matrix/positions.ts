/** Where in an answer a leak may stand. Every surface says of every position how it is filled, or why it has none. */
import { completion, type Reply } from '../../helpers/mockUpstream.ts';

export const POSITIONS = [
  'content',
  'content in parts',
  'second choice',
  'refusal',
  'reasoning',
  'reasoning, second form',
  'reasoning, third form',
  'tool name',
  'tool arguments',
  'tool arguments, escaped',
  'tool argument key',
  'custom tool input',
  'older tool form, name',
  'other tool form, arguments',
  'log-probabilities',
  'log-probability alternative',
  'annotations',
  'finish reason',
  'id',
  'model',
  'unknown field of the message',
  'nested unknown field of the message',
  'unknown field of the choice',
  'unknown field of the answer',
  'unknown event',
  'object key',
  'key within the message',
  'response header',
  'error body, 400',
  'error body, 500',
  'error as a string',
  'error in a 200',
  'error of the answer',
  'echoed instructions',
  'echo beside a leak',
  'retrieved response',
] as const;
export type PositionName = (typeof POSITIONS)[number];

export const MODES = ['whole', 'stream'] as const;
export type Mode = (typeof MODES)[number];

/**
 * How the gateway reads a place. `shown` is shown or run, so it can be rewritten; `spelled` repeats it token by token
 * and goes with it; `leaf` stands for itself and is never rewritten; `echo` is the prompt, which the client gets back
 * as it wrote it; `dropped` is replaced by an error of the gateway before anybody asks what it says.
 */
export type Reading = 'shown' | 'spelled' | 'leaf' | 'echo' | 'dropped';

/** What the mock knows when it answers. */
export interface Leak {
  /** What must not come through. */
  readonly secret: string;
  /** The system text as the provider has it, canary included. */
  readonly systemText: string;
}

export interface Filled {
  readonly reads: Reading;
  readonly reply: (leak: Leak) => Reply;
}

/** A position that the format does not have. */
export interface Absent {
  readonly absent: string;
}

export type Position = Readonly<Record<Mode, Filled | Absent>>;
export type Positions = Readonly<Record<PositionName, Position>>;

export function isAbsent(cell: Filled | Absent): cell is Absent {
  return 'absent' in cell;
}

/** No mode has it. */
export function absent(reason: string): Position {
  return { whole: { absent: reason }, stream: { absent: reason } };
}

type Reply1 = (secret: string, systemText: string) => Reply;

/** The position in both modes. */
export function filled(reads: Reading, whole: Reply1, stream: Reply1): Position {
  return { whole: one(reads, whole), stream: one(reads, stream) };
}

export function one(reads: Reading, reply: Reply1): Filled {
  return { reads, reply: ({ secret, systemText }) => reply(secret, systemText) };
}

/** Positions of a surface that has no streams; those that are not given have the reason. */
export function wholeOnly(
  given: Partial<Record<PositionName, Filled | Absent>>,
  reason: string,
  noStream = 'has no streams',
): Positions {
  return Object.fromEntries(
    POSITIONS.map((name) => [name, { whole: given[name] ?? { absent: reason }, stream: { absent: noStream } }]),
  ) as unknown as Positions;
}

/** A relayed header. */
export const HEADER = (secret: string): Record<string, string> => ({ 'x-ratelimit-note': `limit ${secret}` });

export const openaiError = (status: number) => (secret: string) => ({
  status,
  json: { error: { message: `No: ${secret}`, type: 'server_error', param: null, code: null } },
});

/** Errors of a provider with the error object of OpenAI. */
export const OPENAI_ERRORS = {
  'error body, 400': filled('leaf', openaiError(400), openaiError(400)),
  'error body, 500': filled('leaf', openaiError(500), openaiError(500)),
  'error as a string': filled(
    'leaf',
    (secret) => ({ status: 400, json: { error: secret } }),
    (secret) => ({ status: 400, json: { error: secret } }),
  ),
};

/** A whole chat answer that is one call of a custom tool. */
export function customCallReply(id: string, name: string, input: string): Reply {
  const message = { role: 'assistant', content: null, tool_calls: [{ id, type: 'custom', custom: { name, input } }] };
  return { json: { ...completion('unused'), choices: [{ index: 0, message, finish_reason: 'tool_calls' }] } };
}

/** Every character as a JSON escape. */
export function escaped(text: string): string {
  return [...text].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
}
