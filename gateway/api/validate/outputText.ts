/**
 * The strings of a /validate_output body as channels of an output session: the answer's text, each other part of it,
 * and each tool call. Knows where every string stands, so that what is found can be named and cut.
 */
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

interface Piece {
  readonly leaf: JsonString;
  /** JSON pointer inside `where`; null when `where` is the string itself. */
  readonly pointer: string | null;
  /** Range in the channel. */
  readonly from: number;
  readonly to: number;
}

export interface OutputChannel {
  readonly name: string;
  readonly kind: ChannelKind;
  /** What findings call it. */
  readonly where: string;
  readonly pieces: Piece[];
  /** Stands between two strings that are no continuation of each other; empty where they are. */
  readonly separator: string;
  length: number;
}

/** Keys shorter than a canary window cannot carry one. */
const KEY_CHARS_MIN = 10;
const ARGUMENTS = ['arguments', 'input', 'parameters', 'args'];
/** Name of the channel of the answer's own text. */
export const TEXT = 'output';

export class OutputText {
  readonly document: OutputDocument;
  readonly channels = new Map<string, OutputChannel>();
  readonly #keys: { readonly where: string; readonly key: string }[] = [];

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
    for (const { where, key } of this.#keys) session.pushLeaf(keyChannel(where), key);
  }

  /** Where a hit of the session is: the word findings use, and a pointer when there is one. */
  place(channelName: string, start: number | null): { where: string; pointer: string | null } {
    const channel = this.channels.get(channelName);
    if (channel === undefined) return { where: channelName.replace(/ keys$/, ''), pointer: null };
    const piece = start === null ? null : pieceAt(channel.pieces, start);
    return { where: channel.where, pointer: piece?.pointer ?? null };
  }

  #part(item: JsonNode, index: number): void {
    if (item.kind === 'string') {
      this.#add(TEXT, 'text', TEXT, '', item, `/${index}`);
      return;
    }
    const name = `${TEXT}[${index}]`;
    const body = item.kind === 'object' ? item.entries.get('text') : undefined;
    if (body?.kind === 'string') this.#add(TEXT, 'text', TEXT, '', body, `/${index}/text`);
    eachString(item, `/${index}`, (leaf, pointer) => {
      if (leaf !== body) this.#add(name, 'tool', TEXT, '\n', leaf, pointer);
    });
    this.#noteKeys(item, TEXT);
  }

  #call(item: JsonNode, index: number): void {
    const name = `toolCalls[${index}]`;
    eachString(item, '', (leaf, pointer) => {
      const path = pointer.split('/');
      const at = path.findIndex((key) => ARGUMENTS.includes(key));
      if (at === -1 || at > 2) {
        this.#add(name, 'tool', name, '\n', leaf, pointer);
        return;
      }
      const inner = path.slice(at + 1).join('/');
      const where = `${name}.arguments`;
      this.#add(where, 'tool', where, '\n', leaf, inner === '' ? null : `/${inner}`);
    });
    this.#noteKeys(item, `${name}.arguments`);
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
      channel = { name, kind, where, pieces: [], separator, length: 0 };
      this.channels.set(name, channel);
    }
    const from = channel.length + (channel.length === 0 ? 0 : separator.length);
    channel.length = from + leaf.value.length;
    channel.pieces.push({ leaf, pointer, from, to: channel.length });
  }

  #noteKeys(root: JsonNode, where: string): void {
    const stack: JsonNode[] = [root];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (node.kind === 'array') stack.push(...node.items);
      if (node.kind !== 'object') continue;
      for (const [key, value] of node.entries) {
        if (key.length >= KEY_CHARS_MIN) this.#keys.push({ where, key });
        stack.push(value);
      }
    }
  }
}

function keyChannel(where: string): string {
  return `${where} keys`;
}

/** True for a channel that was made of keys: nothing in it can be cut. */
export function isKeyChannel(name: string): boolean {
  return name.endsWith(' keys');
}

/** Blanks keep every offset, and nothing is found in them. Ranges are in order. */
function blank(text: string, offset: number, ranges: readonly Span[]): string {
  let result = '';
  let at = 0;
  for (const range of ranges) {
    const start = Math.max(at, range.start - offset);
    const end = Math.min(text.length, range.end - offset);
    if (start >= end) continue;
    result += text.slice(at, start) + ' '.repeat(end - start);
    at = end;
  }
  return at === 0 ? text : result + text.slice(at);
}

/** The piece that holds an offset of the channel. */
function pieceAt(pieces: readonly Piece[], offset: number): Piece | null {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((pieces[middle] as Piece).to <= offset) low = middle + 1;
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
