/**
 * OpenAI chat completions, whole or as stream chunks: every string of an answer becomes a piece of a channel or a leaf
 * that comes whole. Nothing is left out, so a field nobody knows is inspected too.
 */
import { type AnswerPart, AnswerReader, integer, isSet, readUsage } from './answer.ts';
import { eachString, type JsonNode, type JsonObject, member, stringMember } from './json.ts';

/** Members of a tool call or a delta that name things and carry no text. */
const STRUCTURAL = new Set(['id', 'type', 'role', 'tool_call_id', 'index', 'object']);
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

class ChatAnswerReader extends AnswerReader {
  choice(node: JsonNode, position: number): void {
    if (node.kind !== 'object') {
      this.strings(node, `/choices/${position}`);
      return;
    }
    const index = integer(member(node, 'index')) ?? position;
    const base = `${index}`;
    const toolCalls: string[] = [];
    for (const [key, value] of node.entries) {
      // Names of their own, since a choice that has both would otherwise mix two texts.
      if (key === 'delta' && value.kind === 'object') this.#message(value, index, base, toolCalls);
      else if (key === 'message' && value.kind === 'object') this.#message(value, index, `${base}/message`, toolCalls);
      else if (key === 'logprobs') this.#logprobs(value, index, base);
      else if (value.kind === 'string' && !ENDINGS.has(key)) this.piece(index, `${base}/choice/${key}`, 'text', value);
      else this.strings(value, `/choices/${base}/${key}`);
    }
    const reason = stringMember(node, 'finish_reason');
    const finished = reason !== null && reason !== '';
    this.groups.push({ index, finished, toolCalls, logprobs: member(node, 'logprobs') });
  }

  #message(node: JsonObject, choice: number, base: string, toolCalls: string[]): void {
    for (const [key, value] of node.entries) {
      if (key === 'tool_calls' && value.kind === 'array') this.#toolCalls(value.items, choice, base, toolCalls);
      else if (key === 'function_call' && value.kind === 'object') {
        toolCalls.push(`${base}/function_call`);
        this.#toolFields(value, choice, `${base}/function_call`, `${base}/function_call`);
      } else if (value.kind === 'string' && !STRUCTURAL.has(key)) this.piece(choice, `${base}/${key}`, 'text', value);
      else if (value.kind === 'string') this.strings(value, `/choices/${base}/message/${key}`);
      else this.#parts(value, choice, `${base}/${key}`);
    }
  }

  #toolCalls(items: readonly JsonNode[], choice: number, base: string, toolCalls: string[]): void {
    items.forEach((call, position) => {
      const prefix = `${base}/tool_calls/${integer(member(call, 'index')) ?? position}`;
      toolCalls.push(prefix);
      if (call.kind !== 'object') {
        this.strings(call, prefix);
        return;
      }
      for (const [key, value] of call.entries) {
        if (value.kind === 'object') this.#toolFields(value, choice, `${prefix}/${key}`, prefix);
        else if (value.kind === 'string' && !STRUCTURAL.has(key)) this.piece(choice, `${prefix}/${key}`, 'tool', value);
        else this.strings(value, `${prefix}/${key}`);
      }
    });
  }

  /** `function: {name, arguments}` and `custom: {name, input}`. */
  #toolFields(node: JsonObject, choice: number, prefix: string, call: string): void {
    for (const [key, value] of node.entries) {
      if (value.kind === 'string') this.piece(choice, `${prefix}/${key}`, 'tool', value);
      else this.strings(value, `${prefix}/${key}`);
    }
    const args = stringMember(node, 'arguments');
    const input = stringMember(node, 'input');
    const freeForm = args === null && input !== null;
    this.calls.push({ key: call, name: stringMember(node, 'name'), arguments: args ?? input, freeForm });
  }

  /**
   * Lists of parts and whatever else is nested. The texts of all parts are one text to a client; other strings go on at
   * their place from chunk to chunk.
   */
  #parts(node: JsonNode, choice: number, prefix: string): void {
    eachString(node, prefix, (leaf, path, key) => {
      if (STRUCTURAL.has(key)) this.leaves.push({ name: path, text: leaf.value });
      else this.piece(choice, key === 'text' ? prefix : path, 'text', leaf);
    });
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
