/**
 * A JSON reader that knows where everything stands (RFC 8259). One pass gives the range of every value, refuses
 * duplicate keys and deep nesting, and never recurses. Edits are splices on the source, so that whatever is not
 * edited leaves exactly as it came.
 */

import { applyEdits } from '../../engine/sanitize.ts';
import type { Edit } from '../../engine/types.ts';

export type JsonNode = JsonString | JsonObject | JsonArray | JsonScalar;

interface Ranged {
  /** Half-open range in the source, quotes and brackets included. */
  readonly start: number;
  readonly end: number;
}

export interface JsonString extends Ranged {
  readonly kind: 'string';
  readonly value: string;
}

export interface JsonObject extends Ranged {
  readonly kind: 'object';
  readonly entries: ReadonlyMap<string, JsonNode>;
}

export interface JsonArray extends Ranged {
  readonly kind: 'array';
  readonly items: readonly JsonNode[];
}

export interface JsonScalar extends Ranged {
  readonly kind: 'number' | 'boolean' | 'null';
  readonly value: number | boolean | null;
}

export type JsonProblem = 'invalid_json' | 'duplicate_key' | 'json_too_deep' | 'json_too_large';

/** Why a text was refused and where. Carries no text of the source. */
export class JsonError extends Error {
  readonly problem: JsonProblem;
  readonly offset: number;

  constructor(problem: JsonProblem, offset: number) {
    super(`${problem} at offset ${offset}`);
    this.name = 'JsonError';
    this.problem = problem;
    this.offset = offset;
  }
}

interface Open {
  readonly start: number;
  readonly entries: Map<string, JsonNode> | null;
  readonly items: JsonNode[] | null;
  key: string | null;
}

/** Reads a whole text. Throws `JsonError`. `depthMax` counts nested objects and arrays, `nodesMax` all values. */
export function parseJson(source: string, depthMax: number, nodesMax = Number.POSITIVE_INFINITY): JsonNode {
  return new Reader(source, depthMax, nodesMax).read();
}

class Reader {
  readonly #source: string;
  readonly #depthMax: number;
  #nodesLeft: number;
  #at = 0;

  constructor(source: string, depthMax: number, nodesMax: number) {
    this.#source = source;
    this.#depthMax = depthMax;
    this.#nodesLeft = nodesMax;
  }

  read(): JsonNode {
    const stack: Open[] = [];
    if (this.#source.charCodeAt(0) === 0xfeff) this.#at = 1;
    for (;;) {
      this.#blanks();
      const opened = this.#openOrScalar(stack);
      if (opened === null) continue;
      const root = this.#attach(opened, stack);
      if (root === null) continue;
      this.#blanks();
      if (this.#at !== this.#source.length) throw new JsonError('invalid_json', this.#at);
      return root;
    }
  }

  /** Reads a scalar, or opens a container and everything up to the place of its first value. Null: go on reading. */
  #openOrScalar(stack: Open[]): JsonNode | null {
    const start = this.#at;
    const code = this.#source.charCodeAt(start);
    if (--this.#nodesLeft < 0) throw new JsonError('json_too_large', start);
    if (code !== 0x7b && code !== 0x5b) return this.#scalar(code);
    if (stack.length >= this.#depthMax) throw new JsonError('json_too_deep', start);
    this.#at++;
    this.#blanks();
    const object = code === 0x7b;
    const open: Open = { start, entries: object ? new Map() : null, items: object ? null : [], key: null };
    if (this.#source.charCodeAt(this.#at) === (object ? 0x7d : 0x5d)) {
      this.#at++;
      return this.#close(open);
    }
    if (object) this.#key(open);
    stack.push(open);
    return null;
  }

  /** Puts a finished value where it belongs, closing what ends with it. The root when everything is closed. */
  #attach(value: JsonNode, stack: Open[]): JsonNode | null {
    let node = value;
    for (;;) {
      const parent = stack[stack.length - 1];
      if (parent === undefined) return node;
      if (parent.entries !== null) parent.entries.set(parent.key as string, node);
      else parent.items?.push(node);
      this.#blanks();
      const code = this.#source.charCodeAt(this.#at);
      if (code === 0x2c) {
        this.#at++;
        if (parent.entries !== null) {
          this.#blanks();
          this.#key(parent);
        }
        return null;
      }
      if (code !== (parent.entries !== null ? 0x7d : 0x5d)) throw new JsonError('invalid_json', this.#at);
      this.#at++;
      stack.pop();
      node = this.#close(parent);
    }
  }

  #close(open: Open): JsonNode {
    const range = { start: open.start, end: this.#at };
    return open.entries !== null
      ? { kind: 'object', ...range, entries: open.entries }
      : { kind: 'array', ...range, items: open.items ?? [] };
  }

  #key(open: Open): void {
    const start = this.#at;
    if (this.#source.charCodeAt(start) !== 0x22) throw new JsonError('invalid_json', start);
    const key = this.#string().value;
    if (open.entries?.has(key)) throw new JsonError('duplicate_key', start);
    open.key = key;
    this.#blanks();
    if (this.#source.charCodeAt(this.#at) !== 0x3a) throw new JsonError('invalid_json', this.#at);
    this.#at++;
  }

  #scalar(code: number): JsonNode {
    if (code === 0x22) return this.#string();
    if (code === 0x74) return this.#word('true', 'boolean', true);
    if (code === 0x66) return this.#word('false', 'boolean', false);
    if (code === 0x6e) return this.#word('null', 'null', null);
    return this.#number();
  }

  #word(text: string, kind: 'boolean' | 'null', value: boolean | null): JsonScalar {
    const start = this.#at;
    if (!this.#source.startsWith(text, start)) throw new JsonError('invalid_json', start);
    this.#at += text.length;
    return { kind, start, end: this.#at, value };
  }

  #string(): JsonString {
    const source = this.#source;
    const start = this.#at;
    let at = start + 1;
    let escaped = false;
    for (;;) {
      const code = source.charCodeAt(at);
      if (code === 0x22) break;
      if (code === 0x5c) {
        escaped = true;
        at += 2;
      } else if (code < 0x20 || Number.isNaN(code)) {
        throw new JsonError('invalid_json', Math.min(at, source.length));
      } else {
        at++;
      }
    }
    this.#at = at + 1;
    if (!escaped) return { kind: 'string', start, end: this.#at, value: source.slice(start + 1, at) };
    try {
      return { kind: 'string', start, end: this.#at, value: JSON.parse(source.slice(start, this.#at)) as string };
    } catch {
      throw new JsonError('invalid_json', start);
    }
  }

  #number(): JsonScalar {
    const source = this.#source;
    const start = this.#at;
    let at = start;
    const digits = (): void => {
      const from = at;
      while (at < source.length && source.charCodeAt(at) >= 0x30 && source.charCodeAt(at) <= 0x39) at++;
      if (at === from) throw new JsonError('invalid_json', at);
    };
    if (source.charCodeAt(at) === 0x2d) at++;
    const zero = source.charCodeAt(at) === 0x30;
    digits();
    if (zero && at - start > (source.charCodeAt(start) === 0x2d ? 2 : 1)) throw new JsonError('invalid_json', start);
    if (source.charCodeAt(at) === 0x2e) {
      at++;
      digits();
    }
    if ((source.charCodeAt(at) | 0x20) === 0x65) {
      at++;
      const sign = source.charCodeAt(at);
      if (sign === 0x2b || sign === 0x2d) at++;
      digits();
    }
    this.#at = at;
    return { kind: 'number', start, end: at, value: Number(source.slice(start, at)) };
  }

  #blanks(): void {
    for (;;) {
      const code = this.#source.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }
}

/** The value of a member, or null when the node is no object or has no such member of its own. */
export function member(node: JsonNode | null | undefined, key: string): JsonNode | null {
  return node?.kind === 'object' ? (node.entries.get(key) ?? null) : null;
}

/** The string value of a member, or null. */
export function stringMember(node: JsonNode | null | undefined, key: string): string | null {
  const value = member(node, key);
  return value?.kind === 'string' ? value.value : null;
}

/** Escapes a key for a JSON pointer (RFC 6901). */
export function pointerKey(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Visits every string below a node with its JSON pointer, in document order, without recursion. */
export function eachString(
  root: JsonNode,
  base: string,
  visit: (leaf: JsonString, path: string, key: string) => void,
): void {
  const stack: { node: JsonNode; path: string; key: string }[] = [{ node: root, path: base, key: '' }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { node, path } = top;
    if (node.kind === 'string') visit(node, path, top.key);
    const children: { node: JsonNode; path: string; key: string }[] = [];
    if (node.kind === 'object') {
      for (const [key, value] of node.entries) children.push({ node: value, path: `${path}/${pointerKey(key)}`, key });
    } else if (node.kind === 'array') {
      node.items.forEach((item, index) => {
        children.push({ node: item, path: `${path}/${index}`, key: top.key });
      });
    }
    for (let i = children.length - 1; i >= 0; i--)
      stack.push(children[i] as { node: JsonNode; path: string; key: string });
  }
}

/** Visits every key of at least `charsMin` characters below a node, without recursion. */
export function eachKey(root: JsonNode, charsMin: number, visit: (key: string) => void): void {
  const stack: JsonNode[] = [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    // One by one: a list may be longer than an argument list can be.
    if (node.kind === 'array') for (const item of node.items) stack.push(item);
    if (node.kind !== 'object') continue;
    for (const [key, value] of node.entries) {
      if (key.length >= charsMin) visit(key);
      if (value.kind === 'object' || value.kind === 'array') stack.push(value);
    }
  }
}

/** Replaces a range of the source. */
export type Splice = Edit;

/** Applies splices in any order. Throws for splices that overlap: what they would make is no JSON any more. */
export function applySplices(source: string, splices: readonly Splice[]): string {
  if (splices.length === 0) return source;
  const ordered = [...splices].sort((a, b) => a.start - b.start || a.end - b.end);
  let end = 0;
  for (const splice of ordered) {
    if (splice.start < end) throw new Error(`splices overlap at offset ${splice.start}`);
    end = splice.end;
  }
  return applyEdits(source, ordered);
}

/** Splices that insert decoded text into a string leaf and leave every other byte of its literal alone. */
export function insertIntoString(
  source: string,
  leaf: JsonString,
  insertions: readonly { readonly offset: number; readonly text: string }[],
): Splice[] {
  return insertions.map(({ offset, text }) => {
    const at = rawOffset(source, leaf, offset);
    return { start: at, end: at, text: JSON.stringify(text).slice(1, -1) };
  });
}

/** Replaces the whole value of a string leaf. */
export function replaceString(leaf: JsonString, text: string): Splice {
  return { start: leaf.start, end: leaf.end, text: JSON.stringify(text) };
}

/** Where the decoded offset of a leaf stands in the source. */
function rawOffset(source: string, leaf: JsonString, offset: number): number {
  let at = leaf.start + 1;
  for (let decoded = 0; decoded < offset; decoded++) {
    if (source.charCodeAt(at) !== 0x5c) at++;
    else at += source.charCodeAt(at + 1) === 0x75 ? 6 : 2;
  }
  return at;
}
