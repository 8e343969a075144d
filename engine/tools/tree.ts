/** What the tool checks need to know of a parsed JSON text. The caller brings the parser. */

interface Ranged {
  /** Half-open range in the text that was parsed. */
  readonly start: number;
  readonly end: number;
}

export interface TreeObject extends Ranged {
  readonly kind: 'object';
  readonly entries: ReadonlyMap<string, Tree>;
}

export interface TreeArray extends Ranged {
  readonly kind: 'array';
  readonly items: readonly Tree[];
}

export interface TreeString extends Ranged {
  readonly kind: 'string';
  readonly value: string;
}

export interface TreeScalar extends Ranged {
  readonly kind: 'number' | 'boolean' | 'null';
  readonly value: number | boolean | null;
}

export type Tree = TreeObject | TreeArray | TreeString | TreeScalar;

/** Parses a whole text; null when it is no JSON, repeats a key, or is nested too deeply. */
export type ParseTree = (text: string) => Tree | null;

/** An own member, or null. */
export function memberOf(tree: Tree | null | undefined, key: string): Tree | null {
  return tree?.kind === 'object' ? (tree.entries.get(key) ?? null) : null;
}

/** The first of the members that is there. */
export function firstMember(tree: Tree, keys: readonly string[]): { key: string; value: Tree } | null {
  for (const key of keys) {
    const value = memberOf(tree, key);
    if (value !== null) return { key, value };
  }
  return null;
}

/** The value of a string member, or null. */
export function stringOf(tree: Tree | null): string | null {
  return tree?.kind === 'string' ? tree.value : null;
}

/** Escapes a key for a JSON pointer (RFC 6901). */
export function pointerKey(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
