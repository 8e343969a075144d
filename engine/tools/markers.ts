/**
 * Tool calls written as text, in the templates of open models. One pass: what a marker opens is read to its end and
 * the search goes on behind it, so the work is linear however many markers stand there.
 */
import type { Span } from '../types.ts';
import { type FoundCall, isCall, readCall } from './call.ts';
import type { ParseTree, Tree, TreeObject } from './tree.ts';

/**
 * Linear: literals with bounded classes between them. XML tags count under any prefix.
 * Groups: 1 a tag or bar token that JSON follows, 2 `name` of invoke, 3 name of `<function=…>`, 4 recipient of
 * harmony, 5 a token that a name follows.
 */
const MARKER_FORMS = [
  String.raw`(<(?:[a-z][\w.-]{0,20}:)?(?:tool_calls?|toolcalls?|start_function_call)\s{0,4}>|<\|tool_calls?\|?>|<\|tool_call_start\|>|\[TOOL_CALLS\]|<\|python_tag\|>)`,
  String.raw`<(?:[a-z][\w.-]{0,20}:)?invoke\s{1,4}name\s{0,4}=\s{0,4}["']([^"'<>]{1,128})["'][^<>]{0,64}>`,
  String.raw`<function\s{0,4}=\s{0,4}["']?([^"'<>]{1,128})["']?\s{0,4}>`,
  String.raw`\bto=((?:functions\.)?[\w.-]{1,128})(?![\w.-])[^{}]{0,96}?<\|message\|>`,
  String.raw`(<\|tool_call_begin\|>|<[｜|]tool[▁_]call[▁_]begin[｜|]>)`,
].join('|');
/** At one place; the search looks only at places where a marker can begin. */
const MARKER = new RegExp(MARKER_FORMS, 'iuy');
/** A marker begins with one of these, whatever its form. */
const OPENER = /[<[]|t(?:o(?:=|$)|$)/gi;

/**
 * What may still become a marker when more text comes: every beginning of one, and little else. Looser than the forms,
 * never tighter. Linear: anchored, bounded classes that exclude what follows them, or one class to the end.
 */
const PARTIAL = new RegExp(
  [
    String.raw`<(?:[|｜]?[a-z▁_][\w▁.:-]{0,48})?[|｜]?`,
    '<[|｜][^<>]{0,32}',
    String.raw`<[a-z][\w.:-]{0,44}\s{0,4}`,
    String.raw`<(?:[a-z][\w.-]{0,20}:)?invoke\s{1,4}[^<>]{0,220}`,
    String.raw`<function\s{0,4}=[^<>]{0,148}`,
    String.raw`\[[a-z_\u017f\u212a]{0,11}`,
    String.raw`\bto?`,
    String.raw`\bto=[\w.-]{0,138}(?:[^{}\w.-][^{}]{0,107})?`,
  ]
    .map((form) => `${form}$`)
    .join('|'),
  'iuy',
);
/** No beginning of a marker is longer; in units, of which a character may have two. */
export const PARTIAL_UNITS_MAX = 560;

/** What ends a call whose body is no JSON. */
const CLOSER =
  /<\/(?:[a-z][\w.-]{0,20}:)?(?:tool_calls?|toolcalls?|invoke|function)\s{0,4}>|<\|\/tool_call\|>|<tool_call\|>|<\|tool_call_end\|>|<end_function_call>|<[｜|]tool[▁_]call[▁_]end[｜|]>|<\|(?:call|end|eom_id|eot_id|im_end)\|>/giu;

/** `name<sep>`: DeepSeek and Kimi put the name before the arguments. */
const NAMED =
  /^\s{0,8}(?:function<[｜|]tool[▁_]sep[｜|]>)?\s{0,8}(?:functions\.)?([^\s<>{}[\]:]{1,128})(?::\d{1,6})?\s{0,8}(?:<\|tool_call_argument_begin\|>|<[｜|]tool[▁_]sep[｜|]>|\n)\s{0,8}(?:```(?:json)?\s{0,8})?/u;
/** Mistral: `name{…}` or `name[ARGS]{…}`. */
const INLINE_NAME = /^\s{0,8}([\w.-]{1,128})\s{0,8}(?:\[ARGS\])?\s{0,8}(?=\{)/u;
/** Python: `[name(…)]` or `name.call(…)`. */
const PYTHON_NAME = /^\s{0,8}\[?\s{0,8}([A-Za-z_]\w{0,63})(?:\.[A-Za-z_]\w{0,63}){0,3}\(/u;
/** GLM: the name on the first line, then keys and values. */
const GLM_NAME = /^\s{0,8}([\w.-]{1,128})\s{0,8}(?=<arg_key>)/u;

const XML_PARAMETER =
  /<(?:[a-z][\w.-]{0,20}:)?parameter(?:\s{1,4}name)?\s{0,4}=\s{0,4}["']?([^"'<>]{1,128})["']?[^<>]{0,64}>|<arg_key>([^<>]{1,128})<\/arg_key>\s{0,8}<arg_value>/giu;

/** A call says what it is within so many units. */
const HEAD_UNITS = 512;

/** What was read of a text that may go on. */
export interface MarkedCalls {
  readonly calls: readonly FoundCall[];
  /** Nothing that was found or may yet be found begins before this. */
  readonly end: number;
  /** At `end` stands a marker whose call may go on. */
  readonly open: boolean;
}

/** A call's reading is final once so many units follow it: more than any marker, name or separator is long. */
export const SETTLED_UNITS = 1024;

/** Every marked call of a text. */
export function findMarkedCalls(text: string, path: string, parse: ParseTree): readonly FoundCall[] {
  return readMarkedCalls(text, 0, true, text.length, path, parse).calls;
}

/**
 * The marked calls from `from` on. Of a text that is not `final` only those are given that no further text can change,
 * so however a text is cut into pieces, the calls are those of the whole. One that needs more than `unitsMax` for that
 * stays open.
 */
export function readMarkedCalls(
  text: string,
  from: number,
  final: boolean,
  unitsMax: number,
  path: string,
  parse: ParseTree,
): MarkedCalls {
  const calls: FoundCall[] = [];
  const reader = new Reader(text, path, parse);
  OPENER.lastIndex = from;
  for (let opener = OPENER.exec(text); opener !== null; opener = OPENER.exec(text)) {
    const start = opener.index;
    MARKER.lastIndex = start;
    const match = MARKER.exec(text);
    if (match === null) {
      if (!final && mayBecomeMarker(text, start)) return { calls, end: start, open: false };
      continue;
    }
    const result = readMarked(reader, match, { start, end: MARKER.lastIndex });
    const settled = result.end + SETTLED_UNITS;
    if (!final && (text.length < settled || settled - start > unitsMax)) return { calls, end: start, open: true };
    for (const call of result.calls) calls.push(call);
    OPENER.lastIndex = Math.max(start + match[0].length, result.end);
  }
  return { calls, end: text.length, open: false };
}

function mayBecomeMarker(text: string, start: number): boolean {
  if (text.length - start > PARTIAL_UNITS_MAX) return false;
  PARTIAL.lastIndex = start;
  return PARTIAL.test(text);
}

function readMarked(reader: Reader, match: RegExpExecArray, marker: Span): Read {
  const [, generic, invoked, tagged, recipient] = match;
  const name = invoked ?? tagged ?? recipient?.replace(/^functions\./, '') ?? null;
  if (name !== null) return reader.named(marker, name);
  return generic !== undefined ? reader.generic(marker) : reader.prefixed(marker);
}

interface Read {
  readonly calls: readonly FoundCall[];
  readonly end: number;
}

class Reader {
  readonly #text: string;
  readonly #path: string;
  readonly #parse: ParseTree;
  #lastCloser: { from: number; match: Span | null } | null = null;

  constructor(text: string, path: string, parse: ParseTree) {
    this.#text = text;
    this.#path = path;
    this.#parse = parse;
  }

  /** A marker that says which tool is meant; its body is JSON or XML parameters. */
  named(marker: Span, name: string): Read {
    const json = this.#json(marker.end);
    if (json !== null) return this.#one(marker, name, json.tree, json.end);
    const close = this.#closer(marker.end);
    const body = this.#text.slice(marker.end, close.start);
    const args = parameters(body, marker.end);
    const badJson = args === null && body.trim() !== '';
    return { calls: [this.#call(marker, name, args, badJson, close)], end: close.end };
  }

  /** A marker that JSON with the name in it follows; some models write the name before it, or Python. */
  generic(marker: Span): Read {
    const inline = INLINE_NAME.exec(this.#text.slice(marker.end, marker.end + 256));
    if (inline !== null) {
      const json = this.#json(marker.end + inline[0].length);
      if (json !== null) return this.#one(marker, inline[1] as string, json.tree, json.end);
    }
    const json = this.#json(marker.end);
    if (json !== null) return this.#jsonCalls(marker, json);
    const close = this.#closer(marker.end);
    const body = this.#text.slice(marker.end, close.start);
    // The search goes on right behind a marker that calls nothing, so only a bounded head is looked at for that.
    const head = body.slice(0, HEAD_UNITS);
    // A container around marked calls: those are found on their own.
    if (/^\s{0,64}<[^/]/.test(head) && !head.trimStart().startsWith('<arg_key>')) return { calls: [], end: marker.end };
    const glm = GLM_NAME.exec(head);
    if (glm !== null) {
      return {
        calls: [this.#call(marker, glm[1] as string, parameters(body, marker.end), false, close)],
        end: close.end,
      };
    }
    // An empty tag, or one that is only mentioned, calls nothing.
    if (!/[{[(]/.test(head)) return { calls: [], end: marker.end };
    const python = PYTHON_NAME.exec(head);
    return { calls: [this.#call(marker, python?.[1] ?? null, null, true, close)], end: close.end };
  }

  /** A marker that the name follows, then a separator, then JSON. */
  prefixed(marker: Span): Read {
    const named = NAMED.exec(this.#text.slice(marker.end, marker.end + 512));
    const name = named?.[1] ?? null;
    const json = this.#json(marker.end + (named?.[0].length ?? 0));
    if (json !== null) return this.#one(marker, name, json.tree, json.end);
    const close = this.#closer(marker.end);
    return { calls: [this.#call(marker, name, null, true, close)], end: close.end };
  }

  #one(marker: Span, name: string | null, tree: Tree | null, end: number): Read {
    const args = tree?.kind === 'object' ? tree : null;
    const close = this.#adjacentCloser(end);
    return { calls: [this.#call(marker, name, args, args === null, close)], end: close.end };
  }

  #jsonCalls(marker: Span, json: { tree: Tree | null; end: number }): Read {
    const close = this.#adjacentCloser(json.end);
    const { tree } = json;
    const items = tree?.kind === 'array' ? tree.items : tree === null ? [] : [tree];
    if (items.length === 0 && tree !== null) return { calls: [], end: close.end };
    const calls = (tree === null ? [null] : items).map((item): FoundCall => {
      if (item === null || !isCall(item)) {
        const named = item === null ? null : readCall(item, this.#path, this.#parse);
        return this.#call(marker, named?.name ?? null, null, named?.name == null || named.badJson, close);
      }
      const call = readCall(item, this.#path, this.#parse);
      return this.#call(marker, call.name, call.args, call.badJson, close);
    });
    return { calls, end: close.end };
  }

  #call(marker: Span, name: string | null, args: TreeObject | null, badJson: boolean, close: Span): FoundCall {
    return {
      name,
      args,
      badJson: badJson || name === null,
      path: this.#path,
      argsPath: `${this.#path}#/arguments`,
      span: { start: marker.start, end: close.end },
      markers: close.end > close.start ? [marker, close] : [marker],
    };
  }

  /** The JSON value that begins at `at`, blanks skipped. An open one reaches to the end of the text. */
  #json(at: number): { tree: Tree | null; end: number } | null {
    let start = at;
    while (start < this.#text.length && start - at < 64 && /\s/.test(this.#text[start] as string)) start++;
    const first = this.#text[start];
    if (first !== '{' && first !== '[') return null;
    // Python calls in a list look like JSON at their first character only.
    if (first === '[' && PYTHON_NAME.test(this.#text.slice(start, start + 160))) return null;
    const end = jsonEnd(this.#text, start);
    if (end === -1) return { tree: null, end: this.#text.length };
    return { tree: this.#parse(this.#text.slice(start, end)), end };
  }

  /** The next closing marker, or the end of the text. Remembered, so that many open markers cost one search. */
  #closer(from: number): Span {
    const known = this.#lastCloser;
    if (known === null || from < known.from || (known.match !== null && known.match.start < from)) {
      CLOSER.lastIndex = from;
      const match = CLOSER.exec(this.#text);
      this.#lastCloser = { from, match: match === null ? null : { start: match.index, end: CLOSER.lastIndex } };
    }
    return this.#lastCloser?.match ?? { start: this.#text.length, end: this.#text.length };
  }

  /** A closing marker that only blanks and a code fence separate from `end`. */
  #adjacentCloser(end: number): Span {
    const close = this.#closer(end);
    const between = close.start - end;
    const adjacent = between <= 16 && /^[\s`]*$/.test(this.#text.slice(end, close.start));
    return adjacent ? close : { start: end, end };
  }
}

/** Where the object or array that begins at `start` ends; -1 when it does not. */
function jsonEnd(text: string, start: number): number {
  let depth = 0;
  let quoted = false;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === 0x5c) at++;
      else if (code === 0x22) quoted = false;
    } else if (code === 0x22) quoted = true;
    else if (code === 0x7b || code === 0x5b) depth++;
    else if ((code === 0x7d || code === 0x5d) && --depth === 0) return at + 1;
  }
  return -1;
}

/** XML parameters as if they had been JSON strings; null when there are none. */
function parameters(body: string, offset: number): TreeObject | null {
  const entries = new Map<string, Tree>();
  const marks = [...body.matchAll(XML_PARAMETER)];
  marks.forEach((mark, index) => {
    const from = mark.index + mark[0].length;
    const limit = marks[index + 1]?.index ?? body.length;
    const close = body.slice(from, limit).search(/<\/(?:[a-z][\w.-]{0,20}:)?(?:parameter|arg_value)>/iu);
    const to = close === -1 ? limit : from + close;
    const key = (mark[1] ?? mark[2] ?? '').trim();
    entries.set(key, { kind: 'string', value: body.slice(from, to), start: offset + from, end: offset + to });
  });
  return entries.size === 0 ? null : { kind: 'object', entries, start: offset, end: offset + body.length };
}
