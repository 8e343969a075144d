/**
 * Responses, their items and parts (OpenAI): every string becomes a piece of a channel, a leaf, or an echo of the
 * prompt. One text comes several times in a stream, as deltas and as copies; each copy has channels of its own, because
 * clients put it in the place of what they had.
 */
import type { ChannelKind } from '../../engine/stream/channel.ts';
import { AnswerReader } from './answer.ts';
import {
  eachString,
  type JsonArray,
  type JsonNode,
  type JsonObject,
  type JsonString,
  member,
  pointerKey,
  stringMember,
} from './json.ts';
import { isCall, wholeCalls } from './responsesCalls.ts';

/** Where a text stands. */
export interface Copy {
  /** Position of the output item. */
  readonly group: number;
  /** Begins the names of its channels. */
  readonly base: string;
  /** Deltas go on where its texts stop. */
  readonly goesOn: boolean;
}

/** Members that name things and carry no text, and data that is no text. */
const STRUCTURAL = new Set([
  'id',
  'type',
  'object',
  'role',
  'status',
  'phase',
  'call_id',
  'caller_id',
  'container_id',
  'file_id',
  'approval_request_id',
  'execution',
  'fingerprint',
  'created_by',
  'encrypted_content',
  'data',
]);
/** Members that deltas go on with. */
const EXTENDED = new Set(['text', 'refusal', 'transcript', 'arguments', 'input', 'code']);
/** Members that say what a call is to do. */
const TOOL_TEXTS = new Set(['name', 'arguments', 'input', 'code']);
const ACTIONS = new Set(['action', 'actions', 'operation', 'arguments', 'queries']);
const RESULTS = new Set(['output', 'outputs', 'results']);
/** What a result says; the rest of it stands beside that. */
const RESULT_TEXTS = new Set(['text', 'logs', 'stdout', 'stderr']);
/** Pages that a search has seen: long lists that nobody reads as text. Linear: a literal and one run of digits. */
const SOURCE = /\/sources\/\d+(?:\/|$)/;

export class ResponsesReader extends AnswerReader {
  /**
   * A response object.
   * @param name begins the names of its channels; empty for the one answer
   * @param complete its items are what the client is left with
   */
  response(node: JsonObject, name: string, complete: boolean): void {
    const prefix = name === '' ? '' : `${name}/`;
    for (const [key, value] of node.entries) {
      if (key === 'output' && value.kind === 'array') this.#output(value, prefix, complete);
      else if (key === 'instructions' || key === 'input') this.echo(value);
      else if (key === 'output_text' && value.kind === 'string')
        this.piece(0, `${prefix}0/output_text`, 'text', value, true);
      else this.strings(value, `/${pointerKey(key)}`);
    }
  }

  /** The prompt as the provider repeats it. */
  echo(node: JsonNode): void {
    eachString(node, '', (leaf) => {
      this.echoes.push(leaf);
    });
  }

  #output(list: JsonArray, prefix: string, complete: boolean): void {
    list.items.forEach((item, index) => {
      const base = `${prefix}${index}`;
      this.item(item, { group: index, base, goesOn: false });
      if (item.kind === 'object') this.call(item, base);
      if (!complete) return;
      const toolCalls = prefix === '' && isCall(item) ? [base] : [];
      this.groups.push({ index, finished: true, toolCalls, logprobs: logprobsOf(item) });
    });
  }

  /** Hands on a call that is complete in this item. */
  call(item: JsonObject, key: string): void {
    for (const [index, call] of wholeCalls(item).entries())
      this.calls.push({ key: index === 0 ? key : `${key}/${index}`, ...call });
  }

  item(node: JsonNode, copy: Copy): void {
    const at = `/output/${copy.group}`;
    if (node.kind !== 'object') {
      this.strings(node, at);
      return;
    }
    const isImage = stringMember(node, 'type') === 'image_generation_call';
    for (const [key, value] of node.entries) {
      const leafAt = `${at}/${pointerKey(key)}`;
      if (value.kind === 'string') {
        if (STRUCTURAL.has(key) || (isImage && key === 'result')) this.strings(value, leafAt);
        else this.#text(value, key, copy, key);
      } else if ((key === 'content' || key === 'summary') && value.kind === 'array') {
        value.items.forEach((part, index) => {
          this.part(part, copy, key, index);
        });
      } else if (ACTIONS.has(key)) this.#action(value, key, copy, leafAt);
      else if (RESULTS.has(key) && value.kind === 'array') this.#results(value, key, copy, leafAt);
      else this.strings(value, leafAt);
    }
  }

  /** A part of a message, of a summary or of reasoning. */
  part(node: JsonNode, copy: Copy, list: 'content' | 'summary', index: number): void {
    const place = partPlace(node, list, index);
    const at = `/output/${copy.group}/${list}/${index}`;
    if (node.kind === 'string') this.#text(node, 'text', copy, `${place}/text`);
    else if (node.kind !== 'object') this.strings(node, at);
    else {
      for (const [key, value] of node.entries) {
        const leafAt = `${at}/${pointerKey(key)}`;
        if (key === 'logprobs') this.logprobs(value, copy, `${place}/logprobs`, leafAt);
        else if (key === 'annotations')
          this.shown(value, { group: copy.group, channel: `${copy.base}/${place}/annotations`, at: leafAt });
        else if (value.kind === 'string' && !STRUCTURAL.has(key))
          this.#text(value, key, copy, `${place}/${pointerKey(key)}`);
        else this.strings(value, leafAt);
      }
    }
  }

  /** The tokens spell the text a second time; alternatives are single words that were not said. */
  logprobs(node: JsonNode, { group, base, goesOn }: Copy, name: string, at: string): void {
    if (node.kind !== 'array') {
      this.strings(node, at);
      return;
    }
    const channel = `${base}/${name}`;
    for (const entry of node.items) {
      const token = member(entry, 'token');
      if (token?.kind === 'string') this.piece(group, channel, 'meta', token);
      eachString(entry, at, (leaf, path) => {
        if (leaf !== token) this.leaves.push({ name: path, text: leaf.value });
      });
    }
    if (!goesOn && node.items.length > 0) this.closes.push(channel);
  }

  /** What a built-in tool is to do: commands, patches, queries. */
  #action(node: JsonNode, key: string, { group, base }: Copy, at: string): void {
    this.written(
      node,
      { group, channel: `${base}/${key}`, at },
      (name, path) => STRUCTURAL.has(name) || SOURCE.test(path),
    );
  }

  #results(list: JsonArray, key: string, { group, base }: Copy, at: string): void {
    list.items.forEach((result, index) => {
      if (result.kind !== 'object') {
        this.strings(result, `${at}/${index}`);
        return;
      }
      for (const [name, value] of result.entries) {
        if (value.kind === 'string' && RESULT_TEXTS.has(name)) {
          this.piece(group, `${base}/${key}/${index}/${name}`, 'text', value, true);
        } else this.strings(value, `${at}/${index}/${pointerKey(name)}`);
      }
    });
  }

  #text(leaf: JsonString, key: string, { group, base, goesOn }: Copy, name: string): void {
    const kind: ChannelKind = TOOL_TEXTS.has(key) ? 'tool' : 'text';
    this.piece(group, `${base}/${name}`, kind, leaf, !(goesOn && EXTENDED.has(key)));
  }
}

/** Name of a part's place in the channels of its item. Parts of another kind at the same index are another text. */
export function partPlace(part: JsonNode, list: 'content' | 'summary', index: number): string {
  const isReasoning = list === 'content' && stringMember(part, 'type') === 'reasoning_text';
  return `${isReasoning ? 'reasoning' : list}/${index}`;
}

/** The first log-probabilities of an item or a part; an empty list spells nothing. */
export function logprobsOf(node: JsonNode | null): JsonNode | null {
  const own = member(node, 'logprobs');
  if (own?.kind === 'array' && own.items.length > 0) return own;
  const content = member(node, 'content');
  if (content?.kind !== 'array') return null;
  for (const part of content.items) {
    const found = member(part, 'logprobs');
    if (found?.kind === 'array' && found.items.length > 0) return found;
  }
  return null;
}
