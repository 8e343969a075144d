/** The keys of a request that its writer has chosen: property names of schemas, arguments of calls, unknown members. */
import type { JsonNode } from './json.ts';

/** Below these, keys are names whatever they are, for one level: each is the name of another schema or value. */
const NAMES = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas', 'variables']);
/** Below these, keys are names at every level: a value of the writer's own. */
const VALUES = new Set(['input', 'arguments', 'default', 'const', 'enum', 'examples', 'input_examples']);

/** What keys of a node are: partly the format's own, names for this level, or names all the way down. */
type Level = 'format' | 'names' | 'values';

/**
 * In document order, without recursion. `own` are the keys that the format itself has. Names directly in one object
 * stand next to each other, though what they name has keys of its own.
 */
export function namedKeys(root: JsonNode, own: ReadonlySet<string>): string[] {
  const keys: string[] = [];
  const stack: { readonly node: JsonNode; readonly level: Level }[] = [{ node: root, level: 'format' }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { node, level } = top;
    if (node.kind === 'array') {
      for (let at = node.items.length - 1; at >= 0; at--) stack.push({ node: node.items[at] as JsonNode, level });
    }
    if (node.kind !== 'object') continue;
    const below: { node: JsonNode; level: Level }[] = [];
    for (const [key, value] of node.entries) {
      if (key !== '' && (level !== 'format' || !own.has(key))) keys.push(key);
      if (value.kind === 'object' || value.kind === 'array') below.push({ node: value, level: levelBelow(level, key) });
    }
    for (let at = below.length - 1; at >= 0; at--) stack.push(below[at] as (typeof below)[number]);
  }
  return keys;
}

function levelBelow(level: Level, key: string): Level {
  if (level !== 'format') return level === 'names' ? 'format' : 'values';
  return NAMES.has(key) ? 'names' : VALUES.has(key) ? 'values' : 'format';
}
