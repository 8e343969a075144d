/** Parsed trees as plain data for a schema validator, and equality of such data in linear time. */
import { pointerKey, type Tree } from './tree.ts';

export interface Plain {
  readonly data: unknown;
  /** Pointer of the first member called `__proto__`, or null. A validator looks past it; a merge would obey it. */
  readonly proto: string | null;
}

/** Objects get no prototype, so that no key means anything but itself. Recursion is bounded by the parser's depth. */
export function plainOf(tree: Tree): Plain {
  let proto: string | null = null;
  const convert = (node: Tree, path: string): unknown => {
    switch (node.kind) {
      case 'object': {
        const object = Object.create(null) as Record<string, unknown>;
        for (const [key, value] of node.entries) {
          const below = `${path}/${pointerKey(key)}`;
          if (key === '__proto__') proto ??= below;
          object[key] = convert(value, below);
        }
        return object;
      }
      case 'array':
        return node.items.map((item, index) => convert(item, `${path}/${index}`));
      default:
        return node.value;
    }
  };
  const data = convert(tree, '');
  return { data, proto };
}

/**
 * Equal data, equal text: members sorted, numbers as JavaScript prints them. `charge` is told of every step.
 */
export function canonical(data: unknown, charge: (steps: number) => void): string {
  if (data === null || typeof data !== 'object') {
    if (typeof data !== 'string') return String(data);
    charge(1 + (data.length >> 4));
    return JSON.stringify(data);
  }
  charge(1);
  if (Array.isArray(data)) return `[${data.map((item) => canonical(item, charge)).join(',')}]`;
  const members = Object.entries(data).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, value]) => `${JSON.stringify(key)}:${canonical(value, charge)}`).join(',')}}`;
}
