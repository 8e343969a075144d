/**
 * Anthropic Messages answers, whole or event by event: every string becomes a piece of a channel or a leaf, exactly
 * once. Channels carry the same names in both, so that a whole answer is judged like its stream.
 */
import { type AnswerPart, AnswerReader, type CallPart, integer, isSet, readUsage } from './answer.ts';
import {
  eachString,
  type JsonArray,
  type JsonNode,
  type JsonObject,
  member,
  pointerKey,
  stringMember,
} from './json.ts';
import { toJson } from './nodeText.ts';

/** The member in which a block says something. */
const BLOCK_TEXTS: ReadonlyMap<string, string> = new Map([
  ['text', 'text'],
  ['thinking', 'thinking'],
  ['compaction', 'content'],
]);
/** The member in which a delta goes on with its block, under the name it has there. */
const DELTA_TEXTS: ReadonlyMap<string, string> = new Map([
  ['text_delta', 'text'],
  ['thinking_delta', 'thinking'],
  ['compaction_delta', 'content'],
]);
/** What these deltas bring comes whole. */
const DELTA_LEAVES: ReadonlyMap<string, string> = new Map([
  ['signature_delta', 'signature'],
  ['compaction_delta', 'encrypted_content'],
]);
/** Members that name things and carry no text, and data that is no text. */
const STRUCTURAL = new Set([
  'id',
  'type',
  'tool_use_id',
  'tool_id',
  'file_id',
  'url',
  'source',
  'media_type',
  'error_code',
  'signature',
  'data',
  'encrypted_content',
  'encrypted_index',
  'encrypted_stdout',
]);

/** Where a block stands. */
interface BlockPlace {
  readonly index: number;
  /** Begins the names of its channels, and is the key of its call. */
  readonly base: string;
  /** Nothing of it is still to come. */
  readonly finished: boolean;
  /** In an event that is none for blocks: it is all there and none of the message's own. */
  readonly apart: boolean;
}

/** Reads a whole message. Null when it has no list of blocks and is no error either. */
export function readMessagesAnswer(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const isError = isErrorObject(root);
  const content = member(root, 'content');
  if (!isError && content?.kind !== 'array') return null;
  const reader = new MessagesReader();
  reader.message(root, '', (index) => ownPlace(index, true));
  reader.keys(root);
  return reader.result({ isError, ends: true, usage: readUsage(member(root, 'usage')) });
}

/** Reads the answer to a question for the number of tokens. */
export function readTokenCount(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const isError = isErrorObject(root);
  if (!isError && integer(member(root, 'input_tokens')) === null) return null;
  const reader = new AnswerReader();
  reader.strings(root, '');
  reader.keys(root);
  // Counting costs nothing, so it is no usage.
  return reader.result({ isError, ends: true, usage: null });
}

/** What types of events look like; those of other formats have dots. Linear: one class, anchored. */
const EVENT_TYPE = /^[a-z][a-z0-9_]*$/;

/**
 * Reads one event of a stream. Null when it has no type of this format and is no error either. Clients go by the type,
 * so an error beside another one is a member like any.
 */
export function readMessagesEvent(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const type = stringMember(root, 'type');
  const isError = type === 'error' || (type === null && isSet(member(root, 'error')));
  if (!isError && (type === null || !EVENT_TYPE.test(type))) return null;
  const reader = new MessagesReader();
  for (const [key, value] of root.entries) {
    if (isError || !reader.eventMember(root, type ?? '', key, value)) reader.strings(value, `/${key}`);
  }
  if (type === 'content_block_stop' && !isError) reader.group(indexOf(root), true, []);
  reader.keys(root);
  const usage = readUsage(member(type === 'message_start' ? member(root, 'message') : root, 'usage'));
  return reader.result({ isError, ends: type === 'message_stop' && !isError, usage });
}

function isErrorObject(root: JsonObject): boolean {
  return stringMember(root, 'type') === 'error' || isSet(member(root, 'error'));
}

function indexOf(event: JsonObject): number {
  return integer(member(event, 'index')) ?? 0;
}

class MessagesReader extends AnswerReader {
  message(node: JsonObject, path: string, placeOf: (index: number) => BlockPlace): void {
    for (const [key, value] of node.entries) {
      if (key === 'content' && value.kind === 'array') this.#blocks(value, placeOf);
      else this.strings(value, `${path}/${key}`);
    }
  }

  /** Reads a member that belongs to a block or holds blocks. False for any other. */
  eventMember(event: JsonObject, type: string, key: string, value: JsonNode): boolean {
    if (type === 'content_block_delta' && key === 'delta') this.#delta(value, indexOf(event));
    else if (key === 'content_block' && value.kind === 'object') {
      const index = indexOf(event);
      this.#block(value, type === 'content_block_start' ? ownPlace(index, false) : placeApart(type, index));
    } else if (key === 'content' && value.kind === 'array') this.#blocks(value, (at) => placeApart(type, at));
    else if ((key === 'message' || key === 'delta') && value.kind === 'object') return this.#message(type, key, value);
    else return false;
    return true;
  }

  group(index: number, finished: boolean, toolCalls: readonly string[]): void {
    this.groups.push({ index, finished, toolCalls, logprobs: null });
  }

  /** A message begins with `message_start`. What has blocks in any other event is read beside it. */
  #message(type: string, key: string, value: JsonObject): boolean {
    const begins = type === 'message_start' && key === 'message';
    if (begins) this.message(value, '/message', (index) => ownPlace(index, false));
    else if (isCallBlock(value)) this.#block(value, placeApart(type, 0));
    else if (member(value, 'content')?.kind === 'array')
      this.message(value, `/${key}`, (index) => placeApart(type, index));
    else return false;
    return true;
  }

  #blocks(list: JsonArray, placeOf: (index: number) => BlockPlace): void {
    for (const [index, block] of list.items.entries()) this.#block(block, placeOf(index));
  }

  #block(node: JsonNode, place: BlockPlace): void {
    const { index, base, finished, apart } = place;
    const isCall = isCallBlock(node);
    if (!apart) this.group(index, finished, isCall ? [base] : []);
    if (node.kind !== 'object') {
      this.strings(node, `/content/${index}`);
      return;
    }
    const said = BLOCK_TEXTS.get(stringMember(node, 'type') ?? '');
    for (const [key, value] of node.entries) {
      const channel = `${base}/${pointerKey(key)}`;
      const below = { group: index, channel, at: `/content/${index}/${pointerKey(key)}` };
      if (key === said && value.kind === 'string') this.piece(index, channel, 'text', value, apart);
      else if (isCall && key === 'name' && value.kind === 'string') this.piece(index, channel, 'tool', value, true);
      else if (isCall && key === 'input') this.written(value, below);
      else if (key === 'citations') this.shown(value, below);
      else if (STRUCTURAL.has(key)) this.strings(value, below.at);
      else this.shown(value, below, (name) => !STRUCTURAL.has(name));
    }
    if (isCall) this.calls.push(callOf(node, base, finished));
  }

  #delta(node: JsonNode, index: number): void {
    const type = stringMember(node, 'type') ?? 'delta';
    const entries = node.kind === 'object' ? [...node.entries] : [];
    const isCall = type === 'input_json_delta';
    for (const [key, value] of entries) {
      if (key === 'type' || key === DELTA_LEAVES.get(type)) this.strings(value, `/delta/${key}`);
      else if (key === 'citation' && type === 'citations_delta')
        this.shown(value, { group: index, channel: `${index}/citations`, at: '/delta/citation' });
      else if (value.kind === 'string' && key === DELTA_TEXTS.get(type)) {
        this.piece(index, `${index}/${key}`, 'text', value);
      } else if (value.kind === 'string' && isCall && key === 'partial_json') {
        this.piece(index, `${index}/input`, 'tool', value);
        this.calls.push({ key: `${index}`, name: null, arguments: value.value });
      } else this.#unknown(value, index, `${index}/${type}/${pointerKey(key)}`);
    }
    if (node.kind !== 'object') this.#unknown(node, index, `${index}/${type}`);
    this.group(index, false, isCall ? [`${index}`] : []);
  }

  /** What nobody here has heard of may come in pieces. */
  #unknown(node: JsonNode, index: number, channel: string): void {
    eachString(node, channel, (leaf, path) => this.piece(index, path, 'text', leaf));
  }
}

/** A block of the message itself. */
function ownPlace(index: number, finished: boolean): BlockPlace {
  return { index, base: `${index}`, finished, apart: false };
}

/** The types of events begin with a letter, so its channels are nobody else's. */
function placeApart(type: string, index: number): BlockPlace {
  return { index, base: `${type}/${index}`, finished: true, apart: true };
}

function isCallBlock(node: JsonNode): boolean {
  return stringMember(node, 'type')?.endsWith('tool_use') === true;
}

/** A call that is not finished begins with an empty input, which the deltas do not continue. */
function callOf(block: JsonObject, key: string, finished: boolean): CallPart {
  const input = member(block, 'input');
  const begins = !finished && input?.kind === 'object' && input.entries.size === 0;
  const given = input === null || input.kind === 'null' || begins ? null : toJson(input);
  return { key, id: stringMember(block, 'id'), name: stringMember(block, 'name'), arguments: given };
}
