/**
 * The strings of a /validate_output body as channels of an output session: the answer's text, each other part of it,
 * and each tool call. Knows where every string stands, so that what is found can be named and cut.
 */
import { CANARY_SKELETON_CHARS_MIN } from '../../../engine/canary/needles.ts';
import type { ChannelKind } from '../../../engine/stream/channel.ts';
import type { OutputSession } from '../../../engine/stream/session.ts';
import type { Span } from '../../../engine/types.ts';
import { eachString, type JsonNode, type JsonString, pointerKey } from '../../wire/json.ts';

/** The body's `output` and `toolCalls` with the text they were parsed from. */
export interface OutputDocument {
  readonly source: string;
  readonly output: JsonNode;
  readonly toolCalls: JsonNode | null;
  /** Pointers of given calls that were removed and are a note now. */
  readonly removed: ReadonlySet<string>;
}

interface Ranged {
  /** What findings call it. */
  readonly where: string;
  /** JSON pointer inside `where`; null when `where` is the string itself. */
  readonly pointer: string | null;
  /** Range in the channel. */
  readonly from: number;
  readonly to: number;
}

interface Piece extends Ranged {
  readonly leaf: JsonString;
}

export interface OutputChannel {
  readonly name: string;
  readonly kind: ChannelKind;
  readonly pieces: Piece[];
  /** Stands between two strings that are no continuation of each other; empty where they are. */
  readonly separator: string;
  length: number;
}

/** Parts and calls beyond these share a channel: a channel costs more than a short text. */
const OWN_CHANNELS_MAX = 64;
/** Channel of the keys of all objects; nothing in it can be cut. */
const KEYS = 'keys';
/** Keys shorter than the shortest canary cannot carry one. */
const KEY_CHARS_MIN = CANARY_SKELETON_CHARS_MIN;
const ARGUMENTS = ['arguments', 'input', 'parameters', 'args'];
/** Name of the channel of the answer's own text. */
export const TEXT = 'output';

export class OutputText {
  readonly document: OutputDocument;
  readonly channels = new Map<string, OutputChannel>();
  readonly #keys: Ranged[] = [];
  #keyText = '';

  constructor(document: OutputDocument) {
    this.document = document;
    const { output, toolCalls } = document;
    if (output.kind === 'string') this.#add(TEXT, 'text', TEXT, '', output, null);
    for (const [index, item] of (output.kind === 'array' ? output.items : []).entries()) this.#part(item, index);
    for (const [index, call] of (toolCalls?.kind === 'array' ? toolCalls.items : []).entries()) this.#call(call, index);
  }

  /** The answer's text, its parts put together. */
  get text(): string {
    return (this.channels.get(TEXT)?.pieces ?? []).map(({ leaf }) => leaf.value).join('');
  }

  /** Feeds everything. `blanked` ranges of the answer's text are the markers of calls that are wanted. */
  feed(session: OutputSession, blanked: readonly Span[]): void {
    for (const channel of this.channels.values()) {
      let at = 0;
      for (const { leaf, from } of channel.pieces) {
        if (from > at) session.push(channel.name, channel.kind, channel.separator);
        const text = channel.name === TEXT ? blank(leaf.value, from, blanked) : leaf.value;
        session.push(channel.name, channel.kind, text);
        at = from + leaf.value.length;
      }
    }
    session.push(KEYS, 'meta', this.#keyText);
  }

  /** Where a hit of the session is: the word findings use, and a pointer when there is one. */
  place(channelName: string, start: number | null): { where: string; pointer: string | null } {
    const pieces = channelName === KEYS ? this.#keys : (this.channels.get(channelName)?.pieces ?? []);
    const piece = start === null ? null : pieceAt(pieces, start);
    if (piece !== null) return { where: piece.where, pointer: piece.pointer };
    const [first] = pieces;
    // A leak without a place is laid to a call only where the channel has no other.
    const sole = first?.where === pieces[pieces.length - 1]?.where ? first?.where : undefined;
    return { where: sole ?? channelName, pointer: null };
  }

  #part(item: JsonNode, index: number): void {
    if (item.kind === 'string') {
      this.#add(TEXT, 'text', TEXT, '', item, `/${index}`);
      return;
    }
    const name = index < OWN_CHANNELS_MAX ? `${TEXT}[${index}]` : `${TEXT}[]`;
    const body = item.kind === 'object' ? item.entries.get('text') : undefined;
    if (body?.kind === 'string') this.#add(TEXT, 'text', TEXT, '', body, `/${index}/text`);
    eachString(item, `/${index}`, (leaf, pointer) => {
      if (leaf !== body) this.#add(name, 'tool', TEXT, '\n', leaf, pointer);
    });
    this.#noteKeys(item, TEXT);
  }

  #call(item: JsonNode, index: number): void {
    const where = `toolCalls[${index}]`;
    const name = index < OWN_CHANNELS_MAX ? where : 'toolCalls[]';
    eachString(item, '', (leaf, pointer) => {
      const path = pointer.split('/');
      const at = path.findIndex((key) => ARGUMENTS.includes(key));
      if (at === -1 || at > 2) {
        this.#add(name, 'tool', where, '\n', leaf, pointer);
        return;
      }
      const inner = path.slice(at + 1).join('/');
      this.#add(`${name}.arguments`, 'tool', `${where}.arguments`, '\n', leaf, inner === '' ? null : `/${inner}`);
    });
    this.#noteKeys(item, `${where}.arguments`);
  }

  #add(
    name: string,
    kind: ChannelKind,
    where: string,
    separator: string,
    leaf: JsonString,
    pointer: string | null,
  ): void {
    if (leaf.value === '') return;
    let channel = this.channels.get(name);
    if (channel === undefined) {
      channel = { name, kind, pieces: [], separator, length: 0 };
      this.channels.set(name, channel);
    }
    const from = channel.length + (channel.length === 0 ? 0 : separator.length);
    channel.length = from + leaf.value.length;
    channel.pieces.push({ leaf, where, pointer, from, to: channel.length });
  }

  #noteKeys(root: JsonNode, where: string): void {
    const keys: string[] = [];
    const stack: JsonNode[] = [root];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (node.kind === 'array') for (const item of node.items) stack.push(item);
      if (node.kind !== 'object') continue;
      for (const [key, value] of node.entries) {
        if (key.length >= KEY_CHARS_MIN) keys.push(key);
        stack.push(value);
      }
    }
    if (keys.length === 0) return;
    const from = this.#keyText.length;
    this.#keyText += `${keys.join('\n')}\n`;
    this.#keys.push({ where, pointer: null, from, to: this.#keyText.length });
  }
}

/** True for a channel that was made of keys: nothing in it can be cut. */
export function isKeyChannel(name: string): boolean {
  return name === KEYS;
}

/** Blanks keep every offset, and nothing is found in them. Ranges are in order. */
function blank(text: string, offset: number, ranges: readonly Span[]): string {
  let result = '';
  let at = 0;
  for (const range of rangesIn(ranges, offset, offset + text.length)) {
    const start = Math.max(at, range.start - offset);
    const end = Math.min(text.length, range.end - offset);
    if (start >= end) continue;
    result += text.slice(at, start) + ' '.repeat(end - start);
    at = end;
  }
  return at === 0 ? text : result + text.slice(at);
}

/** Those of sorted, disjoint ranges that touch `[from, to)`. */
export function rangesIn<T extends Span>(ranges: readonly T[], from: number, to: number): T[] {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle] as T).end <= from) low = middle + 1;
    else high = middle;
  }
  const touching: T[] = [];
  for (let i = low; i < ranges.length && (ranges[i] as T).start < to; i++) touching.push(ranges[i] as T);
  return touching;
}

/** The piece that holds an offset of the channel. */
function pieceAt(pieces: readonly Ranged[], offset: number): Ranged | null {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((pieces[middle] as Ranged).to <= offset) low = middle + 1;
    else high = middle;
  }
  return pieces[low] ?? null;
}

/** The node at a JSON pointer below `root`. */
export function nodeAt(root: JsonNode, pointer: string): JsonNode | null {
  let node: JsonNode | null = root;
  for (const part of pointer.split('/').slice(1)) {
    if (node?.kind === 'array') node = node.items[Number(part)] ?? null;
    else if (node?.kind === 'object') {
      node = [...node.entries].find(([key]) => pointerKey(key) === part)?.[1] ?? null;
    } else return null;
  }
  return node;
}
