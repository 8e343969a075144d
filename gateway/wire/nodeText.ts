/** Read JSON as text again, for readers that were given nodes and not the source. */
import type { JsonNode } from './json.ts';

/**
 * JSON without blanks that says the same, for guards that read it; never sent to anyone. Numbers are what JavaScript
 * made of them: digits beyond the precision of a double are lost, and what overflows one is null. Values longer than
 * `stringCharsMax` are empty.
 */
export function toJson(root: JsonNode, stringCharsMax = Number.POSITIVE_INFINITY): string {
  const out: string[] = [];
  // Strings stand for themselves, nodes are still to be written; a stack, since a document may be deeper than the call stack.
  const stack: (JsonNode | string)[] = [root];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    if (typeof top === 'string') out.push(top);
    else if (top.kind === 'object') {
      out.push('{');
      stack.push('}');
      const entries = [...top.entries];
      for (let i = entries.length - 1; i >= 0; i--) {
        const [key, value] = entries[i] as (typeof entries)[number];
        stack.push(value, `${i === 0 ? '' : ','}${JSON.stringify(key)}:`);
      }
    } else if (top.kind === 'array') {
      out.push('[');
      stack.push(']');
      for (let i = top.items.length - 1; i >= 0; i--) {
        stack.push(top.items[i] as JsonNode);
        if (i > 0) stack.push(',');
      }
    } else if (top.kind === 'string' && top.value.length > stringCharsMax) out.push('""');
    else out.push(JSON.stringify(top.value));
  }
  return out.join('');
}

/** A string as it is, and anything else as JSON. Null where there is nothing. */
export function textOf(node: JsonNode | null): string | null {
  if (node === null || node.kind === 'null') return null;
  return node.kind === 'string' ? node.value : toJson(node);
}
