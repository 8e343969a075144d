/** What the caller expects of an answer, checked as guards with a switch and a failure mode of their own. */
import type { FailureMode, Policy } from '../../config/schema.ts';
import type { FoundCall } from '../tools/call.ts';
import { type ToolExpectations, type ToolViolation, toolChecker } from '../tools/constraints.ts';
import { statesNothing, toolPolicy } from '../tools/policy.ts';
import { type Action, type GuardFailure, type ScannerState, worst } from '../types.ts';
import { checkMime, hasMimeRule, type MimeFailure, type ParseOutcome } from './mime.ts';

export interface Expectations {
  readonly mime: string | null;
  readonly tools: ToolExpectations | null;
}

export interface ExpectationInput {
  readonly policy: Policy;
  readonly expected: Expectations;
  readonly text: string;
  /** Called once, and only when tools are to be checked. May throw. */
  readonly findCalls: () => readonly FoundCall[];
  readonly parse: (text: string) => ParseOutcome;
}

export interface ExpectationVerdict {
  readonly action: Action;
  readonly calls: readonly FoundCall[];
  readonly violations: readonly ToolViolation[];
  readonly mime: MimeFailure | null;
  readonly states: Readonly<Record<'tool-policy' | 'mime', ScannerState>>;
  /** A guard failed under `closed`. */
  readonly unavailable: boolean;
  readonly failures: readonly GuardFailure[];
}

/** Decides about one answer. A guard that is not asked for anything does not run. */
export function checkExpectations({ policy, expected, text, findCalls, parse }: ExpectationInput): ExpectationVerdict {
  const { toolConstraints, mime: mimeGuard } = policy.output;
  const { mime, tools } = expected;
  const ofPolicy = !statesNothing(policy.tools);
  const toolGuard = run('tool-policy', toolConstraints, ofPolicy || tools !== null, () => {
    const calls = findCalls();
    // Each for itself, so that no caller can allow what the policy does not.
    const checkers = [...(ofPolicy ? [toolPolicy(policy.tools)] : []), ...(tools === null ? [] : [toolChecker(tools)])];
    return { calls, violations: distinct(checkers.flatMap((checker) => checker.check(calls))) };
  });
  const typed = run('mime', mimeGuard, mime !== null && hasMimeRule(mime), () =>
    checkMime(mime as string, text, parse),
  );
  const violations = toolGuard.value?.violations ?? [];
  let action: Action = violations.length > 0 ? toolConstraints.action : 'pass';
  if (typed.value !== null) action = worst(action, 'block');
  const unavailable = toolGuard.state === 'failed_closed' || typed.state === 'failed_closed';
  return {
    action: unavailable ? 'block' : action,
    calls: toolGuard.value?.calls ?? [],
    violations,
    mime: typed.value,
    states: { 'tool-policy': toolGuard.state, mime: typed.state },
    unavailable,
    failures: [...toolGuard.failures, ...typed.failures],
  };
}

/** What policy and caller both object to is one violation. */
function distinct(violations: readonly ToolViolation[]): ToolViolation[] {
  const known = new Map<FoundCall, Set<string>>();
  return violations.filter(({ call, code, path }) => {
    const seen = known.get(call) ?? new Set();
    known.set(call, seen);
    const key = `${code} ${path}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

interface Run<T> {
  readonly state: ScannerState;
  readonly value: T | null;
  readonly failures: readonly GuardFailure[];
}

function run<T>(
  name: string,
  guard: { readonly enabled: boolean; readonly failureMode: FailureMode },
  asked: boolean,
  check: () => T,
): Run<T> {
  if (!guard.enabled || !asked) return { state: 'not_run', value: null, failures: [] };
  try {
    return { state: 'ran', value: check(), failures: [] };
  } catch (error) {
    const state = guard.failureMode === 'closed' ? 'failed_closed' : 'failed_open';
    return { state, value: null, failures: [{ guard: name, error }] };
  }
}
