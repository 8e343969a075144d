/** Whole answers of the provider through the output door: completions, model lists and error bodies. */
import type { OutputSession } from '../../../engine/stream/session.ts';
import { ERRORS, GatewayError } from '../../errors.ts';
import type { UpstreamHead } from '../../upstream/client.ts';
import type { WholeAnswer } from '../../upstream/collect.ts';
import { readChatAnswer } from '../../wire/chatAnswer.ts';
import {
  applySplices,
  eachKey,
  eachString,
  JsonError,
  type JsonNode,
  member,
  parseJson,
  replaceString,
  type Splice,
} from '../../wire/json.ts';

export interface CheckedAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** Reads the headers that will be relayed for canaries. */
export function checkHeaders(session: OutputSession, head: UpstreamHead): void {
  for (const [name, value] of head.headers) session.pushLeaf(`header ${name}`, value);
}

/** A completion. Throws `bad_upstream` when it is none, `content_filter` or `guardrail_unavailable` when it is stopped. */
export function checkCompletion(session: OutputSession, answer: WholeAnswer, depthMax: number): CheckedAnswer {
  const source = utf8(answer.body);
  const root = source === null ? null : parse(source, depthMax);
  const part = root === null ? null : readChatAnswer(root);
  if (source === null || part === null || part.isError) throw new GatewayError('bad_upstream');
  for (const leaf of part.leaves) session.pushLeaf(leaf.name, leaf.text);
  const ranges = part.pieces.map((piece) => {
    const from = session.length(piece.channel);
    session.push(piece.channel, piece.kind, piece.leaf.value);
    return { piece, from, to: session.length(piece.channel) };
  });
  conclude(session);
  const splices: Splice[] = [];
  for (const { piece, from, to } of ranges) {
    const rewritten = session.rewrite(piece.channel, from, to, piece.leaf.value);
    if (rewritten === null) continue;
    splices.push(replaceString(piece.leaf, rewritten));
    const logprobs = part.choices.find((choice) => choice.index === piece.choice)?.logprobs ?? null;
    if (logprobs !== null && !splices.some((splice) => splice.start === logprobs.start)) {
      splices.push({ start: logprobs.start, end: logprobs.end, text: 'null' });
    }
  }
  const body = splices.length === 0 ? answer.body : Buffer.from(applySplices(source, splices), 'utf8');
  return { status: 200, body };
}

/** Any other JSON answer: every string is read, nothing is rewritten. */
export function checkJson(session: OutputSession, answer: WholeAnswer, depthMax: number): CheckedAnswer {
  const source = utf8(answer.body);
  const root = source === null ? null : parse(source, depthMax);
  if (root === null) throw new GatewayError('bad_upstream');
  readAll(session, root);
  conclude(session);
  return { status: answer.head.status, body: answer.body };
}

/** An error answer. What is no four-field error object is replaced by one, so that every SDK shows its message. */
export function checkError(session: OutputSession, answer: WholeAnswer, depthMax: number): CheckedAnswer {
  const { status } = answer.head;
  const source = utf8(answer.body);
  const root = source === null ? null : parse(source, depthMax);
  if (root !== null) readAll(session, root);
  conclude(session);
  const error = member(root, 'error');
  if (error?.kind === 'object' && member(error, 'message')?.kind === 'string') return { status, body: answer.body };
  const text = error?.kind === 'string' ? error.value : null;
  return { status, body: Buffer.from(errorObject(status, text), 'utf8') };
}

function errorObject(status: number, text: string | null): string {
  const entry = Object.values(ERRORS).find((candidate) => candidate.status === status);
  const type = entry?.type ?? (status >= 500 ? 'server_error' : 'invalid_request_error');
  const message = text ?? `The provider answered with status ${status}.`;
  return JSON.stringify({ error: { message, type, param: null, code: 'upstream_error' } });
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
