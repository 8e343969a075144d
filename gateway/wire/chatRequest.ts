/**
 * OpenAI chat completion requests: which strings a model may read, who wrote them, and where canaries go.
 * Everything that is not known to be out of the model's sight counts as text, so that a new field is inspected before
 * anyone here has heard of it.
 */
import type { Carrier } from '../../engine/canary/derive.ts';
import type { Role, Segment } from '../../engine/types.ts';
import { GatewayError } from '../errors.ts';
import {
  eachString,
  JsonError,
  type JsonNode,
  type JsonObject,
  type JsonString,
  member,
  parseJson,
  stringMember,
} from './json.ts';

export interface ChatSegment extends Segment {
  readonly leaf: JsonString;
}

export interface ChatRequest {
  readonly source: string;
  readonly root: JsonObject;
  /** Null when the request names none. */
  readonly model: string | null;
  readonly stream: boolean;
  readonly segments: readonly ChatSegment[];
  /** Trusted texts that canaries are planted in. */
  readonly carriers: readonly { readonly carrier: Carrier; readonly leaf: JsonString }[];
  /** Pointers of parts that hold no text: images, audio, files. */
  readonly binary: readonly string[];
}

/** Further trusted messages are forwarded as they are. */
const CARRIERS_MAX = 8;

/** Top-level members that no model reads. */
const NOT_READ = new Set([
  'model',
  'user',
  'metadata',
  'service_tier',
  'reasoning_effort',
  'verbosity',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'modalities',
  'audio',
  'stop',
  'encoding_format',
]);

/** Names and references inside messages, not text. */
const STRUCTURAL = new Set(['role', 'type', 'id', 'tool_call_id', 'detail', 'format', 'file_id']);

/** Members whose strings are content of another kind. */
const BINARY = new Set(['image_url', 'input_audio', 'file']);

/** Reads and checks a body. Throws `GatewayError` with the JSON pointer of the problem. */
export function readChatRequest(source: string, limits: { depthMax: number; leafBytesMax: number }): ChatRequest {
  const root = readObject(source, limits.depthMax);
  const model = optionalString(root, 'model');
  const stream = optionalBoolean(root, 'stream') ?? false;
  const messages = member(root, 'messages');
  if (messages?.kind !== 'array' || messages.items.length === 0) {
    throw invalid('/messages', 'expected a list of at least one message');
  }
  const reader = new Reader(limits.leafBytesMax);
  messages.items.forEach((message, index) => {
    reader.message(message, `/messages/${index}`);
  });
  for (const [key, node] of root.entries) {
    if (key !== 'messages' && !NOT_READ.has(key)) reader.other(key, node);
  }
  return { source, root, model, stream, ...reader.result };
}

/** Parses a body that has to be an object. Throws `GatewayError`. */
export function readObject(source: string, depthMax: number): JsonObject {
  let root: JsonNode;
  try {
    root = parseJson(source, depthMax);
  } catch (cause) {
    if (cause instanceof JsonError) throw new GatewayError(cause.problem, { cause });
    throw cause;
  }
  if (root.kind !== 'object') throw invalid('', 'expected an object');
  return root;
}

/** A 400 that names the place and what was expected there. */
export function invalid(pointer: string, expected: string): GatewayError {
  const where = pointer === '' ? 'the request body' : pointer;
  return new GatewayError('invalid_request', {
    message: `Invalid value at ${where}: ${expected}.`,
    param: pointer || '/',
  });
}

class Reader {
  readonly result = {
    segments: [] as ChatSegment[],
    carriers: [] as { carrier: Carrier; leaf: JsonString }[],
    binary: [] as string[],
  };
  readonly #leafBytesMax: number;

  constructor(leafBytesMax: number) {
    this.#leafBytesMax = leafBytesMax;
  }

  message(node: JsonNode, path: string): void {
    if (node.kind !== 'object') throw invalid(path, 'expected a message object');
    const named = stringMember(node, 'role');
    if (named === null) throw invalid(`${path}/role`, 'expected a string');
    checkContent(member(node, 'content'), `${path}/content`);
    const role = roleOf(named);
    const carrier = role === 'system' || role === 'developer' ? role : null;
    for (const [key, value] of node.entries) {
      if (STRUCTURAL.has(key)) continue;
      const content = key === 'content';
      this.#strings(value, `${path}/${key}`, role, (leaf) => {
        // Only what a system message says is the operator's word; its name field is not a place for a canary.
        if (!content || carrier === null || this.result.carriers.length >= CARRIERS_MAX) return;
        if (leaf.value.trim() !== '') this.result.carriers.push({ carrier, leaf });
      });
    }
  }

  /** Tool definitions, schemas, and whatever members future APIs bring. */
  other(key: string, node: JsonNode): void {
    const role: Role = key === 'tools' || key === 'functions' ? 'tool' : key === 'documents' ? 'document' : 'user';
    this.#strings(node, `/${key}`, role, () => {});
  }

  #strings(node: JsonNode, path: string, role: Role, onText: (leaf: JsonString) => void): void {
    let binary: string | null = null;
    eachString(node, path, (leaf, at, key) => {
      if (STRUCTURAL.has(key)) return;
      const part = binaryPart(at);
      if (part !== null) {
        if (part !== binary) this.result.binary.push(part);
        binary = part;
        return;
      }
      if (leaf.value === '') return;
      // A UTF-16 unit is at most three bytes of UTF-8, so short texts need no count.
      if (leaf.value.length * 3 > this.#leafBytesMax && Buffer.byteLength(leaf.value, 'utf8') > this.#leafBytesMax) {
        throw new GatewayError('request_too_large', {
          message: `A text is larger than ${this.#leafBytesMax} bytes.`,
          param: at,
        });
      }
      const trusted = role === 'system' || role === 'developer';
      this.result.segments.push({ role, path: at, mime: 'text/plain', text: leaf.value, trusted, leaf });
      onText(leaf);
    });
  }
}

/** The pointer of the image, audio or file part that a string belongs to. */
function binaryPart(pointer: string): string | null {
  const keys = pointer.split('/');
  const index = keys.findIndex((key) => BINARY.has(key));
  return index === -1 ? null : keys.slice(0, index + 1).join('/');
}

function checkContent(node: JsonNode | null, path: string): void {
  if (node === null || node.kind === 'null' || node.kind === 'string') return;
  if (node.kind !== 'array') throw invalid(path, 'expected a string, a list of parts or null');
  node.items.forEach((part, index) => {
    if (part.kind !== 'object' && part.kind !== 'string') throw invalid(`${path}/${index}`, 'expected a content part');
  });
}

function roleOf(name: string): Role {
  switch (name) {
    case 'system':
    case 'developer':
    case 'assistant':
    case 'tool':
      return name;
    case 'function':
      return 'tool';
    default:
      return 'user';
  }
}

function optionalString(root: JsonObject, key: string): string | null {
  const node = member(root, key);
  if (node === null || node.kind === 'null') return null;
  if (node.kind !== 'string') throw invalid(`/${key}`, 'expected a string');
  return node.value;
}

function optionalBoolean(root: JsonObject, key: string): boolean | null {
  const node = member(root, key);
  if (node === null || node.kind === 'null') return null;
  if (node.kind !== 'boolean') throw invalid(`/${key}`, 'expected a boolean');
  return node.value as boolean;
}
