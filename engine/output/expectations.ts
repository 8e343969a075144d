/** What the caller expects of an answer, checked as guards with a switch and a failure mode of their own. */
import type { Policy } from '../../config/schema.ts';
import type { FoundCall } from '../tools/call.ts';
import { checkTools, type ToolExpectations, type ToolViolation } from '../tools/constraints.ts';
import { type Action, type ScannerState, worst } from '../types.ts';
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
}

/** Decides about one answer. A guard that is not asked for anything does not run. */
export function checkExpectations({ policy, expected, text, findCalls, parse }: ExpectationInput): ExpectationVerdict {
  const { toolConstraints, mime: mimeGuard } = policy.output;
  const { mime, tools } = expected;
  const toolGuard = run(toolConstraints, tools !== null, () => {
    const calls = findCalls();
    return { calls, violations: checkTools(calls, tools as ToolExpectations) };
  });
  const typed = run(mimeGuard, mime !== null && hasMimeRule(mime), () => checkMime(mime as string, text, parse));
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
  };
}

function run<T>(
  guard: { readonly enabled: boolean; readonly failureMode: 'open' | 'closed' },
  asked: boolean,
  check: () => T,
): { state: ScannerState; value: T | null } {
  if (!guard.enabled || !asked) return { state: 'not_run', value: null };
  try {
    return { state: 'ran', value: check() };
  } catch {
    // What failed is counted by the caller; a guard's error text may quote the answer, so it goes no further.
    return { state: guard.failureMode === 'closed' ? 'failed_closed' : 'failed_open', value: null };
  }
}
