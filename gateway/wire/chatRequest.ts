/**
 * OpenAI chat completion requests: which strings a model may read, who wrote them, and where canaries go.
 * Everything that is not known to be out of the model's sight counts as text, so that a new field is inspected before
 * anyone here has heard of it.
 */
import type { Carrier } from '../../engine/canary/derive.ts';
import type { Role, Segment } from '../../engine/types.ts';
import { GatewayError } from '../errors.ts';
import {
  eachKey,
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
  /** Null for keys, which are read and cannot be rewritten. */
  readonly leaf: JsonString | null;
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
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'modalities',
  'audio',
  'stop',
  'encoding_format',
]);

/** A role is a name: templates print it beside their control tokens. */
const ROLE = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/;
/** What a `type` looks like; anything else under that key is read as text. */
const TYPE = /^[a-z][a-z0-9_]{0,31}$/;
/** Parts of a content list whose strings are content of another kind. */
const BINARY = /^\/messages\/\d+\/content\/\d+\/(?:image_url|input_audio|file)(?:\/(?:url|data|file_data|file_id))?$/;
/** Data URLs and files that hold text are text. */
const TEXT_DATA = /^data:(?:text\/|application\/(?:json|xml|yaml))/i;
/** Where a message says something: its content, and the texts in a list of parts. */
const CONTENT = /^\/messages\/\d+\/content(?:\/\d+\/text)?$/;
/** Keys from this length on can say something; property names of a schema reach the model like its texts. */
const KEY_CHARS_MIN = 9;

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
    if (!ROLE.test(named)) throw invalid(`${path}/role`, 'expected a role name');
    checkContent(member(node, 'content'), `${path}/content`);
    const role = roleOf(named);
    const carrier = role === 'system' || role === 'developer' ? role : null;
    for (const [key, value] of node.entries) {
      if (key === 'role') continue;
      this.#strings(value, `${path}/${key}`, role, (leaf) => {
        // Only what a system message says is the operator's word; its other members are no place for a canary.
        if (carrier === null || this.result.carriers.length >= CARRIERS_MAX) return;
        if (leaf.value.trim() !== '') this.result.carriers.push({ carrier, leaf });
      });
    }
    this.#keys(node, path, role);
  }

  /** Tool definitions, schemas, and whatever members future APIs bring. */
  other(key: string, node: JsonNode): void {
    const role: Role = key === 'tools' || key === 'functions' ? 'tool' : key === 'documents' ? 'document' : 'user';
    this.#strings(node, `/${key}`, role, () => {});
    this.#keys(node, `/${key}`, role);
  }

  /** Long keys, as one text that can stop a request and cannot be rewritten. */
  #keys(node: JsonNode, path: string, role: Role): void {
    const keys: string[] = [];
    eachKey(node, KEY_CHARS_MIN, (key) => keys.push(key));
    if (keys.length > 0) this.#segment(keys.join('\n'), `${path}#keys`, role, null);
  }

  #strings(node: JsonNode, path: string, role: Role, onContent: (leaf: JsonString) => void): void {
    let binary = '';
    eachString(node, path, (leaf, at, key) => {
      if (leaf.value === '' || (key === 'type' && TYPE.test(leaf.value))) return;
      const part = BINARY.test(at) && !TEXT_DATA.test(leaf.value) ? at.split('/').slice(0, 6).join('/') : null;
      if (part === null) {
        this.#segment(leaf.value, at, role, leaf);
        if (CONTENT.test(at)) onContent(leaf);
      } else if (part !== binary) {
        this.result.binary.push(part);
        binary = part;
      }
    });
  }

  #segment(text: string, path: string, role: Role, leaf: JsonString | null): void {
    // A UTF-16 unit is at most three bytes of UTF-8, so short texts need no count.
    if (text.length * 3 > this.#leafBytesMax && Buffer.byteLength(text, 'utf8') > this.#leafBytesMax) {
      throw new GatewayError('request_too_large', {
        message: `A text is larger than ${this.#leafBytesMax} bytes.`,
        param: path,
      });
    }
    const trusted = role === 'system' || role === 'developer';
    const aside = !CONTENT.test(path);
    this.result.segments.push({ role, path, mime: 'text/plain', text, trusted, leaf, ...(aside && { aside }) });
  }
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
