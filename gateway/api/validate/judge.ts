/** Runs the engine over the sources of a /validate call and settles what each of them may become. */
import type { Bands } from '../../../config/schema.ts';
import type { SourceDebug } from '../../../engine/inspect.ts';
import { bandsFor, liftRisk } from '../../../engine/policy/decide.ts';
import {
  type Action,
  atLeast,
  type Finding,
  type Receipt,
  type Segment,
  type SourceVerdict,
  type Verdict,
  worst,
} from '../../../engine/types.ts';
import type { Deps } from '../../deps.ts';
import { GatewayError } from '../../errors.ts';
import type { Caller } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { countInput } from '../../telemetry/guards.ts';
import { type ReadSource, readSource, rewriteParts, type Source, type SourceList, sourceSpan } from './sources.ts';

/** A finding at its place in the source text. */
export interface Located {
  readonly finding: Finding;
  readonly start: number;
  readonly end: number;
  /** JSON pointer inside a source that is JSON. */
  readonly pointer: string | null;
}

export interface JudgedSource {
  readonly source: Source;
  readonly action: Action;
  readonly risk: number;
  /** What may be forwarded in its place: the text itself where nothing changes, null where no such text exists. */
  readonly clean: string | null;
  readonly located: readonly Located[];
  readonly debug: SourceDebug;
  readonly malformed: boolean;
}

export interface Judged {
  readonly action: Action;
  readonly risk: number;
  readonly sources: readonly JudgedSource[];
  readonly receipt: Receipt;
  /** Not everything that was sent was read. */
  readonly truncated: boolean;
  readonly degraded: boolean;
}

export interface JudgeRequest {
  readonly deps: Deps;
  readonly exchange: Exchange;
  readonly caller: Caller;
  readonly tool: string | null;
}

type Inspected = Verdict & { debug: SourceDebug[] };

/** Rounds of cutting and reading again, as many as the engine itself makes. */
const ROUNDS_MAX = 3;

/** Decides. Throws `guardrail_unavailable` when a guard failed under `closed`. */
export async function judge(request: JudgeRequest, list: SourceList, trusted: readonly Segment[]): Promise<Judged> {
  const { deps, exchange, caller, tool } = request;
  const depthMax = deps.config.limits.jsonDepthMax;
  const reads = list.sources.map((source) => readSource(source, source.text, depthMax));
  const verdict = await inspect(request, [...reads.flatMap((read) => read.segments), ...trusted]);
  if (verdict.unavailable.length > 0) {
    countInput(deps, exchange.requestId, verdict, tool);
    throw new GatewayError('guardrail_unavailable');
  }
  const bands = bandsFor(caller.policy, tool);
  const sources: JudgedSource[] = [];
  let first = 0;
  for (const [index, read] of reads.entries()) {
    sources.push(await judgeSource(request, list.sources[index] as Source, read, { verdict, first }, bands));
    first += read.segments.length;
  }
  const truncated = list.unread > 0;
  let action = sources.reduce<Action>((sum, source) => worst(sum, source.action), 'pass');
  let risk = Math.max(...sources.map((source) => source.risk));
  if (truncated) {
    verdict.receipt.skipped.push({ path: `/attachments_text/${list.received - list.unread}`, reason: 'budget' });
    action = worst(action, 'escalate');
    risk = liftRisk(risk, action, bands);
  }
  countInput(deps, exchange.requestId, { ...verdict, action }, tool);
  discountParts(verdict.receipt, reads);
  return {
    action,
    risk,
    sources,
    receipt: verdict.receipt,
    truncated: verdict.receipt.skipped.some(({ reason }) => reason === 'budget'),
    degraded: Object.values(verdict.receipt.scanners).includes('failed_open'),
  };
}

function inspect({ deps, caller, tool }: JudgeRequest, segments: readonly Segment[]): Promise<Inspected> {
  return deps.engine.inspect(segments, { policy: caller.policy, tool });
}

/** A text and what it says are one leaf to the caller. */
function discountParts(receipt: Receipt, reads: readonly ReadSource[]): void {
  const extra = reads.filter((read) => read.segments.length > 1).length;
  receipt.seen -= extra;
  receipt.scanned -= extra;
}

interface Place {
  readonly verdict: Inspected;
  /** Index of the source's first segment. */
  readonly first: number;
}

async function judgeSource(
  request: JudgeRequest,
  source: Source,
  read: ReadSource,
  place: Place,
  bands: Bands,
): Promise<JudgedSource> {
  const { verdict, first } = place;
  const verdicts = read.segments.map((_, offset) => verdictOf(verdict, first + offset));
  let action = verdicts.reduce<Action>((sum, one) => worst(sum, one.action), 'pass');
  const clean = await settle(request, source, read, place);
  // What cannot be cleaned cannot be sanitised.
  if (clean === null && atLeast(action, 'sanitize')) action = 'block';
  return {
    source,
    action,
    risk: liftRisk(Math.max(...verdicts.map(({ risk }) => risk)), action, bands),
    clean,
    located: locate(read, place),
    debug: { views: read.segments.flatMap((_, offset) => verdict.debug[first + offset]?.views ?? []) },
    malformed: read.malformed,
  };
}

function verdictOf(verdict: Verdict, segment: number): SourceVerdict {
  return verdict.sources.find((one) => one.segment === segment) ?? { segment, action: 'pass', risk: 0 };
}

/** The text that may be forwarded; null when there is none. */
async function settle(
  request: JudgeRequest,
  source: Source,
  firstRead: ReadSource,
  firstPlace: Place,
): Promise<string | null> {
  let { text } = source;
  let read = firstRead;
  let place = firstPlace;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const { verdict, first } = place;
    const plain = verdict.rewritten[first] ?? null;
    const said = read.segments.length > 1 ? (verdict.rewritten[first + 1] ?? null) : null;
    if (read.segments.some((_, offset) => isHopeless(verdict, first + offset))) return null;
    if (read.segments.length === 1) return plain ?? text;
    if (said === null && plain === null) return text;
    // Strings first: cut there, JSON stays JSON.
    if (said !== null) {
      const found = verdict.findings.filter(({ segment }) => segment === first + 1);
      text = rewriteParts(text, read, found, verdictOf(verdict, first + 1).action);
    } else text = plain as string;
    read = readSource(source, text, request.deps.config.limits.jsonDepthMax);
    place = { verdict: await inspect(request, read.segments), first: 0 };
    if (place.verdict.unavailable.length > 0) return null;
  }
  return place.verdict.rewritten.every((rewritten) => rewritten === null) && place.verdict.action !== 'block'
    ? text
    : null;
}

/** Blocked, and nothing that could be cut would change it. */
function isHopeless(verdict: Verdict, segment: number): boolean {
  return verdictOf(verdict, segment).action === 'block' && (verdict.rewritten[segment] ?? null) === null;
}

/** Findings with a place, in order; what both readings of a source found is listed once. */
function locate(read: ReadSource, { verdict, first }: Place): Located[] {
  const plain = verdict.findings.flatMap((finding): Located[] =>
    finding.segment === first && finding.span !== null ? [{ finding, ...finding.span, pointer: null }] : [],
  );
  const located = distinct(plain);
  if (read.segments.length > 1) {
    const said = verdict.findings.flatMap((finding): Located[] => {
      const place = finding.segment === first + 1 && finding.span !== null ? sourceSpan(read, finding.span) : null;
      return place === null ? [] : [{ finding, ...place }];
    });
    const known = new Map<string, Located[]>();
    for (const one of located) {
      const list = known.get(one.finding.ruleId);
      if (list === undefined) known.set(one.finding.ruleId, [one]);
      else list.push(one);
    }
    for (const one of distinct(said)) {
      if (!overlapsOne(known.get(one.finding.ruleId) ?? [], one)) located.push(one);
    }
  }
  return located.sort((a, b) => a.start - b.start || a.end - b.end);
}

/** Without repetitions of a rule at one place, by place. */
function distinct(list: readonly Located[]): Located[] {
  const byPlace = new Map(list.map((one) => [`${one.finding.ruleId} ${one.start} ${one.end}`, one]));
  return [...byPlace.values()].sort((a, b) => a.start - b.start || a.end - b.end);
}

/** Matches of one rule do not nest in one view, so the last that begins before the end is the one to look at. */
function overlapsOne(sorted: readonly Located[], { start, end }: Located): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as Located).start < end) low = middle + 1;
    else high = middle;
  }
  return low > 0 && (sorted[low - 1] as Located).end > start;
}
