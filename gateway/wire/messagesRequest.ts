/**
 * Anthropic Messages requests. Where a block puts what it says is looked up by its type; everything else in it, and
 * every block of a type that is not listed, is read as well.
 */
import type { Carrier } from '../../engine/canary/derive.ts';
import type { Role } from '../../engine/types.ts';
import { messageRole } from './chatRequest.ts';
import { type JsonNode, type JsonObject, member, pointerKey, stringMember } from './json.ts';
import { BLOCKS, type BlockType, OTHER_BLOCK, type Reading, SOURCES } from './messagesBlocks.ts';
import {
  invalid,
  type ModelRequest,
  optionalBoolean,
  optionalString,
  type ReadLimits,
  RequestReader,
  readObject,
} from './request.ts';
import { MESSAGES_WORDS } from './vocabulary.ts';

/** Top-level members that no model reads. */
const NOT_READ = new Set([
  'cache_control',
  'diagnostics',
  'inference_geo',
  'metadata',
  'model',
  'service_tier',
  'speed',
  'stop_sequences',
  'thinking',
  'user_profile_id',
]);
/** Read before all others, whatever their place in the body. */
const READ_FIRST = new Set(['system', 'messages']);
/** The key to a tool server: a secret, which goes to that server alone. */
const SERVER_KEY = 'authorization_token';

/** Reads and checks a body. Throws `GatewayError` with the JSON pointer of the problem. */
export function readMessagesRequest(source: string, limits: ReadLimits): ModelRequest {
  const root = readObject(source, limits);
  const model = optionalString(root, 'model');
  const stream = optionalBoolean(root, 'stream') ?? false;
  const messages = member(root, 'messages');
  if (messages?.kind !== 'array' || messages.items.length === 0) {
    throw invalid('/messages', 'expected a list of at least one message');
  }
  const reader = new RequestReader(limits, MESSAGES_WORDS);
  const walk = new ContentWalk(reader);
  const system = member(root, 'system');
  if (system !== null && system.kind !== 'null') readSystem(walk, reader, system);
  messages.items.forEach((message, index) => {
    readMessage(walk, reader, message, `/messages/${index}`);
  });
  for (const [key, node] of root.entries) {
    if (!READ_FIRST.has(key) && !NOT_READ.has(key)) readOther(reader, node, `/${pointerKey(key)}`, roleOfMember(key));
  }
  return reader.result({ source, root, model, stream, continued: null });
}

function readSystem(walk: ContentWalk, reader: RequestReader, node: JsonNode): void {
  checkContent(node, '/system');
  walk.content({ node, path: '/system', role: 'system', carrier: 'system' });
  reader.keys(node, '/system', 'system');
}

function readMessage(walk: ContentWalk, reader: RequestReader, node: JsonNode, path: string): void {
  if (node.kind !== 'object') throw invalid(path, 'expected a message object');
  const role = messageRole(stringMember(node, 'role'), `${path}/role`);
  const content = member(node, 'content');
  checkContent(content, `${path}/content`);
  const carrier = role === 'system' || role === 'developer' ? role : null;
  for (const [key, value] of node.entries) {
    if (key === 'role') continue;
    const at = `${path}/${pointerKey(key)}`;
    if (key === 'content') walk.content({ node: value, path: at, role, carrier });
    else reader.strings(value, at, role);
  }
  reader.keys(node, path, role);
}

function checkContent(node: JsonNode | null, path: string): void {
  if (node?.kind === 'string') return;
  if (node?.kind !== 'array') throw invalid(path, 'expected a string or a list of content blocks');
  node.items.forEach((block, index) => {
    if (block.kind !== 'object' && block.kind !== 'string') {
      throw invalid(`${path}/${index}`, 'expected a content block');
    }
  });
}

/** Tools, servers, and whatever members future APIs bring. */
function readOther(reader: RequestReader, node: JsonNode, path: string, role: Role): void {
  if (node.kind === 'array') {
    for (const [index, item] of node.items.entries()) {
      const isRead = ([key, value]: readonly [string, JsonNode]): boolean =>
        !isCacheControl(key, value) && (path !== '/mcp_servers' || key !== SERVER_KEY);
      const read = item.kind === 'object' ? { ...item, entries: new Map([...item.entries].filter(isRead)) } : item;
      reader.strings(read, `${path}/${index}`, role);
    }
  } else reader.strings(node, path, role);
  reader.keys(node, path, role);
}

/** Blocks and tools say whether they are cached; no model reads that. */
function isCacheControl(key: string, node: JsonNode): boolean {
  return key === 'cache_control' && node.kind === 'object';
}

function roleOfMember(key: string): Role {
  return key === 'tools' || key === 'tool_choice' || key === 'mcp_servers' ? 'tool' : 'user';
}

interface Place {
  readonly node: JsonNode;
  readonly path: string;
  readonly role: Role;
  /** Set where what is said is the operator's word. */
  readonly carrier: Carrier | null;
  /** The pointer that what cannot be read is noted under; its own where not given. */
  readonly part?: string;
  /** Of base64. */
  readonly mediaType?: string;
}

interface Task extends Place {
  readonly as: Reading;
}

/** Reads content in document order. Keeps its own stack: blocks may be nested deeper than the call stack. */
class ContentWalk {
  readonly #reader: RequestReader;
  readonly #stack: Task[] = [];

  constructor(reader: RequestReader) {
    this.#reader = reader;
  }

  content(place: Place): void {
    this.#stack.push({ ...place, as: 'content' });
    for (let task = this.#stack.pop(); task !== undefined; task = this.#stack.pop()) this.#read(task);
  }

  #read(task: Task): void {
    const { node, path, role, as, part = path, mediaType } = task;
    switch (as) {
      case 'said':
        this.#said(task);
        return;
      case 'aside':
        this.#reader.strings(node, path, role);
        return;
      case 'binary':
        this.#reader.strings(node, path, role, {
          binaryPart: () => part,
          ...(mediaType !== undefined && { mediaType }),
        });
        return;
      case 'sealed':
        this.#reader.strings(node, path, role, { sealedPart: () => part });
        return;
      case 'sealed-text':
        this.#reader.strings(node, path, role);
        this.#reader.note(part);
        return;
      case 'content':
        this.#content(task);
        return;
      case 'source':
        this.#source(task);
        return;
      default:
        as satisfies never;
    }
  }

  #said({ node, path, role, carrier }: Place): void {
    this.#reader.strings(node, path, role, {
      isContent: () => true,
      onContent: (leaf) => {
        if (carrier !== null) this.#reader.carrier(carrier, leaf);
      },
    });
  }

  #content(place: Place): void {
    const { node, path } = place;
    if (node.kind === 'object') this.#block(node, place);
    else if (node.kind === 'array') {
      this.#push(node.items.map((item, index) => ({ ...place, node: item, path: `${path}/${index}`, as: 'content' })));
    } else this.#said(place);
  }

  #block(node: JsonObject, place: Place): void {
    const type = stringMember(node, 'type');
    const known = type === null ? undefined : BLOCKS.get(type);
    this.#members(node, known ?? OTHER_BLOCK, {
      node,
      path: place.path,
      role: known?.role ?? place.role,
      // Only a text in the message itself is a place for a canary.
      carrier: type === 'text' ? place.carrier : null,
      known: known !== undefined,
    });
  }

  #source(place: Place): void {
    const { node, path } = place;
    if (node.kind !== 'object') {
      this.#reader.strings(node, path, place.role, { binaryPart: () => path });
      return;
    }
    const type = stringMember(node, 'type');
    const known = type === null ? undefined : SOURCES.get(type);
    const role = known?.role ?? place.role;
    const mediaType = type === 'base64' ? { mediaType: stringMember(node, 'media_type') ?? '' } : {};
    const below = { ...place, ...mediaType, role, carrier: null, part: path, known: known !== undefined };
    this.#members(node, known ?? { members: {} }, below);
  }

  #members(node: JsonObject, { members }: BlockType, { known, ...place }: Place & { readonly known: boolean }): void {
    const tasks: Task[] = [];
    for (const [key, value] of node.entries) {
      if (isCacheControl(key, value) || (key === 'type' && known)) continue;
      const as = Object.hasOwn(members, key) ? (members[key] as Reading | null) : 'aside';
      if (as !== null) tasks.push({ ...place, node: value, path: `${place.path}/${pointerKey(key)}`, as });
    }
    this.#push(tasks);
  }

  #push(tasks: readonly Task[]): void {
    for (let i = tasks.length - 1; i >= 0; i--) this.#stack.push(tasks[i] as Task);
  }
}
