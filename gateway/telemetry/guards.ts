/** Receipts into metrics and warnings, so that a guard that did not decide is never silent. */

import type { OutputVerdict } from '../../engine/stream/session.ts';
import type { Finding, GuardFailure, Receipt, ScannerState, Verdict } from '../../engine/types.ts';
import type { Deps } from '../deps.ts';
import { errorFields } from './log.ts';
import type { Direction, GuardOutcome } from './metrics.ts';

/** Counts what every guard of a request ended with. */
export function countInput(deps: Deps, requestId: string, verdict: Verdict, tool: string | null): void {
  const hit = new Set(verdict.findings.map((finding: Finding) => finding.scanner));
  count(deps, requestId, 'input', verdict, hit);
  deps.metrics.action('input', verdict.action, tool);
}

/** Counts what every guard of an answer ended with. `alsoHit` are guards that the session does not know. */
export function countOutput(
  deps: Deps,
  requestId: string,
  verdict: OutputVerdict,
  alsoHit: ReadonlySet<string> = new Set(),
): void {
  const hit = new Set<string>(alsoHit);
  if (verdict.canaryHits.length > 0 || verdict.foreignCanary) hit.add('canary');
  if (verdict.controlTokens.length > 0) hit.add('control-tokens');
  if (verdict.toolViolations.length > 0) hit.add('tool-policy');
  count(deps, requestId, 'output', verdict, hit);
  deps.metrics.action('output', verdict.action);
  deps.metrics.canariesEvicted(verdict.receipt.canariesEvicted);
  if (verdict.foreignCanary) {
    deps.metrics.foreignCanaryHit();
    deps.log.error('foreign_canary', { requestId, direction: 'output' });
  }
}

function count(
  deps: Deps,
  requestId: string,
  direction: Direction,
  { receipt, failures }: { readonly receipt: Receipt; readonly failures: readonly GuardFailure[] },
  hit: ReadonlySet<string>,
): void {
  for (const [guard, state] of Object.entries(receipt.scanners)) {
    const outcome = outcomeOf(state, hit.has(guard));
    deps.metrics.guard(guard, direction, outcome);
    if (outcome === 'error_open' || outcome === 'error_closed') {
      const failure = failures.find((candidate) => candidate.guard === guard);
      deps.log.warn('guard_failed', {
        requestId,
        guard,
        direction,
        outcome,
        ...(failure === undefined ? { reason: 'budget' } : errorFields(failure.error)),
      });
    }
  }
}

function outcomeOf(state: ScannerState, hit: boolean): GuardOutcome {
  switch (state) {
    case 'ran':
      return hit ? 'hit' : 'clean';
    case 'failed_open':
      return 'error_open';
    case 'failed_closed':
      return 'error_closed';
    case 'not_run':
      return 'not_run';
  }
}
