/**
 * The engine's vocabulary. Words are used as in the README's glossary; nothing here knows a wire format.
 */

/** Who wrote a text. `system` and `developer` are the operator's own words. */
export type Role = 'system' | 'developer' | 'user' | 'assistant' | 'tool' | 'document';

/** Which detection profile a text gets: a person's turn, a retrieved document, or a tool's output. */
export type Provenance = 'user' | 'document' | 'tool';

/** In order of severity; the worst over scanners and sources wins. */
export type Action = 'pass' | 'escalate' | 'sanitize' | 'block';

/** Half-open range of UTF-16 offsets in a segment's original text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** One addressable text leaf of a request or answer. */
export interface Segment {
  readonly role: Role;
  /** JSON pointer in the request or answer it came from. */
  readonly path: string;
  readonly mime: string;
  readonly text: string;
  /** Trusted text carries canaries and is never scored as an attack. */
  readonly trusted: boolean;
  /** Stands beside what is said, like a name or an id: texts around it are also read without it. */
  readonly aside?: boolean;
}

/** One match. Never carries the matched text. */
export interface Finding {
  readonly ruleId: string;
  readonly scanner: string;
  /** Index into the inspected segments; -1 when the match spans several. */
  readonly segment: number;
  /** Null when the signal has no location, so nothing can be cut for it. */
  readonly span: Span | null;
  /** 0 to 1. */
  readonly score: number;
  /** What this finding alone asks for; fusion may raise it. */
  readonly action: Action;
  /** Keyed hash of the matched text, 12 hex characters: equal text, equal fingerprint, nothing to read back. */
  readonly fingerprint: string;
  /** Names of the decoders between the original text and the match, outermost first. */
  readonly decodedFrom?: readonly string[];
}

export type ScannerState = 'ran' | 'failed_open' | 'failed_closed' | 'not_run';

/** States what was and what was not inspected. Carries no text, no rule id and no secret. */
export interface Receipt {
  /** Text leaves found. */
  seen: number;
  scanned: number;
  skipped: { path: string; reason: SkipReason }[];
  scanners: Record<string, ScannerState>;
  policyVersion: string;
  rulesVersion: string;
  modelVersion: string;
  /** Live canaries that were not checked because the bound on needles was reached. */
  canariesEvicted: number;
  engineMicros: number;
}

export type SkipReason = 'binary' | 'budget' | 'policy' | 'trusted';

/** A change to a segment's original text. */
export interface Edit extends Span {
  readonly text: string;
}

/** A guard that threw. The error is for its class and code only: its message may quote a text. */
export interface GuardFailure {
  readonly guard: string;
  readonly error: unknown;
}

/** What was decided about one segment. */
export interface SourceVerdict {
  readonly segment: number;
  readonly action: Action;
  readonly risk: number;
}

export interface Verdict {
  readonly action: Action;
  /** Maximum over sources, 0 to 1, four decimals. */
  readonly risk: number;
  readonly findings: readonly Finding[];
  readonly sources: readonly SourceVerdict[];
  /** Per segment: the text that may be forwarded; null where nothing changes or no such text exists. */
  readonly rewritten: readonly (string | null)[];
  /** Guards that failed under `closed`: the action is not a judgement of the text, the request cannot be served. */
  readonly unavailable: readonly string[];
  readonly failures: readonly GuardFailure[];
  readonly receipt: Receipt;
}

/** The detection profile of a role. */
export function provenanceOf(role: Role): Provenance {
  return role === 'tool' || role === 'document' ? role : 'user';
}

const SEVERITY: Record<Action, number> = { pass: 0, escalate: 1, sanitize: 2, block: 3 };

/** The more severe of two actions. */
export function worst(a: Action, b: Action): Action {
  return SEVERITY[a] >= SEVERITY[b] ? a : b;
}

/** True when `a` is at least as severe as `b`. */
export function atLeast(a: Action, b: Action): boolean {
  return SEVERITY[a] >= SEVERITY[b];
}
