/** What every input scanner is given and gives back. */
import type { FailureMode, Policy } from '../../config/schema.ts';
import type { Evidence } from '../policy/decide.ts';
import type { Edit, Provenance, Segment } from '../types.ts';
import type { View } from '../views/view.ts';

export interface ScanSource {
  readonly segment: Segment;
  readonly index: number;
  readonly provenance: Provenance;
  readonly views: readonly View[];
  readonly level: number;
}

export interface ScanResult {
  readonly evidence: readonly Evidence[];
  /** Replacements that neutralise in place, whatever the verdict is. */
  readonly edits: readonly Edit[];
}

export interface Scanner {
  readonly name: string;
  /** Its switch and failure mode in the policy. */
  guard(policy: Policy): { readonly enabled: boolean; readonly failureMode: FailureMode };
  /** May throw: the caller applies the failure mode. */
  scan(source: ScanSource): ScanResult;
}

/** Keyed hash of matched text, 12 hex characters. */
export type Fingerprint = (text: string) => string;
