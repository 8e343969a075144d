/** Whether an answer is what its media type says. JSON is read by the parser that the caller brings. */
import type { Tree } from '../tools/tree.ts';

export interface MimeFailure {
  /** The media type without parameters. */
  readonly expected: string;
  readonly error:
    | 'invalid_json'
    | 'duplicate_key'
    | 'json_too_deep'
    | 'json_too_large'
    | 'proto_key'
    | 'active_content';
  /** UTF-16 offset in the text. */
  readonly offset: number;
}

export type ParseOutcome =
  | { readonly tree: Tree }
  | { readonly error: 'invalid_json' | 'duplicate_key' | 'json_too_deep' | 'json_too_large'; readonly offset: number };

/** Lower case, without parameters. */
export function mediaType(value: string): string {
  return (value.split(';')[0] as string).trim().toLowerCase();
}

/** True for `application/json` and the `+json` family. */
export function isJsonType(type: string): boolean {
  return type === 'application/json' || type === 'text/json' || type.endsWith('+json');
}

/** True for HTML and XHTML. */
export function isHtmlType(type: string): boolean {
  return type === 'text/html' || type === 'application/xhtml+xml';
}

/** True when there is anything to check for this type. */
export function hasMimeRule(expected: string): boolean {
  const type = mediaType(expected);
  return isJsonType(type) || isHtmlType(type);
}

/** Null when the text is fine. A BOM and blanks around JSON are tolerated, prose and code fences are not. */
export function checkMime(expected: string, text: string, parse: (text: string) => ParseOutcome): MimeFailure | null {
  const type = mediaType(expected);
  if (isJsonType(type)) {
    const outcome = parse(text);
    if ('error' in outcome) return { expected: type, ...outcome };
    const offset = protoKey(outcome.tree);
    return offset === -1 ? null : { expected: type, error: 'proto_key', offset };
  }
  if (!isHtmlType(type)) return null;
  const offset = activeContent(text);
  return offset === -1 ? null : { expected: type, error: 'active_content', offset };
}

/** Offset of the value of the first `__proto__` key, which an unguarded merge would obey. */
function protoKey(root: Tree): number {
  const stack: Tree[] = [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    // One by one: a list may be longer than an argument list can be.
    if (node.kind === 'array') for (const item of node.items.slice().reverse()) stack.push(item);
    if (node.kind !== 'object') continue;
    const proto = node.entries.get('__proto__');
    if (proto !== undefined) return proto.start;
    for (const value of [...node.entries.values()].reverse()) stack.push(value);
  }
  return -1;
}

/**
 * Elements that run or load code, event attributes, and script URLs. Linear: alternatives begin with literals, and
 * classes between them exclude what ends a tag. An attribute value that holds `>` hides what follows it in its tag;
 * documents are parsed properly by the HTML guard.
 */
const ACTIVE =
  /<\s{0,4}(?:script|iframe|object|embed|applet|base|meta\s{1,8}http-equiv)\b|<[a-z][^<>]{0,2000}?[\s"'/]on[a-z]{3,24}\s{0,8}=|\b(?:javascript|vbscript)\s{0,8}:|\bdata\s{0,8}:\s{0,8}text\/html/iu;

function activeContent(text: string): number {
  return ACTIVE.exec(text)?.index ?? -1;
}
