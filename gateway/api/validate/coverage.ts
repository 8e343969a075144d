/** The receipt as part of an answer: counts, states and versions. */
import type { Receipt } from '../../../engine/types.ts';

export interface ReceiptView {
  readonly seen: number;
  readonly scanned: number;
  /** How many leaves were not read, by reason. */
  readonly skipped: Readonly<Record<string, number>>;
  readonly scanners: Receipt['scanners'];
  readonly policyVersion: string;
  readonly rulesVersion: string;
  readonly modelVersion: string;
  readonly canariesEvicted: number;
}

/** What was and what was not inspected. */
export function receiptView(receipt: Receipt, policyVersion: string): ReceiptView {
  const skipped: Record<string, number> = {};
  for (const { reason } of receipt.skipped) skipped[reason] = (skipped[reason] ?? 0) + 1;
  return {
    seen: receipt.seen,
    scanned: receipt.scanned,
    skipped,
    scanners: receipt.scanners,
    policyVersion,
    rulesVersion: receipt.rulesVersion,
    modelVersion: receipt.modelVersion,
    canariesEvicted: receipt.canariesEvicted,
  };
}
