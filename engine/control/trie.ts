/** Literals as a tree of folded characters; `{n}` in a literal is one edge that takes a decimal number. */

export interface Entry {
  readonly tier: 'a' | 'b' | 'c';
  readonly family: string;
  /** The folded literal, `{n}` kept: few distinct values, fit for a metric. */
  readonly name: string;
}

export interface TrieNode {
  readonly next: Map<string, TrieNode>;
  /** Reached by any digit; further digits stay there. */
  number: TrieNode | null;
  readonly isNumber: boolean;
  entry: Entry | null;
}

export function newNode(isNumber = false): TrieNode {
  return { next: new Map(), number: null, isNumber, entry: null };
}

/** Adds `entry` under its name; the first family to name a literal keeps it. */
export function insert(root: TrieNode, entry: Entry): void {
  let node = root;
  const pieces = entry.name.split('{n}');
  pieces.forEach((piece, index) => {
    for (const char of piece) {
      let next = node.next.get(char);
      if (next === undefined) {
        next = newNode();
        node.next.set(char, next);
      }
      node = next;
    }
    if (index < pieces.length - 1) {
      node.number ??= newNode(true);
      node = node.number;
    }
  });
  node.entry ??= entry;
}

/** The node after `char`, or null where no literal goes on that way. */
export function advance(node: TrieNode, char: string): TrieNode | null {
  const next = node.next.get(char);
  if (next !== undefined) return next;
  if (char < '0' || char > '9' || char.length !== 1) return null;
  return node.isNumber ? node : node.number;
}

/** True where some literal goes on from here. */
export function goesOn(node: TrieNode): boolean {
  return node.isNumber || node.number !== null || node.next.size > 0;
}
