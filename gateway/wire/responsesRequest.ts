/** OpenAI Responses requests. */
import type { Role } from '../../engine/types.ts';
import { messageRole } from './chatRequest.ts';
import { type JsonNode, type JsonObject, member, pointerKey, stringMember } from './json.ts';
import {
  type Continued,
  invalid,
  type ModelRequest,
  optionalBoolean,
  optionalString,
  type ReadLimits,
  RequestReader,
  readObject,
  type StringsOptions,
} from './request.ts';
import { RESPONSES_WORDS } from './vocabulary.ts';

/** Top-level members that no model reads, and those that are read apart. */
const NOT_READ = new Set([
  'model',
  'user',
  'metadata',
  'store',
  'background',
  'include',
  'stream',
  'stream_options',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
  'truncation',
  'moderation',
  'conversation',
  'previous_response_id',
  'instructions',
  'input',
  'prompt',
]);

/** Below an item: where it says something. Linear: anchored, one way to read each segment. */
const SAID =
  /^\/(?:content|output|outputs|results|summary)(?:\/\d+(?:\/(?:text|refusal|stdout|stderr|logs))?)?$|^\/(?:result|reason)$/;
/** Below an item: a part that is an image, audio or a file, and the string that stands for it. Linear for the same reason. */
const BINARY =
  /^(\/(?:content|output)(?:\/\d+)?)\/(?:image_url|input_audio|file|file_data|file_url|file_id)(?:\/(?:url|data|file_data|file_id))?$/;
/** What only the provider can read. */
const SEALED = new Set(['reasoning', 'compaction']);
/** Images that tools have made. */
const MADE: ReadonlyMap<string, RegExp> = new Map([
  ['image_generation_call', /^\/result$/],
  ['code_interpreter_call', /^\/outputs\/\d+\/url$/],
]);

/** Items in which the model speaks or calls. */
const BY_ASSISTANT = new Set([
  'reasoning',
  'function_call',
  'custom_tool_call',
  'computer_call',
  'local_shell_call',
  'shell_call',
  'apply_patch_call',
  'mcp_call',
  'mcp_approval_request',
  'code_interpreter_call',
  'file_search_call',
  'web_search_call',
  'image_generation_call',
  'tool_search_call',
  'program',
]);
const BY_TOOL = new Set(['mcp_list_tools', 'additional_tools']);
/** What a call that the provider ran has brought back. */
const CALL_RESULTS: ReadonlyMap<string, Role> = new Map([
  ['output', 'tool'],
  ['outputs', 'tool'],
  ['error', 'tool'],
  ['results', 'document'],
]);
/** Of a remote tool server: where it is and how to log in there, for the provider alone. */
const MCP_CONNECTION = ['server_url', 'authorization', 'headers'];

/** Reads and checks a body. Throws `GatewayError` with the JSON pointer of the problem. */
export function readResponsesRequest(source: string, limits: ReadLimits): ModelRequest {
  const root = readObject(source, limits);
  const model = optionalString(root, 'model');
  const stream = optionalBoolean(root, 'stream') ?? false;
  const responseId = optionalString(root, 'previous_response_id');
  const conversation = member(root, 'conversation');
  if (conversation !== null && conversation.kind !== 'null') {
    throw invalid('/conversation', 'is not supported: its history cannot be inspected');
  }
  const reader = new RequestReader(limits, RESPONSES_WORDS);
  const itemIds: string[] = [];
  readInstructions(reader, member(root, 'instructions'), itemIds);
  const hasPrompt = readPrompt(reader, member(root, 'prompt'));
  readInput(reader, member(root, 'input'), { itemIds, mayBeEmpty: hasPrompt || responseId !== null });
  for (const [key, node] of root.entries) {
    if (NOT_READ.has(key)) continue;
    if (key === 'tools' && node.kind === 'array') readTools(reader, node.items, '/tools');
    else reader.node(node, `/${pointerKey(key)}`, key === 'tools' ? 'tool' : 'user');
  }
  const continued: Continued | null = responseId === null && itemIds.length === 0 ? null : { responseId, itemIds };
  return reader.result({ source, root, model, stream, continued });
}

/** The operator's text. In a list of items each has an author of its own, and only the operator's are trusted. */
function readInstructions(reader: RequestReader, node: JsonNode | null, itemIds: string[]): void {
  if (node === null || node.kind === 'null') return;
  if (node.kind === 'string') {
    readText(reader, node, '/instructions', 'system');
    return;
  }
  if (node.kind !== 'array') throw invalid('/instructions', 'expected a string or a list of items');
  node.items.forEach((item, index) => {
    readItem(reader, item, `/instructions/${index}`, 'system', itemIds);
  });
}

interface InputOptions {
  readonly itemIds: string[];
  /** The provider has something to answer without it. */
  readonly mayBeEmpty: boolean;
}

function readInput(reader: RequestReader, node: JsonNode | null, { itemIds, mayBeEmpty }: InputOptions): void {
  if (mayBeEmpty && (node === null || node.kind === 'null')) return;
  if (node?.kind === 'string') {
    readText(reader, node, '/input', 'user');
    return;
  }
  if (node?.kind !== 'array' || (node.items.length === 0 && !mayBeEmpty)) {
    throw invalid('/input', 'expected a string or a list of at least one item');
  }
  node.items.forEach((item, index) => {
    readItem(reader, item, `/input/${index}`, 'user', itemIds);
  });
}

/** A stored prompt: its text is the provider's, its variables are the caller's. */
function readPrompt(reader: RequestReader, node: JsonNode | null): boolean {
  if (node === null || node.kind === 'null') return false;
  if (node.kind !== 'object') throw invalid('/prompt', 'expected an object');
  for (const [key, value] of without(node, ['id', 'version']).entries) {
    if (key !== 'variables' || value.kind !== 'object') {
      reader.node(value, `/prompt/${pointerKey(key)}`, 'user');
      continue;
    }
    // A variable is a text or a content part, so it is read as the content of an item of its own.
    reader.strings(value, '/prompt/variables', 'user', {
      isContent: (at) => /^\/prompt\/variables\/[^/]*(?:\/text)?$/.test(at),
      binaryPart: (at) => {
        const [, , , name, ...rest] = at.split('/');
        return BINARY.test(`/content/${rest.join('/')}`) ? `/prompt/variables/${name}` : null;
      },
    });
    reader.keys(value, '/prompt/variables', 'user');
  }
  return true;
}

function readText(reader: RequestReader, node: JsonNode, path: string, role: Role): void {
  reader.strings(node, path, role, { isContent: () => true, onContent: carrierOf(reader, role) });
}

function readItem(reader: RequestReader, node: JsonNode, path: string, author: Role, itemIds: string[]): void {
  if (node.kind === 'string') {
    readText(reader, node, path, author);
    return;
  }
  if (node.kind !== 'object') throw invalid(path, 'expected an input item');
  const type = itemType(node, path);
  switch (type) {
    case 'message':
      if (isStored(node, type)) itemIds.push(stringMember(node, 'id') as string);
      readMessage(reader, node, path);
      return;
    case 'item_reference': {
      const id = stringMember(node, 'id');
      if (id === null) throw invalid(`${path}/id`, 'expected a string');
      itemIds.push(id);
      reader.node(without(node, ['id']), path, 'user');
      return;
    }
    case 'function_call_output':
    case 'custom_tool_call_output':
      checkContent(member(node, 'output'), `${path}/output`);
      break;
    default:
  }
  if (isStored(node, type)) itemIds.push(stringMember(node, 'id') as string);
  readTyped(reader, node, path, type);
}

/** Says nothing of what an item holds. */
const NOT_CONTENT = new Set(['id', 'type', 'status', 'role', 'object', 'created_by', 'phase']);

/** What items that the provider made hold beside what they were asked. */
const RESULTS: ReadonlyMap<string, string> = new Map([
  ['image_generation_call', 'result'],
  ['file_search_call', 'results'],
  ['code_interpreter_call', 'outputs'],
]);

/** Whether the provider has to look an item up by its id, since what it holds is not all given. */
function isStored(node: JsonObject, type: string): boolean {
  // Outputs are the client's own.
  if (!stringMember(node, 'id') || type.endsWith('_output')) return false;
  const result = RESULTS.get(type);
  if (result !== undefined) return isMissing(member(node, result));
  if (type === 'reasoning') return (stringMember(node, 'encrypted_content') ?? '') === '';
  return [...node.entries].every(([key, value]) => NOT_CONTENT.has(key) || isEmpty(value));
}

/** An empty list is a result. */
function isMissing(node: JsonNode | null): boolean {
  return node === null || node.kind === 'null' || (node.kind === 'string' && node.value === '');
}

function isEmpty(node: JsonNode): boolean {
  switch (node.kind) {
    case 'null':
      return true;
    case 'string':
      return node.value === '';
    case 'array':
      return node.items.length === 0;
    case 'object':
      return node.entries.size === 0;
    default:
      return false;
  }
}

/** Messages and references may leave their type out. */
function itemType(node: JsonObject, path: string): string {
  const type = member(node, 'type');
  if (type?.kind === 'string') return type.value;
  if (type !== null && type.kind !== 'null') throw invalid(`${path}/type`, 'expected a string');
  const isReference = member(node, 'role') === null && member(node, 'content') === null && member(node, 'id') !== null;
  return isReference ? 'item_reference' : 'message';
}

function readMessage(reader: RequestReader, node: JsonObject, path: string): void {
  const role = messageRole(stringMember(node, 'role'), `${path}/role`);
  checkContent(member(node, 'content'), `${path}/content`);
  const options = { ...itemOptions(path, 'message'), onContent: carrierOf(reader, role) };
  reader.strings(without(node, ['role']), path, role, options);
  reader.keys(node, path, role);
}

function readTyped(reader: RequestReader, node: JsonObject, path: string, type: string): void {
  const author = roleOfType(type);
  const options = itemOptions(path, type);
  const tools = member(node, 'tools');
  const listsTools = tools?.kind === 'array';
  if (listsTools) readTools(reader, tools.items, `${path}/tools`);
  const rest = listsTools ? without(node, ['tools']) : node;
  for (const [key, value] of rest.entries) {
    const role = author === 'assistant' ? (CALL_RESULTS.get(key) ?? author) : author;
    reader.strings({ ...rest, entries: new Map([[key, value]]) }, path, role, options);
  }
  reader.keys(rest, path, author);
}

function roleOfType(type: string): Role {
  if (BY_ASSISTANT.has(type)) return 'assistant';
  return BY_TOOL.has(type) || type.endsWith('_output') ? 'tool' : 'user';
}

/** Definitions reach the model; how the provider connects to a tool server does not. */
function readTools(reader: RequestReader, tools: readonly JsonNode[], path: string): void {
  tools.forEach((tool, index) => {
    const isMcp = stringMember(tool, 'type') === 'mcp' && tool.kind === 'object';
    reader.node(isMcp ? without(tool, MCP_CONNECTION) : tool, `${path}/${index}`, 'tool');
  });
}

function itemOptions(path: string, type: string): StringsOptions {
  const made = MADE.get(type);
  return {
    isContent: (at) => SAID.test(at.slice(path.length)),
    binaryPart: (at) => {
      const below = at.slice(path.length);
      const part = BINARY.exec(below);
      if (part !== null) return `${path}${part[1]}`;
      return made?.test(below) === true ? at : null;
    },
    sealedPart: (at) => (SEALED.has(type) && at === `${path}/encrypted_content` ? at : null),
  };
}

/** Only what the operator says is a place for a canary. */
function carrierOf(reader: RequestReader, role: Role): NonNullable<StringsOptions['onContent']> {
  return role === 'system' || role === 'developer' ? (leaf) => reader.carrier(role, leaf) : () => {};
}

function checkContent(node: JsonNode | null, path: string): void {
  if (node === null || node.kind === 'null' || node.kind === 'string') return;
  if (node.kind !== 'array') throw invalid(path, 'expected a string, a list of parts or null');
  node.items.forEach((part, index) => {
    if (part.kind !== 'object' && part.kind !== 'string') throw invalid(`${path}/${index}`, 'expected a content part');
  });
}

function without(node: JsonObject, keys: readonly string[]): JsonObject {
  return { ...node, entries: new Map([...node.entries].filter(([key]) => !keys.includes(key))) };
}
