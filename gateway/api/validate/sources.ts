/**
 * The untrusted texts of a /validate call as segments, and the verdict back per source. A text with a structured
 * media type has a second segment with what it says once read; both count for the one source.
 */
import type { Limits } from '../../../config/schema.ts';
import { escapeControlToken } from '../../../engine/control/escape.ts';
import { type Findings, REMOVED, sanitize } from '../../../engine/sanitize.ts';
import {
  type Action,
  atLeast,
  type Edit,
  type Finding,
  type Role,
  type Segment,
  type Span,
} from '../../../engine/types.ts';
import { type Part, readParts } from '../../wire/mime.ts';
import { checkTextSize, type ValidateBody } from './request.ts';

export interface Source {
  readonly source: 'prompt' | 'attachment';
  /** Position among its kind. */
  readonly index: number;
  /** The caller's word for it. */
  readonly role: string;
  readonly segmentRole: Role;
  readonly path: string;
  readonly mime: string;
  readonly text: string;
}

export interface SourceList {
  readonly sources: readonly Source[];
  /** Attachments that were received. */
  readonly received: number;
  /** Attachments beyond the limit, which nobody reads. */
  readonly unread: number;
}

const PROMPT_ROLES = { user: 'user', retrieval: 'document', tool: 'tool' } as const;
const ATTACHMENT_ROLES: Record<string, Role> = {
  rag_chunk: 'document',
  tool_output: 'tool',
  note: 'document',
  other: 'document',
};

/** The prompt, then the attachments in order, as many as the limit allows. Throws 413 for a text over its limit. */
export function readSources(body: ValidateBody, limits: Limits): SourceList {
  const from = body.context?.source ?? 'user';
  const attachments = body.attachments_text ?? [];
  checkTextSize(body.prompt, '/prompt', limits);
  const prompt: Source = {
    source: 'prompt',
    index: 0,
    role: from,
    segmentRole: PROMPT_ROLES[from],
    path: '/prompt',
    mime: body.context?.mime ?? 'text/plain',
    text: body.prompt,
  };
  const read = attachments.slice(0, limits.attachmentsMax).map(({ mime, role, text }, index): Source => {
    const path = `/attachments_text/${index}/text`;
    checkTextSize(text, path, limits);
    const known = role !== null && Object.hasOwn(ATTACHMENT_ROLES, role) ? role : 'other';
    return {
      source: 'attachment',
      index,
      role: known,
      segmentRole: ATTACHMENT_ROLES[known] as Role,
      path,
      mime: mime ?? 'text/plain',
      text,
    };
  });
  return { sources: [prompt, ...read], received: attachments.length, unread: attachments.length - read.length };
}

/** A source as the engine reads it. */
export interface ReadSource {
  readonly segments: readonly Segment[];
  readonly parts: readonly Part[];
  /** Where each part begins in the second segment. */
  readonly starts: readonly number[];
  readonly malformed: boolean;
}

/** One or two segments: the text, and what it says. */
export function readSource({ segmentRole, path, mime }: Source, text: string, depthMax: number): ReadSource {
  const segment: Segment = { role: segmentRole, path, mime, text, trusted: false };
  const { parts, malformed } = readParts(mime, text, depthMax);
  if (parts.length === 0) return { segments: [segment], parts, starts: [], malformed };
  const starts: number[] = [];
  const pieces: string[] = [];
  let length = 0;
  for (const part of parts) {
    const separator = length === 0 ? '' : part.separator;
    starts.push(length + separator.length);
    pieces.push(separator, part.text);
    length += separator.length + part.text.length;
  }
  const said: Segment = { ...segment, path: `${path}#`, mime: 'text/plain', text: pieces.join('') };
  return { segments: [segment, said], parts, starts, malformed };
}

/** A piece of a range of the second segment that lies in one part. */
interface PartSpan extends Span {
  readonly part: Part;
}

function partSpans({ parts, starts }: ReadSource, span: Span): PartSpan[] {
  const found: PartSpan[] = [];
  for (let i = lastStart(starts, span.start); i < parts.length; i++) {
    const part = parts[i] as Part;
    const at = starts[i] as number;
    if (at >= span.end) break;
    const start = Math.max(span.start, at) - at;
    const end = Math.min(span.end - at, part.text.length);
    if (start < end) found.push({ part, start, end });
  }
  return found;
}

/** Index of the last part that begins at or before `offset`. */
function lastStart(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((starts[middle] as number) <= offset) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** The range in the source that a range of the second segment came from, and the pointer of its first part. */
export function sourceSpan(read: ReadSource, span: Span): (Span & { readonly pointer: string | null }) | null {
  const spans = partSpans(read, span);
  const first = spans[0];
  const last = spans[spans.length - 1];
  if (first === undefined || last === undefined) return null;
  return {
    start: first.part.sourceOffset(first.start),
    end: last.part.sourceOffset(last.end),
    pointer: first.part.pointer,
  };
}

const NOTHING: Findings = { cuts: [], edits: [] };

/** The source with what was found in its second segment cut or escaped, part by part. */
export function rewriteParts(text: string, read: ReadSource, findings: readonly Finding[], action: Action): string {
  const changes = new Map<Part, { cuts: Span[]; edits: Edit[] }>();
  for (const { span, scanner, score } of findings) {
    if (span === null) continue;
    const neutralise = scanner === 'control-tokens';
    if (!neutralise && (score === 0 || !atLeast(action, 'sanitize'))) continue;
    for (const { part, start, end } of partSpans(read, span)) {
      const change = changes.get(part) ?? { cuts: [], edits: [] };
      changes.set(part, change);
      if (!neutralise) change.cuts.push({ start, end });
      else change.edits.push({ start, end, text: escapeControlToken(part.text.slice(start, end)) });
    }
  }
  let result = '';
  let at = 0;
  for (const [part, change] of [...changes].sort(([a], [b]) => a.start - b.start)) {
    const clean = sanitize(part.text, change, () => NOTHING) ?? REMOVED;
    result += text.slice(at, part.start) + part.encode(clean);
    at = part.end;
  }
  return result + text.slice(at);
}
