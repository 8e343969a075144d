/**
 * The only way into the engine. Two doors: `inspect` for what goes to a model, `openOutput` for what comes back.
 * No network, no files, no clock, no environment: rules, tables, keys and the clock are handed in.
 */
import { createHash, createHmac } from 'node:crypto';
import type { Limits, Policy } from '../config/schema.ts';
import type { NeedleSet } from './canary/compile.ts';
import type { ForeignWindows } from './canary/foreign.ts';
import type { ControlTokens } from './control/matcher.ts';
import { inspectSegments, type SourceDebug } from './inspect.ts';
import type { RuleSet } from './rules/compile.ts';
import { controlTokensScanner } from './scanners/controlTokens.ts';
import { hiddenScanner } from './scanners/hidden.ts';
import { rulesScanner } from './scanners/rules.ts';
import type { Scanner } from './scanners/scanner.ts';
import { OutputSession } from './stream/session.ts';
import type { ParseTree } from './tools/tree.ts';
import type { Receipt, Segment, Verdict } from './types.ts';

export interface EngineParts {
  readonly rules: RuleSet;
  readonly control: ControlTokens;
  readonly limits: Limits;
  /** Reads JSON texts, such as the arguments of a tool call. */
  readonly parse: ParseTree;
  /** Key of the fingerprints in findings. */
  readonly fingerprintKey: Uint8Array;
  /** A monotonic clock in microseconds. */
  readonly nowMicros: () => number;
  /** Replaces the built-in input scanners; for tests of failure modes. */
  readonly scanners?: readonly Scanner[];
}

export interface InspectRequest {
  readonly policy: Policy;
  /** The downstream tool that the text heads to, or null. */
  readonly tool: string | null;
}

export interface OutputRequest {
  readonly policy: Policy;
  /** The canaries to look for. */
  readonly sets: readonly NeedleSet[];
  readonly foreign: ForeignWindows | null;
  /** Live canaries left out of `sets`. */
  readonly evicted: number;
  /** False where the caller judges tool calls itself. Default true: `policy.tools` applies to calls and texts. */
  readonly judgeTools?: boolean;
}

export interface Engine {
  readonly rulesVersion: string;
  inspect(segments: readonly Segment[], request: InspectRequest): Promise<Verdict & { debug: SourceDebug[] }>;
  openOutput(request: OutputRequest): OutputSession;
}

/** No semantic model is loaded. */
export const NO_MODEL = 'none';

/** Puts the parts together. Nothing is compiled per request. */
export function createEngine(parts: EngineParts): Engine {
  const fingerprint = (text: string): string =>
    createHmac('sha256', parts.fingerprintKey).update(text, 'utf8').digest('hex').slice(0, 12);
  const scanners = parts.scanners ?? [
    rulesScanner(parts.rules, fingerprint),
    controlTokensScanner(parts.control, fingerprint),
    hiddenScanner(fingerprint),
  ];
  const receipt = (policy: Policy, evicted: number): Receipt => ({
    seen: 0,
    scanned: 0,
    skipped: [],
    scanners: {},
    policyVersion: policyVersion(policy),
    rulesVersion: parts.rules.version,
    modelVersion: NO_MODEL,
    canariesEvicted: evicted,
    engineMicros: 0,
  });
  return {
    rulesVersion: parts.rules.version,
    async inspect(segments, { policy, tool }) {
      const started = parts.nowMicros();
      const verdict = inspectSegments(segments, {
        policy,
        limits: parts.limits,
        scanners,
        receipt: receipt(policy, 0),
        tool,
      });
      verdict.receipt.engineMicros = Math.round(parts.nowMicros() - started);
      return verdict;
    },
    openOutput({ policy, sets, foreign, evicted, judgeTools = true }) {
      return new OutputSession({
        policy,
        limits: parts.limits,
        sets,
        foreign,
        control: parts.control,
        receipt: receipt(policy, evicted),
        nowMicros: parts.nowMicros,
        parse: judgeTools ? parts.parse : null,
      });
    },
  };
}

const VERSIONS = new WeakMap<Policy, string>();

/** Content hash of a policy, 12 hex characters. */
export function policyVersion(policy: Policy): string {
  let version = VERSIONS.get(policy);
  if (version === undefined) {
    version = createHash('sha256').update(JSON.stringify(policy)).digest('hex').slice(0, 12);
    VERSIONS.set(policy, version);
  }
  return version;
}
