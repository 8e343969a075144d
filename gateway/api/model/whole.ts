/** Whole answers of a provider through the output door: completions, lists, lookups and error bodies. */
import type { OutputSession } from '../../../engine/stream/session.ts';
import { GatewayError } from '../../errors.ts';
import { type EchoFormat, restoreEchoes } from '../../stream/echoes.ts';
import { disjoint, dropLogprobs } from '../../stream/heldFrame.ts';
import { ToolCalls } from '../../stream/toolCalls.ts';
import type { ErrorDialect } from '../../surface/errorDialect.ts';
import type { UpstreamHead } from '../../upstream/call.ts';
import type { WholeAnswer } from '../../upstream/collect.ts';
import type { AnswerPart, Usage } from '../../wire/answer.ts';
import {
  applySplices,
  eachKey,
  eachString,
  JsonError,
  type JsonNode,
  member,
  parseJson,
  replaceString,
} from '../../wire/json.ts';

export interface CheckedAnswer {
  readonly status: number;
  readonly body: Buffer;
  readonly usage: Usage | null;
  /** Null for an error answer. */
  readonly root: JsonNode | null;
}

/** How an answer is read. */
export interface AnswerFormat extends EchoFormat {
  readonly read: (root: JsonNode) => AnswerPart | null;
  readonly depthMax: number;
  readonly errors: ErrorDialect;
}

/** Reads the headers that will be relayed for canaries. */
export function checkHeaders(session: OutputSession, head: UpstreamHead): void {
  for (const [name, value] of head.headers) session.pushLeaf(`header ${name}`, value);
}

/** An answer of any status with its headers. Throws `bad_upstream`, `content_filter` or `guardrail_unavailable`. */
export function checkAnswer(session: OutputSession, answer: WholeAnswer, format: AnswerFormat): CheckedAnswer {
  checkHeaders(session, answer.head);
  return answer.head.status >= 400 ? checkError(session, answer, format) : checkSuccess(session, answer, format);
}

function checkSuccess(session: OutputSession, answer: WholeAnswer, format: AnswerFormat): CheckedAnswer {
  const source = utf8(answer.body);
  const root = source === null ? null : parse(source, format.depthMax);
  const part = root === null ? null : format.read(root);
  if (source === null || part === null || part.isError) throw new GatewayError('bad_upstream');
  for (const leaf of part.leaves) session.pushLeaf(leaf.name, leaf.text);
  const splices = restoreEchoes(session, part.echoes, format);
  const ranges = part.pieces.map((piece) => {
    const from = session.length(piece.channel);
    session.push(piece.channel, piece.kind, piece.leaf.value);
    return { piece, from, to: session.length(piece.channel) };
  });
  const calls = new ToolCalls(session, part.calls.length);
  calls.read(part.calls);
  calls.judgeWhole(part.calls);
  conclude(session);
  for (const { piece, from, to } of ranges) {
    const rewritten = session.rewrite(piece.channel, from, to, piece.leaf.value);
    if (rewritten !== null)
      splices.push(replaceString(piece.leaf, rewritten), ...dropLogprobs(part.groups, piece.group));
  }
  const body = splices.length === 0 ? answer.body : Buffer.from(applySplices(source, disjoint(splices)), 'utf8');
  return { status: answer.head.status, body, usage: part.usage, root };
}

/** An error answer. What is no error object of the format is replaced by one, so that every SDK shows its message. */
export function checkError(
  session: OutputSession,
  answer: WholeAnswer,
  { depthMax, errors }: AnswerFormat,
): CheckedAnswer {
  const { status } = answer.head;
  const source = utf8(answer.body);
  const root = source === null ? null : parse(source, depthMax);
  if (root !== null) readAll(session, root);
  conclude(session);
  const error = member(root, 'error');
  const readable = error?.kind === 'object' && member(error, 'message')?.kind === 'string';
  if (readable) return { status, body: answer.body, usage: null, root: null };
  const text = error?.kind === 'string' ? error.value : null;
  const message = text ?? `The provider answered with status ${status}.`;
  return { status, body: Buffer.from(errors.foreign(status, message), 'utf8'), usage: null, root: null };
}

/** Every string and every key of a document. */
function readAll(session: OutputSession, root: JsonNode): void {
  eachString(root, '', (leaf, path) => session.pushLeaf(path, leaf.value));
  eachKey(root, 1, (key) => session.pushLeaf(`key ${key}`, key));
}

function conclude(session: OutputSession): void {
  const verdict = session.end();
  if (verdict.action !== 'block') return;
  throw verdict.unavailable
    ? new GatewayError('guardrail_unavailable', { retryAfter: 1 })
    : new GatewayError('content_filter');
}

function utf8(body: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return null; // Bytes that are no text are no answer.
  }
}

function parse(source: string, depthMax: number): JsonNode | null {
  try {
    return parseJson(source, depthMax);
  } catch (error) {
    if (error instanceof JsonError) return null;
    throw error;
  }
}
