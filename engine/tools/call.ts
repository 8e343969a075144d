/** One tool call as found, whatever form it had. */
import type { Span } from '../types.ts';
import {
  firstMember,
  memberOf,
  type ParseTree,
  stringOf,
  type Tree,
  type TreeObject,
  type TreeString,
} from './tree.ts';

export interface FoundCall {
  /** Null when the call does not say which tool it means. */
  readonly name: string | null;
  /** Null when they are missing or could not be read. */
  readonly args: TreeObject | null;
  /** Arguments of a free-form tool that are no JSON object. */
  readonly text?: TreeString;
  /** The arguments, or the call itself, could not be read. */
  readonly badJson: boolean;
  /** JSON pointer of the call; behind `#` one inside a decoded text. */
  readonly path: string;
  /** Pointer of the arguments. */
  readonly argsPath: string;
  /** Where the call stands in the text it was found in; null when it came as data. */
  readonly span: Span | null;
  /** The texts that mark it as a call; empty for plain JSON. */
  readonly markers: readonly Span[];
}

const NAMES = ['tool', 'name', 'tool_name'];
const ARGUMENTS = ['arguments', 'input', 'parameters', 'args'];
/** `function`: OpenAI; `custom`: its free-form tools; `functionCall`: Gemini. */
const WRAPPERS = ['function', 'custom', 'function_call', 'functionCall'];

/** The object that names the tool: the node itself, or the one wrapped in it. */
function core(node: Tree): { node: Tree; path: string } {
  for (const key of WRAPPERS) {
    const wrapped = memberOf(node, key);
    if (wrapped?.kind === 'object') return { node: wrapped, path: `/${key}` };
  }
  return { node, path: '' };
}

/** True for an object that names a tool and has a place for arguments. */
export function isCall(node: Tree): boolean {
  const inner = core(node);
  if (inner.path !== '') return nameOf(inner.node) !== null;
  const typed = stringOf(memberOf(node, 'type'));
  if (typed === 'tool_use' || typed === 'function_call' || typed === 'custom_tool_call') return true;
  return nameOf(node) !== null && firstMember(node, ARGUMENTS) !== null;
}

function nameOf(node: Tree): string | null {
  const named = firstMember(node, NAMES);
  return named === null ? null : stringOf(named.value);
}

/** Reads a node as a call whether or not it looks like one. */
export function readCall(node: Tree, path: string, parse: ParseTree): FoundCall {
  const inner = core(node);
  const name = nameOf(inner.node);
  const given = firstMember(inner.node, ARGUMENTS);
  const read = readArguments(given?.value ?? null, parse);
  const freeForm = inner.path === '/custom' || stringOf(memberOf(node, 'type')) === 'custom_tool_call';
  const text = freeForm && read.badJson && given?.value.kind === 'string' ? given.value : null;
  const base = `${path}${inner.path}`;
  return {
    name,
    args: read.args,
    ...(text !== null && { text }),
    badJson: name === null || (text === null && read.badJson),
    path,
    argsPath: `${base}/${given?.key ?? 'arguments'}`,
    span: { start: node.start, end: node.end },
    markers: [],
  };
}

/** Arguments as an object, or as a JSON text of one. None, null and the empty text mean no arguments. */
export function readArguments(value: Tree | null, parse: ParseTree): { args: TreeObject | null; badJson: boolean } {
  if (value === null || value.kind === 'null') return { args: null, badJson: false };
  if (value.kind === 'object') return { args: value, badJson: false };
  if (value.kind !== 'string') return { args: null, badJson: true };
  if (value.value.trim() === '') return { args: null, badJson: false };
  const parsed = parse(value.value);
  return parsed?.kind === 'object' ? { args: parsed, badJson: false } : { args: null, badJson: true };
}
