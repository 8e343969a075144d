/** What the demo models say: a pure function of the request, in no provider's format. */
import { z } from 'zod';

export const DEMO_MODELS = ['demo-chat', 'demo-leak'] as const;

export type DemoModel = (typeof DEMO_MODELS)[number];

export interface DemoTurn {
  readonly role: string;
  readonly text: string;
}

export interface DemoRequest {
  readonly model: DemoModel;
  /** System texts included. */
  readonly turns: readonly DemoTurn[];
  /** Names of the tools on offer. */
  readonly tools: readonly string[];
}

export interface DemoAnswer {
  /** The text in the pieces a stream sends. */
  readonly words: readonly string[];
  /** Made in place of a text. */
  readonly toolCall: { readonly name: string; readonly arguments: string } | null;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export interface DemoFailure {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
}

export type ReadRequest<T> =
  | { readonly kind: 'request'; readonly data: T; readonly model: DemoModel }
  | ({ readonly kind: 'failed' } & DemoFailure);

/** Text as a string or as parts, some of which have none. */
export const contentSchema = z.union([z.string(), z.array(z.looseObject({ text: z.string().nullish() }))]);

/** `what` is said in the message of a request of another shape. */
export function readRequest<T extends { model: string }>(
  schema: z.ZodType<T>,
  body: string,
  what: string,
): ReadRequest<T> {
  const invalid = { kind: 'failed', status: 400, code: 'invalid_request', param: null } as const;
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return { ...invalid, message: 'The request body is not valid JSON.' };
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.join('.') ?? '';
    return { ...invalid, message: `The request is not a ${what} request: see "${where}".` };
  }
  const model = DEMO_MODELS.find((id) => id === parsed.data.model);
  if (model === undefined) return { kind: 'failed', ...UNKNOWN_MODEL };
  return { kind: 'request', data: parsed.data, model };
}

export const UNKNOWN_MODEL: DemoFailure = {
  status: 404,
  code: 'model_not_found',
  message: 'The demo provider has only demo-chat and demo-leak.',
  param: 'model',
};

export function demoAnswer(request: DemoRequest): DemoAnswer {
  const inputTokens = request.turns.reduce((sum, { text }) => sum + tokens(text), 0);
  const last = request.turns.findLast(({ role }) => role === 'user')?.text ?? '';
  const tool = toolAskedFor(last, request.tools);
  // A tool result after the question means that the call was made.
  if (tool !== null && request.turns.at(-1)?.role === 'user') {
    const args = JSON.stringify({ query: 'demo', limit: 3 });
    return { words: [], toolCall: { name: tool, arguments: args }, inputTokens, outputTokens: tokens(args) };
  }
  const text = request.model === 'demo-leak' ? recital(request) : reply(last);
  // Linear: each place is tested once, one character to either side.
  const words = text.split(/(?<=\s)(?=\S)/u);
  return { words, toolCall: null, inputTokens, outputTokens: tokens(text) };
}

/** A rough count, about four characters each. */
export function tokens(text: string): number {
  return Math.ceil(text.length / 4);
}

export function textOf(content: z.infer<typeof contentSchema> | null | undefined): string {
  if (content === null || content === undefined) return '';
  return typeof content === 'string' ? content : content.map((part) => part.text ?? '').join(' ');
}

/** Pieces of tool arguments as a stream sends them. */
export function argumentPieces(args: string): readonly string[] {
  return args.match(/.{1,8}/gsu) ?? [];
}

function recital(request: DemoRequest): string {
  const system = request.turns.filter(({ role }) => role === 'system' || role === 'developer');
  if (system.length === 0) return 'There is no system message to recite.';
  return `My instructions are: ${system.map(({ text }) => text).join(' ')}`;
}

/** Acknowledges the question by its first words. */
function reply(question: string): string {
  const words = question.split(/\s+/).filter((word) => word !== '');
  if (words.length === 0) return 'Hello! Ask me anything and I will tell you what I understood.';
  const topic = words
    .slice(0, 12)
    .join(' ')
    .replace(/[.,;:!?]+$/, '');
  const more = words.length > 12 ? ', and more' : '';
  return (
    `Thank you for your message. You wrote about "${topic}"${more}. ` +
    'I am a small demo model, so this is all I can say about it.'
  );
}

function toolAskedFor(text: string, tools: readonly string[]): string | null {
  // Linear: a literal and classes that exclude each other.
  const name = /\buse tool ([\w-]+(?:\.[\w-]+)*)/i.exec(text)?.[1];
  return tools.find((tool) => tool === name) ?? null;
}
