/**
 * OpenAI chat completions, whole or as stream chunks: every string of an answer becomes a piece of a channel or a leaf
 * that comes whole. Nothing is left out, so a field nobody knows is inspected too.
 */
import { type AnswerPart, AnswerReader, integer, isSet, type Place, readUsage } from './answer.ts';
import { eachString, type JsonNode, type JsonObject, member, pointerKey, stringMember } from './json.ts';
import { textOf } from './nodeText.ts';

/** Members of a tool call or a delta that name things and carry no text. */
const STRUCTURAL = new Set(['id', 'type', 'role', 'tool_call_id', 'index', 'object']);
/** Members of a call that its model wrote, as a text or as an object. */
const ARGUMENTS = new Set(['arguments', 'input']);
/** Longer ones number nothing. */
const INDEX_CHARS_MAX = 16;
/** Members of a choice that say how it ended. */
const ENDINGS = new Set(['finish_reason', 'native_finish_reason', 'stop_reason']);

/** Reads one completion or chunk. Null when it has no list of choices and is no error either. */
export function readChatAnswer(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const isError = isSet(member(root, 'error'));
  const choices = member(root, 'choices');
  if (!isError && choices?.kind !== 'array') return null;
  const reader = new ChatAnswerReader();
  for (const [key, node] of root.entries) {
    if (key !== 'choices' || node.kind !== 'array') reader.strings(node, `/${key}`);
  }
  if (choices?.kind === 'array') {
    for (const [position, choice] of choices.items.entries()) reader.choice(choice, position);
  }
  reader.keys(root);
  return reader.result({ isError, ends: false, usage: readUsage(member(root, 'usage')) });
}

/** The part of an answer that a member belongs to. */
interface Part {
  readonly choice: number;
  /** Begins the names of its channels. */
  readonly base: string;
  /** A whole message, whose calls stand one after the other whatever numbers they bear. */
  readonly whole: boolean;
  /** Keys of the calls in the choice. */
  readonly toolCalls: string[];
}

class ChatAnswerReader extends AnswerReader {
  choice(node: JsonNode, position: number): void {
    if (node.kind !== 'object') {
      this.strings(node, `/choices/${position}`);
      return;
    }
    const index = integer(member(node, 'index')) ?? position;
    const base = `${index}`;
    const toolCalls: string[] = [];
    // Names of their own, since a choice that has both would otherwise mix two texts.
    const partOf = (name: string): Part => ({
      choice: index,
      base: name === 'delta' ? base : `${base}/${name}`,
      whole: name === 'message',
      toolCalls,
    });
    for (const [key, value] of node.entries) {
      if ((key === 'delta' || key === 'message') && value.kind === 'object') this.#message(value, partOf(key));
      else if (key === 'logprobs') this.#logprobs(value, index, base);
      else if (this.#calls(key, value, partOf('choice'))) continue;
      else if (value.kind === 'string' && !ENDINGS.has(key)) this.piece(index, `${base}/choice/${key}`, 'text', value);
      else this.strings(value, `/choices/${base}/${key}`);
    }
    const reason = stringMember(node, 'finish_reason');
    const finished = reason !== null && reason !== '';
    this.groups.push({ index, finished, toolCalls, logprobs: member(node, 'logprobs') });
  }

  #message(node: JsonObject, part: Part): void {
    const { choice, base } = part;
    for (const [key, value] of node.entries) {
      if (this.#calls(key, value, part)) continue;
      if (value.kind === 'string' && !STRUCTURAL.has(key)) this.piece(choice, `${base}/${key}`, 'text', value);
      else if (value.kind === 'string') this.strings(value, `/choices/${base}/message/${key}`);
      else this.#parts(value, choice, `${base}/${key}`);
    }
  }

  /** Whatever stands where calls belong is one, also where it cannot be read. False for other members. */
  #calls(key: string, value: JsonNode, part: Part): boolean {
    if ((key !== 'tool_calls' && key !== 'function_call') || isNothing(value)) return false;
    const base = `${part.base}/${key}`;
    if (key === 'function_call') this.#call(value, base, part);
    else {
      for (const [position, call] of (value.kind === 'array' ? value.items : [value]).entries())
        this.#call(call, `${base}/${part.whole ? position : (callIndex(call) ?? position)}`, part);
    }
    return true;
  }

  #call(node: JsonNode, key: string, { choice, toolCalls }: Part): void {
    toolCalls.push(key);
    const id = stringMember(node, 'id');
    const before = this.calls.length;
    if (node.kind !== 'object') this.strings(node, key);
    else {
      this.#written(node, key, id);
      for (const [name, value] of node.entries) {
        const channel = `${key}/${name}`;
        const isFields = value.kind === 'object' && !ARGUMENTS.has(name);
        if (isFields) this.#written(value, key, id);
        for (const [inner, field] of isFields ? value.entries : []) {
          this.#field(field, inner, { group: choice, channel: `${channel}/${inner}`, at: `${channel}/${inner}` });
        }
        if (!isFields && STRUCTURAL.has(name)) this.strings(value, channel);
        else if (!isFields) this.#field(value, name, { group: choice, channel, at: channel });
      }
    }
    // It may say who it is later on; one that never does is refused.
    if (this.calls.length === before) this.calls.push({ key, id, name: null, arguments: null });
  }

  #field(value: JsonNode, name: string, place: Place): void {
    if (value.kind === 'string') this.piece(place.group, place.channel, 'tool', value);
    else if (ARGUMENTS.has(name)) this.written(value, place);
    else this.strings(value, place.at);
  }

  /** `function: {name, arguments}` and `custom: {name, input}`, or the same without the wrapper. */
  #written(node: JsonObject, key: string, id: string | null): void {
    const name = stringMember(node, 'name');
    const args = argumentsOf(node, 'arguments');
    const input = argumentsOf(node, 'input');
    const given = args ?? input;
    if (name === null && given === null) return;
    this.calls.push({ key, id, name, arguments: given, freeForm: args === null && input !== null });
  }

  /**
   * Lists of parts and whatever else is nested. The texts of all text parts are one text to a client, and so are those
   * of each other type; other strings go on at their place from chunk to chunk.
   */
  #parts(root: JsonNode, choice: number, prefix: string): void {
    const stack = [{ node: root, path: prefix, channel: prefix, key: '' }];
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const { node, path, channel, key } = top;
      if (node.kind === 'string') {
        if (STRUCTURAL.has(key)) this.leaves.push({ name: path, text: node.value });
        else this.piece(choice, key === 'text' ? channel : path, 'text', node);
      }
      const below = partEntries(node, path, channel, key);
      for (let i = below.length - 1; i >= 0; i--) stack.push(below[i] as (typeof below)[number]);
    }
  }

  /** The tokens spell the text a second time; alternatives are single words that were not said. */
  #logprobs(node: JsonNode, choice: number, base: string): void {
    if (node.kind !== 'object') {
      this.strings(node, `/choices/${base}/logprobs`);
      return;
    }
    for (const [key, list] of node.entries) {
      const prefix = `${base}/logprobs/${key}`;
      if (list.kind !== 'array') {
        this.strings(list, prefix);
        continue;
      }
      for (const entry of list.items) this.#logprobEntry(entry, choice, prefix);
    }
  }

  #logprobEntry(entry: JsonNode, choice: number, prefix: string): void {
    // Legacy completions list bare tokens.
    const token = entry.kind === 'string' ? entry : member(entry, 'token');
    if (token?.kind === 'string') this.piece(choice, prefix, 'meta', token);
    eachString(entry, prefix, (leaf, path) => {
      if (leaf !== token) this.leaves.push({ name: path, text: leaf.value });
    });
  }
}

/** What providers send where there is no call. */
function isNothing(node: JsonNode): boolean {
  return node.kind === 'null' || node.kind === 'boolean' || (node.kind === 'string' && node.value === '');
}

/** The number of a call in a stream, whose pieces go by it. Some providers write it as a text. */
function callIndex(call: JsonNode): string | null {
  const index = member(call, 'index');
  if (index?.kind === 'number') return `${index.value}`;
  return index?.kind === 'string' && index.value.length <= INDEX_CHARS_MAX ? pointerKey(index.value) : null;
}

/** An empty object says no more than nothing, and a stream may go on with a text. */
function argumentsOf(node: JsonObject, key: string): string | null {
  const given = member(node, key);
  return given?.kind === 'object' && given.entries.size === 0 ? null : textOf(given);
}

/** What is in a part or in a list of them. A part that is no text part begins a text of its own. */
function partEntries(node: JsonNode, path: string, channel: string, key: string) {
  if (node.kind === 'array')
    return node.items.map((item, index) => ({ node: item, path: `${path}/${index}`, channel, key }));
  if (node.kind !== 'object') return [];
  const type = stringMember(node, 'type');
  const own = type === null || type === 'text' ? channel : `${channel}/${pointerKey(type)}`;
  return [...node.entries].map(([name, value]) => {
    const nested = name === 'text' ? own : `${own}/${pointerKey(name)}`;
    return { node: value, path: `${path}/${pointerKey(name)}`, channel: nested, key: name };
  });
}
