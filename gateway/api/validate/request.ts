/** Bodies of the direct API: what is accepted, what it means when absent, and what a refusal says. */
import { z } from 'zod';
import type { Limits } from '../../../config/schema.ts';
import { CANARY_SKELETON_CHARS_MIN, tokenSkeleton } from '../../../engine/canary/needles.ts';
import { GatewayError } from '../../errors.ts';
import type { JsonNode, JsonObject } from '../../wire/json.ts';
import { pointerKey } from '../../wire/json.ts';
import { invalid } from '../../wire/request.ts';

/** Characters of one canary that a caller chooses. */
const CANARY_CHARS_MAX = 128;

const text = z.string('expected a string');
const flag = z.boolean('expected a boolean');
/** Clients write an absent value as null. */
const maybe = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? null);

const opts = z.object(
  {
    return_sanitized: maybe(flag),
    debug: maybe(flag),
    truth: maybe(z.enum(['malicious', 'benign'], 'expected malicious or benign')),
  },
  'expected an object',
);

const context = z.object(
  {
    source: maybe(z.enum(['user', 'retrieval', 'tool'], 'expected one of user, retrieval, tool')),
    mime: maybe(text),
  },
  'expected an object',
);

const attachment = z.object({ mime: maybe(text), role: maybe(text), text }, 'expected an object with a text');

export const validateSchema = z.object({
  token: maybe(text),
  tenant: maybe(text),
  prompt: text,
  system: maybe(text),
  developer: maybe(text),
  canaryToken: maybe(text),
  attachments_text: maybe(z.array(attachment, 'expected a list')),
  context: maybe(context),
  opts: maybe(opts),
  tool: maybe(text),
});

const names = z.array(text, 'expected a list of strings');
/** A map, since a caller may name a tool `__proto__`. */
const namesByTool = z.preprocess(
  (value) => (isRecord(value) ? new Map(Object.entries(value)) : value),
  z.map(z.string(), names, 'expected an object of lists of strings'),
);
const schemasByTool = z.preprocess(
  (value) => (isRecord(value) ? new Map(Object.entries(value)) : value),
  z.map(z.string(), z.unknown(), 'expected an object of JSON Schemas'),
);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const expectations = z.object(
  {
    mime: maybe(text.regex(/^\s*[\w.+-]{1,64}\/[\w.+-]{1,64}\s*(?:;.*)?$/, 'expected a media type')),
    allowedTools: maybe(names),
    toolFields: maybe(namesByTool),
    strict: maybe(flag),
    toolSchemas: maybe(schemasByTool),
  },
  'expected an object',
);

export const validateOutputSchema = z.object({
  token: maybe(text),
  tenant: maybe(text),
  output: z.unknown().optional(),
  toolCalls: z.unknown().optional(),
  expect: maybe(expectations),
  canaryPolicy: maybe(z.enum(['block', 'sanitize', 'observe'], 'expected one of block, sanitize, observe')),
  canaryTokens: maybe(names),
  canaryToken: maybe(text),
  relatesTo: maybe(text.regex(UUID, 'expected the telemetryId of a /validate answer')),
});

export type ValidateBody = z.output<typeof validateSchema>;
export type ValidateOutputBody = z.output<typeof validateOutputSchema>;

/** Checks a body against its schema. Throws a 400 that names the first wrong place. */
export function parseBody<T>(schema: z.ZodType<T>, root: JsonObject, skip: readonly string[] = []): T {
  const result = schema.safeParse(plain(root, skip));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const pointer = (issue?.path ?? []).map((key) => `/${pointerKey(String(key))}`).join('');
  throw invalid(pointer, issue?.message ?? 'expected a valid body');
}

/** Members that no schema knows: ignored, and counted so that a misspelt field can be noticed. */
export function countUnknown(root: JsonObject, schema: typeof validateSchema | typeof validateOutputSchema): number {
  const below: Record<string, z.ZodObject> = { opts, context, attachments_text: attachment, expect: expectations };
  let unknown = 0;
  const count = (node: JsonNode, shape: z.ZodObject): void => {
    if (node.kind !== 'object') return;
    for (const key of node.entries.keys()) if (!Object.hasOwn(shape.shape, key)) unknown++;
  };
  count(root, schema);
  for (const [key, shape] of Object.entries(below)) {
    const node = Object.hasOwn(schema.shape, key) ? root.entries.get(key) : undefined;
    if (node?.kind === 'array') for (const item of node.items) count(item, shape);
    else if (node !== undefined) count(node, shape);
  }
  return unknown;
}

/** Bounds one text; larger is 413. */
export function checkTextSize(value: string, pointer: string, { textLeafBytesMax }: Limits): void {
  // A UTF-16 unit is at most three bytes of UTF-8, so short texts need no count.
  if (value.length * 3 <= textLeafBytesMax || Buffer.byteLength(value, 'utf8') <= textLeafBytesMax) return;
  throw new GatewayError('request_too_large', {
    message: `The text at ${pointer} is larger than ${textLeafBytesMax} bytes.`,
    param: pointer,
  });
}

/** A canary that a caller chose; null when it is blank. Throws a 400 for one that nothing could be told by. */
export function checkCanary(value: string | null, pointer: string): string | null {
  const token = value?.trim() ?? '';
  if (token === '') return null;
  if (token.length > CANARY_CHARS_MAX) throw invalid(pointer, `expected at most ${CANARY_CHARS_MAX} characters`);
  if (tokenSkeleton(token).length < CANARY_SKELETON_CHARS_MIN) {
    throw invalid(pointer, `expected at least ${CANARY_SKELETON_CHARS_MIN} letters or digits`);
  }
  return token;
}

/** Plain data without prototypes, so that no key means anything but itself. */
function plain(node: JsonNode, skip: readonly string[]): unknown {
  switch (node.kind) {
    case 'object': {
      const object = Object.create(null) as Record<string, unknown>;
      for (const [key, value] of node.entries) if (!skip.includes(key)) object[key] = plain(value, []);
      return object;
    }
    case 'array':
      return node.items.map((item) => plain(item, []));
    default:
      return node.value;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
