/** Which output items are tool calls, and what they say as a name and a JSON text of arguments. */
import { type JsonNode, type JsonObject, member, stringMember } from './json.ts';
import { textOf, toJson } from './nodeText.ts';

/**
 * Calls that a client runs or approves, or that run somewhere else in its name. Searches and code that the provider runs
 * by itself are none.
 */
const CALL_TYPES = new Set([
  'function_call',
  'custom_tool_call',
  'mcp_call',
  'mcp_approval_request',
  'local_shell_call',
  'shell_call',
  'apply_patch_call',
  'computer_call',
  'tool_search_call',
]);
/** What a call is to do, in those that have no arguments. */
const ACTIONS = ['arguments', 'action', 'operation', 'actions'];

export interface NamedCall {
  readonly id: string | null;
  readonly name: string | null;
  readonly arguments: string | null;
  /** The arguments are any text. */
  readonly freeForm?: boolean;
}

export function isCall(item: JsonNode | null): boolean {
  return CALL_TYPES.has(stringMember(item, 'type') ?? '') || isUnknownCall(item);
}

/** A complete call: what it is to do, once for each member that says so. Empty for an item that is none. */
export function wholeCalls(item: JsonObject): NamedCall[] {
  const begun = begunCall(item);
  if (begun !== null) return [begun];
  if (!isCall(item)) return [];
  const id = idOf(item);
  // Built-in tools are called by the type of the item.
  const type = stringMember(item, 'type') as string;
  const name = isUnknownCall(item) ? stringMember(item, 'name') : type.replace(/_call$/, '');
  const keys = [...ACTIONS, ...(isUnknownCall(item) ? ['input'] : [])].filter((key) => member(item, key) !== null);
  if (keys.length === 0) return [{ id, name, arguments: null }];
  return keys.map((key) => {
    const value = member(item, key) as JsonNode;
    return { id, name, arguments: value.kind === 'array' ? `{"${key}":${toJson(value)}}` : textOf(value) };
  });
}

/** A call whose arguments later events go on with. Null for an item that is none, or that comes whole. */
export function begunCall(item: JsonNode): NamedCall | null {
  switch (stringMember(item, 'type')) {
    case 'function_call':
    case 'mcp_call':
    case 'mcp_approval_request':
      return { id: idOf(item), name: stringMember(item, 'name'), arguments: textOf(member(item, 'arguments')) };
    case 'custom_tool_call': {
      const input = textOf(member(item, 'input'));
      return { id: idOf(item), name: stringMember(item, 'name'), arguments: input, freeForm: true };
    }
    default:
      return null;
  }
}

/** True for an item that says what it is to do, and not only that something will follow. */
export function hasAction(item: JsonObject): boolean {
  return [...ACTIONS, 'input'].some((key) => saysSomething(member(item, key)));
}

/** A type that nobody here has heard of, with the name of a tool. */
function isUnknownCall(item: JsonNode | null): boolean {
  const type = stringMember(item, 'type') ?? '';
  return type.endsWith('_call') && !CALL_TYPES.has(type) && stringMember(item, 'name') !== null;
}

function idOf(item: JsonNode): string | null {
  return stringMember(item, 'call_id') ?? stringMember(item, 'id');
}

/** True for any value that is not empty. A type says something where it stands alone. */
function saysSomething(root: JsonNode | null): boolean {
  const stack = root === null ? [] : [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.kind === 'array') for (const item of node.items) stack.push(item);
    else if (node.kind === 'object') {
      for (const [key, value] of node.entries) if (key !== 'type' || node.entries.size === 1) stack.push(value);
    } else if (node.value !== '' && node.value !== null) return true;
  }
  return false;
}
