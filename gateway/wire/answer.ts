/**
 * What every answer format is read into, whole or event by event: strings that continue a channel, strings that stand
 * for themselves, tool calls, and how far each part of the answer has come.
 */
import type { ChannelKind } from '../../engine/stream/channel.ts';
import { eachKey, eachString, type JsonNode, type JsonString, member, pointerKey } from './json.ts';
import { toJson } from './nodeText.ts';

/** A string that continues a channel. */
export interface Piece {
  /** The choice, output item or content block it belongs to. */
  readonly group: number;
  readonly channel: string;
  readonly kind: ChannelKind;
  readonly leaf: JsonString;
  /** All there is of its channel, so nothing of it waits for more. */
  readonly whole?: boolean;
}

/** A string that stands for itself and is never rewritten. */
export interface Leaf {
  readonly name: string;
  readonly text: string;
}

/** A choice, output item or content block, as far as one part of the answer says something about it. */
export interface GroupState {
  readonly index: number;
  /** Set in the part that ends it. */
  readonly finished: boolean;
  /** Keys of the tool calls of which the part carries something. */
  readonly toolCalls: readonly string[];
  /** Range of the log-probabilities, which go when the text they spell is rewritten. */
  readonly logprobs: JsonNode | null;
}

/** What a part says of a tool call: name and arguments grow by what is given. */
export interface CallPart {
  /** Place of the call in the answer. */
  readonly key: string;
  /** The call's own id, where this part gives it: another one at the same place begins another call. */
  readonly id?: string | null;
  readonly name: string | null;
  /** Key of the call whose name this copy shares. */
  readonly nameOf?: string;
  /** JSON text, or a piece of it; of a free-form tool any text. */
  readonly arguments: string | null;
  readonly freeForm?: boolean;
}

export interface Usage {
  readonly inputTokens: number | null;
  readonly outputTokens: number | null;
}

/** One event of a stream, or a whole answer. */
export interface AnswerPart {
  readonly pieces: readonly Piece[];
  readonly leaves: readonly Leaf[];
  readonly groups: readonly GroupState[];
  readonly calls: readonly CallPart[];
  /** Strings in which the provider repeats the prompt, planted canaries included; the client gets its own words back. */
  readonly echoes: readonly JsonString[];
  /** Channels that are complete with this part, although their group may go on. */
  readonly closes: readonly string[];
  /** The provider reports an error in place of an answer. */
  readonly isError: boolean;
  /** The answer is complete with this part. */
  readonly ends: boolean;
  readonly usage: Usage | null;
}

/** Where the strings of an object belong. */
export interface Place {
  readonly group: number;
  /** Begins the names of its channels. */
  readonly channel: string;
  /** Begins the names of its leaves. */
  readonly at: string;
}

/** Keys shorter than a canary window cannot carry one. */
const KEY_CHARS_MIN = 10;
/** Strings of one object with a channel of their own; channels are counted, and the others share one. */
const OWN_CHANNELS_MAX = 64;
/** Longer strings may hold a whole canary, which is found, and cut, in their own channel. */
const SHORT_STRING_CHARS_MAX = 31;
/** What people are shown of a source: its name and its words. Its address is none of them. */
const SOURCE_TEXTS = new Set(['title', 'document_title', 'filename', 'cited_text', 'quote', 'text']);
/** Counts above it are no counts. */
const TOKENS_MAX = 1e9;

/** Collects one part. */
export class AnswerReader {
  readonly pieces: Piece[] = [];
  readonly leaves: Leaf[] = [];
  readonly groups: GroupState[] = [];
  readonly calls: CallPart[] = [];
  readonly echoes: JsonString[] = [];
  readonly closes: string[] = [];

  /** Every string below a node, each for itself. */
  strings(node: JsonNode, path: string): void {
    eachString(node, path, (leaf, at) => {
      this.leaves.push({ name: at, text: leaf.value });
    });
  }

  /** Long keys are text as well. */
  keys(root: JsonNode): void {
    eachKey(root, KEY_CHARS_MIN, (key) => this.leaves.push({ name: `key ${key}`, text: key }));
  }

  piece(group: number, channel: string, kind: ChannelKind, leaf: JsonString, whole = false): void {
    this.pieces.push({ group, channel, kind, leaf, ...(whole && { whole }) });
  }

  /**
   * An object that the model wrote: each string for itself, and keys and short strings together as the text that a
   * stream would spell.
   * @param isName true for strings that name things
   */
  written(
    node: JsonNode,
    { group, channel, at }: Place,
    isName: (key: string, path: string) => boolean = () => false,
  ): void {
    const shared = `${channel}*`;
    let own = 0;
    eachString(node, '', (leaf, path, key) => {
      if (isName(key, path)) this.leaves.push({ name: at + path, text: leaf.value });
      else if (own++ < OWN_CHANNELS_MAX) this.piece(group, channel + path, 'tool', leaf, true);
      else this.piece(group, shared, 'tool', leaf);
    });
    if (own > OWN_CHANNELS_MAX) this.closes.push(shared);
    const isEmpty = node.kind === 'object' ? node.entries.size === 0 : node.kind !== 'array';
    if (!isEmpty) this.leaves.push({ name: `keys ${at}`, text: toJson(node, SHORT_STRING_CHARS_MAX) });
  }

  /** Texts that come whole. Those under the same key share a channel, however many there are. */
  shown(
    node: JsonNode,
    { group, channel, at }: Place,
    isShown: (key: string) => boolean = (key) => SOURCE_TEXTS.has(key),
  ): void {
    const own = new Set<string>();
    eachString(node, '', (leaf, path, key) => {
      if (!isShown(key)) {
        this.leaves.push({ name: at + path, text: leaf.value });
        return;
      }
      const name = key === '' ? channel : `${channel}/${pointerKey(key)}`;
      if (own.size < OWN_CHANNELS_MAX) own.add(name);
      this.piece(group, own.has(name) ? name : `${channel}*`, 'text', leaf, true);
    });
  }

  result(rest: { readonly isError: boolean; readonly ends: boolean; readonly usage: Usage | null }): AnswerPart {
    const { pieces, leaves, groups, calls, echoes, closes } = this;
    return { pieces, leaves, groups, calls, echoes, closes, ...rest };
  }
}

/** Token counts as any of the formats writes them. Null when the node is no usage object. */
export function readUsage(node: JsonNode | null): Usage | null {
  if (node?.kind !== 'object') return null;
  const inputTokens = count(member(node, 'prompt_tokens') ?? member(node, 'input_tokens'));
  const outputTokens = count(member(node, 'completion_tokens') ?? member(node, 'output_tokens'));
  return inputTokens === null && outputTokens === null ? null : { inputTokens, outputTokens };
}

/** An integer that is exact, or null. */
export function integer(node: JsonNode | null): number | null {
  return node?.kind === 'number' && Number.isSafeInteger(node.value) ? (node.value as number) : null;
}

function count(node: JsonNode | null): number | null {
  const value = integer(node);
  return value !== null && value >= 0 && value <= TOKENS_MAX ? value : null;
}

/** True for a member that is there and not null. */
export function isSet(node: JsonNode | null): boolean {
  return node !== null && node.kind !== 'null';
}

/** What is known after one more part. */
export function mergeUsage(before: Usage | null, now: Usage): Usage {
  return {
    inputTokens: now.inputTokens ?? before?.inputTokens ?? null,
    outputTokens: now.outputTokens ?? before?.outputTokens ?? null,
  };
}
