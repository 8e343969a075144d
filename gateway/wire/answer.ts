/**
 * What every answer format is read into, whole or event by event: strings that continue a channel, strings that stand
 * for themselves, tool calls, and how far each part of the answer has come.
 */
import type { ChannelKind } from '../../engine/stream/channel.ts';
import { eachKey, eachString, type JsonNode, type JsonString, member } from './json.ts';

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
  /** Unique in the answer. */
  readonly key: string;
  readonly name: string | null;
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

/** Keys shorter than a canary window cannot carry one. */
const KEY_CHARS_MIN = 10;

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

/** A non-negative integer, or null. */
export function integer(node: JsonNode | null): number | null {
  return node?.kind === 'number' && Number.isInteger(node.value) ? (node.value as number) : null;
}

function count(node: JsonNode | null): number | null {
  const value = integer(node);
  return value !== null && value >= 0 ? value : null;
}

/** True for a member that is there and not null. */
export function isSet(node: JsonNode | null): boolean {
  return node !== null && node.kind !== 'null';
}
