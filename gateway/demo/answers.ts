/** What the demo models say: a pure function of the request. */
import { z } from 'zod';

export const DEMO_MODELS = ['demo-chat', 'demo-leak'] as const;

const CHOICES_MAX = 8;

const partSchema = z.looseObject({ type: z.string(), text: z.string().optional() });
const messageSchema = z.looseObject({
  role: z.string(),
  content: z.union([z.string(), z.array(partSchema)]).nullish(),
});
const requestSchema = z.looseObject({
  model: z.string(),
  messages: z.array(messageSchema).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  n: z.int().min(1).max(CHOICES_MAX).nullish(),
  tools: z.array(z.looseObject({ function: z.looseObject({ name: z.string() }).optional() })).nullish(),
});

export interface ChatRequest {
  readonly model: (typeof DEMO_MODELS)[number];
  readonly messages: readonly { readonly role: string; readonly text: string }[];
  readonly tools: readonly string[];
  readonly n: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

export type ReadChatRequest =
  | { readonly kind: 'chat'; readonly request: ChatRequest }
  | { readonly kind: 'invalid'; readonly message: string }
  | { readonly kind: 'unknown_model' };

export interface ChatAnswer {
  /** The text in the pieces a stream sends. */
  readonly words: readonly string[];
  readonly toolCall: {
    readonly id: string;
    readonly type: 'function';
    readonly function: { readonly name: string; readonly arguments: string };
  } | null;
  readonly finishReason: 'stop' | 'tool_calls';
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number; readonly total_tokens: number };
}

export function readChatRequest(body: string): ReadChatRequest {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return { kind: 'invalid', message: 'The request body is not valid JSON.' };
  }
  const parsed = requestSchema.safeParse(json);
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.join('.') ?? '';
    return { kind: 'invalid', message: `The request is not a chat completion request: see "${where}".` };
  }
  const { data } = parsed;
  const model = DEMO_MODELS.find((id) => id === data.model);
  if (model === undefined) return { kind: 'unknown_model' };
  return {
    kind: 'chat',
    request: {
      model,
      messages: data.messages.map(({ role, content }) => ({ role, text: textOf(content) })),
      tools: (data.tools ?? []).flatMap((tool) => (tool.function === undefined ? [] : [tool.function.name])),
      n: data.n ?? 1,
      stream: data.stream ?? false,
      includeUsage: data.stream_options?.include_usage ?? false,
    },
  };
}

export function chatAnswer(request: ChatRequest): ChatAnswer {
  const promptTokens = request.messages.reduce((sum, { text }) => sum + tokens(text), 0);
  const last = request.messages.findLast(({ role }) => role === 'user')?.text ?? '';
  const tool = toolAskedFor(last, request.tools);
  // A tool result after the question means that the call was made.
  if (tool !== null && request.messages.at(-1)?.role === 'user') {
    const args = JSON.stringify({ query: 'demo', limit: 3 });
    return {
      words: [],
      toolCall: { id: 'call_demo_0', type: 'function', function: { name: tool, arguments: args } },
      finishReason: 'tool_calls',
      usage: usage(promptTokens, tokens(args)),
    };
  }
  const text = request.model === 'demo-leak' ? recital(request) : reply(last);
  return {
    // Linear: each place is tested once, one character to either side.
    words: text.split(/(?<=\s)(?=\S)/u),
    toolCall: null,
    finishReason: 'stop',
    usage: usage(promptTokens, tokens(text)),
  };
}

function recital(request: ChatRequest): string {
  const system = request.messages.filter(({ role }) => role === 'system' || role === 'developer');
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

/** A rough count, about four characters each. */
function tokens(text: string): number {
  return Math.ceil(text.length / 4);
}

function usage(prompt: number, completion: number): ChatAnswer['usage'] {
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

function textOf(content: string | readonly { text?: string | undefined }[] | null | undefined): string {
  if (content === null || content === undefined) return '';
  return typeof content === 'string' ? content : content.map((part) => part.text ?? '').join(' ');
}
