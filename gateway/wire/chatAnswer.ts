/**
 * OpenAI chat completions, whole or as stream chunks: every string of an answer becomes a piece of a channel or a leaf
 * that comes whole. Nothing is left out, so a field nobody knows is inspected too.
 */
import type { ChannelKind } from '../../engine/stream/channel.ts';
import { eachKey, eachString, type JsonNode, type JsonObject, type JsonString, member } from './json.ts';

/** A string that continues a channel. */
export interface Piece {
  readonly choice: number;
  readonly channel: string;
  readonly kind: ChannelKind;
  readonly leaf: JsonString;
}

/** A string that stands for itself. */
export interface Leaf {
  readonly name: string;
  readonly text: string;
}

export interface ChoiceState {
  readonly index: number;
  /** Set in the part that ends the choice. */
  readonly finished: boolean;
  /** Channel prefixes of the tool calls that this part carries. */
  readonly toolCalls: readonly string[];
  /** Range of the log-probabilities, which go when the text they spell is rewritten. */
  readonly logprobs: JsonNode | null;
}

export interface AnswerPart {
  readonly pieces: readonly Piece[];
  readonly leaves: readonly Leaf[];
  readonly choices: readonly ChoiceState[];
  /** The provider reports an error in place of an answer. */
  readonly isError: boolean;
}

/** Members of a tool call or a delta that name things and carry no text. */
const STRUCTURAL = new Set(['id', 'type', 'role', 'tool_call_id', 'index', 'object']);
/** Members of a choice that say how it ended. */
const ENDINGS = new Set(['finish_reason', 'native_finish_reason', 'stop_reason']);
/** Keys shorter than a canary window cannot carry one. */
const KEY_CHARS_MIN = 10;

/** Reads one completion or chunk. Null when it has no list of choices and is no error either. */
export function readChatAnswer(root: JsonNode): AnswerPart | null {
  if (root.kind !== 'object') return null;
  const error = member(root, 'error');
  const isError = error !== null && error.kind !== 'null';
  const choices = member(root, 'choices');
  if (!isError && choices?.kind !== 'array') return null;
  const reader = new Reader();
  for (const [key, node] of root.entries) {
    if (key !== 'choices' || node.kind !== 'array') reader.leaves(node, `/${key}`);
  }
  if (choices?.kind === 'array') {
    for (const [position, choice] of choices.items.entries()) reader.choice(choice, position);
  }
  reader.keys(root);
  return { ...reader.result, isError };
}

class Reader {
  readonly result = { pieces: [] as Piece[], leaves: [] as Leaf[], choices: [] as ChoiceState[] };

  choice(node: JsonNode, position: number): void {
    if (node.kind !== 'object') {
      this.leaves(node, `/choices/${position}`);
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
      else if (value.kind === 'string' && !ENDINGS.has(key)) this.#piece(index, `${base}/choice/${key}`, 'text', value);
      else this.leaves(value, `/choices/${base}/${key}`);
    }
    const reason = member(node, 'finish_reason');
    const finished = reason?.kind === 'string' && reason.value !== '';
    this.result.choices.push({ index, finished, toolCalls, logprobs: member(node, 'logprobs') });
  }

  #message(node: JsonObject, choice: number, base: string, toolCalls: string[]): void {
    for (const [key, value] of node.entries) {
      if (key === 'tool_calls' && value.kind === 'array') this.#toolCalls(value.items, choice, base, toolCalls);
      else if (key === 'function_call' && value.kind === 'object') {
        toolCalls.push(`${base}/function_call`);
        this.#toolFields(value, choice, `${base}/function_call`);
      } else if (value.kind === 'string' && !STRUCTURAL.has(key)) this.#piece(choice, `${base}/${key}`, 'text', value);
      else if (value.kind === 'string') this.leaves(value, `/choices/${base}/message/${key}`);
      else this.#parts(value, choice, `${base}/${key}`);
    }
  }

  #toolCalls(items: readonly JsonNode[], choice: number, base: string, toolCalls: string[]): void {
    items.forEach((call, position) => {
      const prefix = `${base}/tool_calls/${integer(member(call, 'index')) ?? position}`;
      toolCalls.push(prefix);
      if (call.kind !== 'object') {
        this.leaves(call, prefix);
        return;
      }
      for (const [key, value] of call.entries) {
        if (value.kind === 'object') this.#toolFields(value, choice, `${prefix}/${key}`);
        else if (value.kind === 'string' && !STRUCTURAL.has(key))
          this.#piece(choice, `${prefix}/${key}`, 'tool', value);
        else this.leaves(value, `${prefix}/${key}`);
      }
    });
  }

  /** `function: {name, arguments}` and `custom: {name, input}`. */
  #toolFields(node: JsonObject, choice: number, prefix: string): void {
    for (const [key, value] of node.entries) {
      if (value.kind === 'string') this.#piece(choice, `${prefix}/${key}`, 'tool', value);
      else this.leaves(value, `${prefix}/${key}`);
    }
  }

  /**
   * Lists of parts and whatever else is nested. The texts of all parts are one text to a client; other strings go on at
   * their place from chunk to chunk.
   */
  #parts(node: JsonNode, choice: number, prefix: string): void {
    eachString(node, prefix, (leaf, path, key) => {
      if (STRUCTURAL.has(key)) this.result.leaves.push({ name: path, text: leaf.value });
      else this.#piece(choice, key === 'text' ? prefix : path, 'text', leaf);
    });
  }

  /** The tokens spell the text a second time; alternatives are single words that were not said. */
  #logprobs(node: JsonNode, choice: number, base: string): void {
    if (node.kind !== 'object') {
      this.leaves(node, `/choices/${base}/logprobs`);
      return;
    }
    for (const [key, list] of node.entries) {
      const prefix = `${base}/logprobs/${key}`;
      if (list.kind !== 'array') {
        this.leaves(list, prefix);
        continue;
      }
      for (const entry of list.items) this.#logprobEntry(entry, choice, prefix);
    }
  }

  #logprobEntry(entry: JsonNode, choice: number, prefix: string): void {
    // Legacy completions list bare tokens.
    const token = entry.kind === 'string' ? entry : member(entry, 'token');
    if (token?.kind === 'string') this.#piece(choice, prefix, 'meta', token);
    eachString(entry, prefix, (leaf, path) => {
      if (leaf !== token) this.result.leaves.push({ name: path, text: leaf.value });
    });
  }

  leaves(node: JsonNode, path: string): void {
    eachString(node, path, (leaf, at) => {
      this.result.leaves.push({ name: at, text: leaf.value });
    });
  }

  /** Long keys are text as well. */
  keys(root: JsonNode): void {
    eachKey(root, KEY_CHARS_MIN, (key) => this.result.leaves.push({ name: `key ${key}`, text: key }));
  }

  #piece(choice: number, channel: string, kind: ChannelKind, leaf: JsonString): void {
    this.result.pieces.push({ choice, channel, kind, leaf });
  }
}

function integer(node: JsonNode | null): number | null {
  return node?.kind === 'number' && Number.isInteger(node.value) ? (node.value as number) : null;
}
