/** OpenAI chat completion requests. */
import type { Role } from '../../engine/types.ts';
import { type JsonNode, type JsonString, member, stringMember } from './json.ts';
import {
  invalid,
  type ModelRequest,
  optionalBoolean,
  optionalString,
  type ReadLimits,
  RequestReader,
  readObject,
} from './request.ts';
import { CHAT_WORDS } from './vocabulary.ts';

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
/** Parts of a content list whose strings are content of another kind. */
const BINARY = /^\/messages\/\d+\/content\/\d+\/(?:image_url|input_audio|file)(?:\/(?:url|data|file_data|file_id))?$/;
/** Where a message says something: its content, and the texts in a list of parts. */
const CONTENT = /^\/messages\/\d+\/content(?:\/\d+\/text)?$/;

/** Reads and checks a body. Throws `GatewayError` with the JSON pointer of the problem. */
export function readChatRequest(source: string, limits: ReadLimits): ModelRequest {
  const root = readObject(source, limits);
  const model = optionalString(root, 'model');
  const stream = optionalBoolean(root, 'stream') ?? false;
  const messages = member(root, 'messages');
  if (messages?.kind !== 'array' || messages.items.length === 0) {
    throw invalid('/messages', 'expected a list of at least one message');
  }
  const reader = new RequestReader(limits, CHAT_WORDS);
  messages.items.forEach((message, index) => {
    readMessage(reader, message, `/messages/${index}`);
  });
  for (const [key, node] of root.entries) {
    if (key !== 'messages' && !NOT_READ.has(key)) reader.node(node, `/${key}`, roleOfMember(key));
  }
  return reader.result({ source, root, model, stream, continued: null });
}

function readMessage(reader: RequestReader, node: JsonNode, path: string): void {
  if (node.kind !== 'object') throw invalid(path, 'expected a message object');
  const role = messageRole(stringMember(node, 'role'), `${path}/role`);
  checkContent(member(node, 'content'), `${path}/content`);
  const carrier = role === 'system' || role === 'developer' ? role : null;
  for (const [key, value] of node.entries) {
    if (key === 'role') continue;
    reader.strings(value, `${path}/${key}`, role, {
      isContent: (at) => CONTENT.test(at),
      binaryPart,
      // Only what a system message says is the operator's word; its other members are no place for a canary.
      onContent: (leaf) => {
        if (carrier !== null) reader.carrier(carrier, leaf);
      },
    });
  }
  reader.keys(node, path, role);
}

function binaryPart(path: string, _leaf: JsonString): string | null {
  return BINARY.test(path) ? path.split('/').slice(0, 6).join('/') : null;
}

/** Tool definitions, schemas, and whatever members future APIs bring. */
function roleOfMember(key: string): Role {
  return key === 'tools' || key === 'functions' ? 'tool' : key === 'documents' ? 'document' : 'user';
}

function checkContent(node: JsonNode | null, path: string): void {
  if (node === null || node.kind === 'null' || node.kind === 'string') return;
  if (node.kind !== 'array') throw invalid(path, 'expected a string, a list of parts or null');
  node.items.forEach((part, index) => {
    if (part.kind !== 'object' && part.kind !== 'string') throw invalid(`${path}/${index}`, 'expected a content part');
  });
}

/** The role of a message by its name; names nobody knows are a user's. Throws `invalid_request`. */
export function messageRole(name: string | null, path: string): Role {
  if (name === null) throw invalid(path, 'expected a string');
  if (!ROLE.test(name)) throw invalid(path, 'expected a role name');
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
