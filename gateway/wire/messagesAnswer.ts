/**
 * Anthropic Messages answers, whole or event by event: every string becomes a piece of a channel or a leaf, exactly
 * once. Channels carry the same names in both, so that a whole answer is judged like its stream.
 */
import { type AnswerPart, AnswerReader, type CallPart, integer, isSet, readUsage } from './answer.ts';
import {
  eachString,
  type JsonNode,
  type JsonObject,
  type JsonString,
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
  ['citations_delta', 'citation'],
  ['compaction_delta', 'encrypted_content'],
]);
/** Strings of one call's input with a channel of their own; channels are counted, and the others share one. */
const INPUT_CHANNELS_MAX = 64;

/** Reads a whole message. Null when it has no list of blocks and is no error either. */
export function readMessagesAnswer(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const isError = isErrorObject(root);
  const content = member(root, 'content');
  if (!isError && content?.kind !== 'array') return null;
  const reader = new MessagesReader();
  reader.message(root, '', true);
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

/** Reads one event of a stream. Null when it has no type of this format and is no error either. */
export function readMessagesEvent(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const type = stringMember(root, 'type');
  const isError = isErrorObject(root);
  if (!isError && (type === null || !EVENT_TYPE.test(type))) return null;
  const reader = new MessagesReader();
  // An error is none of these, whatever it calls itself.
  for (const [key, value] of root.entries) {
    if (isError || !reader.eventMember(root, type, key, value)) reader.strings(value, `/${key}`);
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
  /** `finished`: nothing of its blocks is still to come. */
  message(node: JsonObject, path: string, finished: boolean): void {
    for (const [key, value] of node.entries) {
      if (key !== 'content' || value.kind !== 'array') {
        this.strings(value, `${path}/${key}`);
        continue;
      }
      for (const [index, block] of value.items.entries()) this.#block(block, index, finished);
    }
  }

  /** Reads a member that belongs to a block or holds a message. False for any other. */
  eventMember(event: JsonObject, type: string | null, key: string, value: JsonNode): boolean {
    if (type === 'content_block_delta' && key === 'delta') {
      this.#delta(value, indexOf(event));
      return true;
    }
    if (value.kind !== 'object') return false;
    if (type === 'content_block_start' && key === 'content_block') this.#block(value, indexOf(event), false);
    else if (type === 'message_start' && key === 'message') this.message(value, '/message', false);
    else return false;
    return true;
  }

  group(index: number, finished: boolean, toolCalls: readonly string[]): void {
    this.groups.push({ index, finished, toolCalls, logprobs: null });
  }

  #block(node: JsonNode, index: number, finished: boolean): void {
    const path = `/content/${index}`;
    if (node.kind !== 'object') {
      this.strings(node, path);
      this.group(index, finished, []);
      return;
    }
    const type = stringMember(node, 'type') ?? '';
    const said = BLOCK_TEXTS.get(type);
    const isCall = type.endsWith('tool_use');
    for (const [key, value] of node.entries) {
      if (key === said && value.kind === 'string') this.piece(index, `${index}/${key}`, 'text', value);
      else if (isCall && key === 'name' && value.kind === 'string') this.#name(value, index);
      else if (isCall && key === 'input') this.#input(value, index);
      else this.strings(value, `${path}/${key}`);
    }
    if (isCall) this.calls.push(callOf(node, index, finished));
    this.group(index, finished, isCall ? [`${index}`] : []);
  }

  #name(name: JsonString, index: number): void {
    this.piece(index, `${index}/name`, 'tool', name, true);
  }

  #input(node: JsonNode, index: number): void {
    let own = 0;
    eachString(node, `${index}/input`, (leaf, path) => {
      if (own < INPUT_CHANNELS_MAX) this.piece(index, path, 'tool', leaf, true);
      else this.piece(index, `${index}/inputs`, 'tool', leaf);
      own++;
    });
  }

  #delta(node: JsonNode, index: number): void {
    const type = stringMember(node, 'type') ?? 'delta';
    const entries = node.kind === 'object' ? [...node.entries] : [];
    const isCall = type === 'input_json_delta';
    for (const [key, value] of entries) {
      if (key === 'type' || key === DELTA_LEAVES.get(type)) this.strings(value, `/delta/${key}`);
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

/** A call that is not finished begins with an empty input, which the deltas do not continue. */
function callOf(block: JsonObject, index: number, finished: boolean): CallPart {
  const input = member(block, 'input');
  const begins = !finished && input?.kind === 'object' && input.entries.size === 0;
  const given = input === null || input.kind === 'null' || begins ? null : toJson(input);
  return { key: `${index}`, name: stringMember(block, 'name'), arguments: given };
}
