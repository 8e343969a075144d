/** What is noted about a request that is relayed unread, so that it never looks inspected. */
import type { Receipt } from '../../../engine/types.ts';
import type { Deps } from '../../deps.ts';
import type { Caller } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';

/** Counts every guard of both directions as not run. Returns the receipt of one thing seen and skipped. */
export async function recordUnread(deps: Deps, exchange: Exchange, { policy }: Caller): Promise<Receipt> {
  // Both doors with nothing to read: they know their guards and versions.
  const { receipt } = await deps.engine.inspect([], { policy, tool: null });
  const output = deps.engine.openOutput({ policy, sets: [], foreign: null, evicted: 0 }).end().receipt;
  for (const guard of Object.keys(receipt.scanners)) {
    receipt.scanners[guard] = 'not_run';
    deps.metrics.guard(guard, 'input', 'not_run');
  }
  for (const guard of Object.keys(output.scanners)) deps.metrics.guard(guard, 'output', 'not_run');
  deps.metrics.notInspected();
  exchange.action = 'pass';
  exchange.reason = 'not_inspected';
  return { ...receipt, seen: 1, scanned: 0, skipped: [{ path: '', reason: 'policy' }] };
}
