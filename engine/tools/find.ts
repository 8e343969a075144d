/**
 * Where an answer may call a tool: calls given as data, a whole answer that is JSON, and the textual markers of open
 * models. A call that cannot be read is still a call.
 */
import { type FoundCall, isCall, readCall } from './call.ts';
import { findMarkedCalls } from './markers.ts';
import { memberOf, type ParseTree, pointerKey, type Tree } from './tree.ts';

export type { FoundCall } from './call.ts';
export type { ParseTree, Tree } from './tree.ts';

/** Calls given as a list: every item is one. */
export function findGivenCalls(items: readonly Tree[], path: string, parse: ParseTree): FoundCall[] {
  return items.map((item, index) => readCall(item, `${path}/${index}`, parse));
}

/** Calls among the parts of a content list. */
export function findPartCalls(items: readonly Tree[], path: string, parse: ParseTree): FoundCall[] {
  return items.flatMap((item, index) => findStructured(item, `${path}/${index}`, parse));
}

/** Calls in a text: as marked by a model's template, or as the whole text. */
export function findTextCalls(text: string, path: string, parse: ParseTree): readonly FoundCall[] {
  const whole = wholeJson(text);
  if (whole !== null) {
    const tree = parse(whole.text);
    const calls = tree === null ? [] : findStructured(tree, `${path}#`, parse);
    if (calls.length > 0) return calls.map((call) => shift(call, whole.offset));
  }
  return findMarkedCalls(text, path, parse);
}

/** Members that hold calls, or objects that do, in the answers of providers. */
const HOLDERS = ['tool_calls', 'toolCalls', 'function_call', 'content', 'message', 'choices', 'output', 'parts'];
const HOLDER_DEPTH_MAX = 6;

function findStructured(root: Tree, path: string, parse: ParseTree): FoundCall[] {
  const found: FoundCall[] = [];
  const visit = (node: Tree, at: string, depth: number): void => {
    if (depth > HOLDER_DEPTH_MAX) return;
    if (node.kind === 'array') {
      node.items.forEach((item, index) => {
        visit(item, `${at}/${index}`, depth + 1);
      });
      return;
    }
    if (node.kind !== 'object') return;
    if (isCall(node)) {
      found.push(readCall(node, at, parse));
      return;
    }
    for (const key of HOLDERS) {
      const child = memberOf(node, key);
      if (child === null) continue;
      const below = `${at}/${pointerKey(key)}`;
      // Whatever stands in a list of tool calls is one, also when nothing of it can be read.
      if ((key === 'tool_calls' || key === 'toolCalls') && child.kind === 'array') {
        for (const call of findGivenCalls(child.items, below, parse)) found.push(call);
      } else visit(child, below, depth + 1);
    }
  };
  visit(root, path, 0);
  return found;
}

/** The text itself when it begins like JSON, or what one code fence around it holds. */
function wholeJson(text: string): { text: string; offset: number } | null {
  let start = 0;
  let end = text.length;
  // Linear: anchored, classes that do not overlap what follows them.
  const fence = /^\s*```[\w-]{0,20}[ \t]*\r?\n/.exec(text);
  if (fence !== null) {
    const trimmed = text.trimEnd();
    if (!trimmed.endsWith('```') || trimmed.length - 3 < fence[0].length) return null;
    start = fence[0].length;
    end = trimmed.length - 3;
  }
  const inner = text.slice(start, end);
  const first = inner.trimStart()[0];
  return first === '{' || first === '[' ? { text: inner, offset: start } : null;
}

function shift(call: FoundCall, offset: number): FoundCall {
  if (call.span === null || offset === 0) return call;
  return { ...call, span: { start: call.span.start + offset, end: call.span.end + offset } };
}
