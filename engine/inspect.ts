/**
 * The door for requests: untrusted texts in, one verdict out. Trusted text is counted and never scored; whatever was
 * not read is in the receipt; a scanner that fails ends as its failure mode says.
 */
import type { Bands, Limits, Policy } from '../config/schema.ts';
import { joinUntrusted } from './joined.ts';
import { bandsFor, decide, type Evidence, liftRisk, onExceeded } from './policy/decide.ts';
import { type Findings, sanitize } from './sanitize.ts';
import type { Scanner } from './scanners/scanner.ts';
import {
  type Action,
  atLeast,
  type Edit,
  type GuardFailure,
  provenanceOf,
  type Receipt,
  type Segment,
  type SourceVerdict,
  type Verdict,
  worst,
} from './types.ts';
import { buildViews } from './views/ladder.ts';
import type { View } from './views/view.ts';

export interface InspectOptions {
  readonly policy: Policy;
  readonly limits: Limits;
  readonly scanners: readonly Scanner[];
  readonly receipt: Receipt;
  /** The downstream tool that the text heads to, for its stricter bands. */
  readonly tool: string | null;
}

/** What `debug` shows per segment. */
export interface SourceDebug {
  readonly views: readonly { readonly name: string; readonly decodedFrom: readonly string[]; readonly units: number }[];
}

interface Source {
  readonly index: number;
  readonly views: readonly View[];
  readonly exceeded: boolean;
  readonly evidence: Evidence[];
  readonly edits: Edit[];
}

/** Decides about all segments at once. Pure but for the receipt it fills in. */
export function inspectSegments(
  segments: readonly Segment[],
  options: InspectOptions,
): Verdict & { debug: SourceDebug[] } {
  const pass = new Inspection(segments, options);
  return pass.run();
}

class Inspection {
  readonly #segments: readonly Segment[];
  readonly #options: InspectOptions;
  readonly #bands: Bands;
  readonly #failed = new Set<Scanner>();
  readonly #unavailable = new Set<string>();
  readonly #failures: GuardFailure[] = [];
  #joinedExceeded = false;

  constructor(segments: readonly Segment[], options: InspectOptions) {
    this.#segments = segments;
    this.#options = options;
    this.#bands = bandsFor(options.policy, options.tool);
  }

  run(): Verdict & { debug: SourceDebug[] } {
    const { receipt, scanners, policy } = this.#options;
    for (const scanner of scanners) {
      receipt.scanners[scanner.name] = scanner.guard(policy).enabled ? 'ran' : 'not_run';
    }
    const sources = new Map<number, Source>();
    this.#segments.forEach((segment, index) => {
      receipt.seen++;
      if (segment.trusted) receipt.skipped.push({ path: segment.path, reason: 'trusted' });
      else sources.set(index, this.#read(segment, index));
    });
    this.#joined(sources);
    return this.#verdict(sources);
  }

  #read(segment: Segment, index: number): Source {
    const { views, exceeded } = buildViews(segment.text, this.#options.limits);
    const { receipt } = this.#options;
    receipt.scanned++;
    if (exceeded.length > 0) receipt.skipped.push({ path: segment.path, reason: 'budget' });
    return { index, views, exceeded: exceeded.length > 0, ...this.#scan(segment, index, views) };
  }

  #scan(segment: Segment, index: number, views: readonly View[]): { evidence: Evidence[]; edits: Edit[] } {
    const { scanners, policy } = this.#options;
    const evidence: Evidence[] = [];
    const edits: Edit[] = [];
    for (const scanner of scanners) {
      const { enabled } = scanner.guard(policy);
      if (!enabled || this.#failed.has(scanner)) continue;
      try {
        const provenance = provenanceOf(segment.role);
        const result = scanner.scan({ segment, index, provenance, views, level: policy.level });
        // One by one: a hostile text may have more findings than an argument list can hold.
        for (const one of result.evidence) evidence.push(one);
        for (const edit of result.edits) edits.push(edit);
      } catch (error) {
        this.#fail(scanner, error);
      }
    }
    return { evidence, edits };
  }

  #fail(scanner: Scanner, error: unknown): void {
    const { policy, receipt } = this.#options;
    this.#failed.add(scanner);
    this.#failures.push({ guard: scanner.name, error });
    const closed = scanner.guard(policy).failureMode === 'closed';
    receipt.scanners[scanner.name] = closed ? 'failed_closed' : 'failed_open';
    if (closed) this.#unavailable.add(scanner.name);
  }

  /**
   * Evidence that only appears when texts are read together counts for every source that it touches. They are read in
   * three ways: all of them, only what is said, and only what each role says.
   */
  #joined(sources: ReadonlyMap<number, Source>): void {
    const all = [...sources.keys()];
    const said = all.filter((index) => this.#segments[index]?.aside !== true);
    const roles = [...new Set(said.map((index) => this.#segments[index]?.role))];
    const groups = [all, said, ...roles.map((role) => said.filter((index) => this.#segments[index]?.role === role))];
    const seen = new Set<string>();
    const known = new Set<string>();
    for (const group of groups) {
      const key = group.join(' ');
      if (known.has(key)) continue;
      known.add(key);
      this.#joinedGroup(sources, group, seen);
    }
  }

  #joinedGroup(sources: ReadonlyMap<number, Source>, group: readonly number[], seen: Set<string>): void {
    const joined = joinUntrusted(this.#segments, group);
    if (joined === null) return;
    const { views, exceeded } = buildViews(joined.text, this.#options.limits);
    if (exceeded.length > 0 && !group.some((index) => sources.get(index)?.exceeded)) {
      this.#joinedExceeded = true;
      this.#options.receipt.skipped.push({ path: '(joined)', reason: 'budget' });
    }
    const roles = new Set(group.map((index) => (this.#segments[index] as Segment).role));
    for (const role of roles) {
      const segment: Segment = { role, path: '', mime: 'text/plain', text: joined.text, trusted: false };
      for (const { family, finding } of this.#scan(segment, -1, views).evidence) {
        if (finding.span === null) continue;
        for (const part of joined.crossing(finding.span)) {
          const key = `${finding.ruleId} ${part.segment} ${part.span.start} ${part.span.end}`;
          if (seen.has(key)) continue;
          seen.add(key);
          const source = sources.get(part.segment) as Source;
          // Half a control token has no escaped form, so its halves are cut like any other split payload.
          const split = { ...finding, segment: part.segment, span: part.span };
          source.evidence.push({ family: `split-${family}`, finding: split });
        }
      }
    }
  }

  #verdict(sources: ReadonlyMap<number, Source>): Verdict & { debug: SourceDebug[] } {
    const verdicts: SourceVerdict[] = [];
    const rewritten: (string | null)[] = this.#segments.map(() => null);
    let action: Action = 'pass';
    let risk = 0;
    for (const source of sources.values()) {
      const decided = this.#decideSource(source);
      rewritten[source.index] = decided.rewritten;
      verdicts.push({ segment: source.index, action: decided.action, risk: decided.risk });
      action = worst(action, decided.action);
      risk = Math.max(risk, decided.risk);
    }
    if (this.#joinedExceeded) {
      action = onExceeded(action);
      risk = liftRisk(risk, action, this.#bands);
    }
    if (this.#unavailable.size > 0) action = 'block';
    return {
      action,
      risk,
      findings: [...sources.values()].flatMap((source) => source.evidence.map(({ finding }) => finding)),
      sources: verdicts,
      rewritten,
      unavailable: [...this.#unavailable],
      failures: this.#failures,
      receipt: this.#options.receipt,
      debug: this.#segments.map((_, index) => ({
        views: (sources.get(index)?.views ?? []).map(({ name, decodedFrom, text }) => ({
          name,
          decodedFrom,
          units: text.length,
        })),
      })),
    };
  }

  #decideSource(source: Source): SourceVerdict & { rewritten: string | null } {
    const { text } = this.#segments[source.index] as Segment;
    let { action, risk } = decide(source.evidence, this.#bands);
    if (source.exceeded) action = onExceeded(action);
    const clean = sanitize(text, this.#findings(source.evidence, source.edits, action), (next) =>
      this.#again(source, next),
    );
    if (clean === null && atLeast(action, 'sanitize')) action = 'block';
    const rewritten = clean === null || clean === text ? null : clean;
    return { segment: source.index, action, risk: liftRisk(risk, action, this.#bands), rewritten };
  }

  /** What a rewritten text still needs. */
  #again(source: Source, text: string): Findings {
    const segment = { ...(this.#segments[source.index] as Segment), text };
    const { views } = buildViews(text, this.#options.limits);
    const { evidence, edits } = this.#scan(segment, source.index, views);
    return this.#findings(evidence, edits, decide(evidence, this.#bands).action);
  }

  /** Control tokens are always neutralised; rules' spans are cut only from `sanitize` on. */
  #findings(evidence: readonly Evidence[], edits: readonly Edit[], action: Action): Findings {
    if (!atLeast(action, 'sanitize')) return { cuts: [], edits };
    const cuts = evidence
      .filter(({ family, finding }) => family !== 'control-tokens' && finding.score > 0)
      .flatMap(({ finding }) => (finding.span === null ? [] : [finding.span]));
    return { cuts, edits };
  }
}
