/** Which output items are tool calls, and what they say as a name and a JSON text of arguments. */
import { type JsonNode, type JsonObject, member, stringMember } from './json.ts';
import { toJson } from './nodeText.ts';

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
  readonly name: string | null;
  readonly arguments: string | null;
  /** The arguments are any text. */
  readonly freeForm?: boolean;
}

export function isCall(item: JsonNode | null): boolean {
  return CALL_TYPES.has(stringMember(item, 'type') ?? '');
}

/** A complete call. Null for an item that is none. */
export function wholeCall(item: JsonObject): NamedCall | null {
  const begun = begunCall(item);
  if (begun !== null) return begun;
  if (!isCall(item)) return null;
  // Built-in tools are called by the type of the item.
  const name = (stringMember(item, 'type') as string).replace(/_call$/, '');
  const key = ACTIONS.find((candidate) => member(item, candidate) !== null);
  if (key === undefined) return { name, arguments: null };
  const value = member(item, key) as JsonNode;
  const json = toJson(value);
  return { name, arguments: value.kind === 'array' ? `{"${key}":${json}}` : json };
}

/** A call whose arguments later events go on with. Null for an item that is none, or that comes whole. */
export function begunCall(item: JsonNode): NamedCall | null {
  switch (stringMember(item, 'type')) {
    case 'function_call':
    case 'mcp_call':
    case 'mcp_approval_request':
      return { name: stringMember(item, 'name'), arguments: stringMember(item, 'arguments') };
    case 'custom_tool_call':
      return { name: stringMember(item, 'name'), arguments: stringMember(item, 'input'), freeForm: true };
    default:
      return null;
  }
}
