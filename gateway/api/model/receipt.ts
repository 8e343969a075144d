import type { Receipt } from '../../../engine/types.ts';

/**
 * The receipt as a header: counts and versions, no path and no rule id; `failed` only when a guard did not decide.
 * At most 512 bytes by construction.
 */
export function receiptHeader(receipt: Receipt): string {
  const failed = Object.values(receipt.scanners).filter((state) => state.startsWith('failed')).length;
  return [
    'v=1',
    `seen=${receipt.seen}`,
    `scanned=${receipt.scanned}`,
    `skipped=${receipt.skipped.length}`,
    `policy=${receipt.policyVersion}`,
    `rules=${receipt.rulesVersion}`,
    `model=${receipt.modelVersion}`,
    ...(failed > 0 ? [`failed=${failed}`] : []),
  ].join(';');
}
