/** The answer without what was found in it, looked at again until nothing is found. */
import type { Policy } from '../../../config/schema.ts';
import type { Span } from '../../../engine/types.ts';
import { applySplices, type JsonNode, parseJson, type Splice } from '../../wire/json.ts';
import { type Examined, type ExamineRequest, examine } from './examine.ts';
import { nodeAt, type OutputDocument, rangesIn, TEXT } from './outputText.ts';

/** What stands where a tool call was. */
export const CALL_REMOVED = '[tool call removed]';
const ROUNDS_MAX = 3;

/** JSON texts of what may be used. */
export interface CleanOutput {
  readonly output: string;
  readonly toolCalls: string | null;
}

/** Null when no clean form exists. */
export function cleanOutput(request: ExamineRequest, first: Examined): CleanOutput | null {
  const rewriting = { ...request, policy: cutting(request.policy) };
  // Under `observe` a canary is left in the text; in a text that we rewrite it must not stay.
  let examined = rewriting.policy === request.policy ? first : examine(rewriting, first.text.document);
  for (let round = 0; round < ROUNDS_MAX; round++) {
    if (examined.action === 'block') return null;
    const { document } = examined.text;
    if (examined.action === 'pass') return texts(document);
    examined = examine(rewriting, rewrite(examined));
  }
  return examined.action === 'pass' ? texts(examined.text.document) : null;
}

function cutting(policy: Policy): Policy {
  const { output } = policy;
  if (output.canary.action === 'sanitize') return policy;
  return { ...policy, output: { ...output, canary: { ...output.canary, action: 'sanitize' } } };
}

function texts({ source, output, toolCalls }: OutputDocument): CleanOutput {
  const of = (node: JsonNode): string => source.slice(node.start, node.end);
  return { output: of(output), toolCalls: toolCalls === null ? null : of(toolCalls) };
}

/** One round: cuts and escapes in every string, and removes the calls that are violations. */
function rewrite(examined: Examined): OutputDocument {
  const { text } = examined;
  const { source, output, toolCalls } = text.document;
  const removed = removals(examined);
  const splices: Splice[] = [...removed.splices];
  for (const channel of text.channels.values()) {
    for (const { leaf, from, to } of channel.pieces) {
      if (rangesIn(removed.splices, leaf.start, leaf.end).length > 0) continue;
      const cuts = channel.name === TEXT ? rangesIn(removed.ranges, from, to) : [];
      const next = rewriteText(examined, channel.name, from, to, leaf.value, cuts);
      if (next !== leaf.value) splices.push({ start: leaf.start, end: leaf.end, text: JSON.stringify(next) });
    }
  }
  const body = (node: JsonNode | null): string =>
    node === null
      ? 'null'
      : applySplices(
          source.slice(node.start, node.end),
          splices
            .filter((splice) => splice.start >= node.start && splice.end <= node.end)
            .map((splice) => ({ ...splice, start: splice.start - node.start, end: splice.end - node.start })),
        );
  const gone = new Set([...text.document.removed, ...removed.given]);
  return reparse(`{"output":${body(output)},"toolCalls":${body(toolCalls)}}`, toolCalls !== null, gone);
}

function reparse(source: string, hasCalls: boolean, removed: ReadonlySet<string>): OutputDocument {
  // Its depth was bounded when it was first read; the two levels around it are ours.
  const root = parseJson(source, Number.MAX_SAFE_INTEGER);
  return {
    source,
    output: nodeAt(root, '/output') as JsonNode,
    toolCalls: hasCalls ? nodeAt(root, '/toolCalls') : null,
    removed,
  };
}

interface Removals {
  readonly splices: readonly Splice[];
  /** In the answer's text. */
  readonly ranges: readonly (Span & { readonly json: boolean })[];
  /** Pointers of given calls. */
  readonly given: readonly string[];
}

/** The calls to remove: nodes of the body, and ranges of the answer's text. */
function removals({ expectations, text }: Examined): Removals {
  const splices = new Map<string, Splice>();
  const ranges = new Map<string, Span & { json: boolean }>();
  const note = JSON.stringify(CALL_REMOVED);
  const gone: string[] = [];
  for (const { call } of expectations.violations) {
    if (call.path.includes('#') || call.path === '/output') {
      // A call inside JSON is replaced by a string, so that the JSON stays whole.
      if (call.span !== null) ranges.set(`${call.span.start}`, { ...call.span, json: call.markers.length === 0 });
      continue;
    }
    const { output, toolCalls } = text.document;
    const given = call.path.startsWith('/toolCalls');
    const root = given ? toolCalls : output;
    const node = root === null ? null : nodeAt(root, call.path.replace(/^\/(?:toolCalls|output)/, ''));
    if (node === null) continue;
    const replacement = given ? `{"removed":true,"note":${note}}` : `{"type":"text","text":${note}}`;
    if (given) gone.push(call.path);
    splices.set(call.path, { start: node.start, end: node.end, text: replacement });
  }
  return {
    splices: [...splices.values()].sort((a, b) => a.start - b.start),
    ranges: [...ranges.values()].sort((a, b) => a.start - b.start),
    given: gone,
  };
}

/** `[from, to)` of a channel with the session's edits, and without the ranges. */
function rewriteText(
  { session }: Examined,
  channel: string,
  from: number,
  to: number,
  text: string,
  ranges: readonly (Span & { json: boolean })[],
): string {
  let result = '';
  let at = from;
  const keep = (end: number): void => {
    if (end <= at) return;
    const part = text.slice(at - from, end - from);
    result += session.rewrite(channel, at, end, part) ?? part;
    at = end;
  };
  for (const range of ranges) {
    keep(Math.max(from, range.start));
    if (range.start >= from) result += range.json ? JSON.stringify(CALL_REMOVED) : CALL_REMOVED;
    at = Math.min(to, range.end);
  }
  keep(to);
  return result;
}
