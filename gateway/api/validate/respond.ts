/** The answer of /validate, as its reference lists it. */
import type { Policy } from '../../../config/schema.ts';
import { policyVersion } from '../../../engine/index.ts';
import { REMOVED } from '../../../engine/sanitize.ts';
import type { Action, Receipt } from '../../../engine/types.ts';
import type { Exchange } from '../../http/exchange.ts';
import { receiptHeader } from '../model/receipt.ts';
import type { Planted } from './carriers.ts';
import { receiptView } from './coverage.ts';
import type { Judged, JudgedSource } from './judge.ts';
import { redactionsOf } from './redactions.ts';

export interface AnswerParts {
  readonly judged: Judged;
  readonly planted: Planted;
  readonly policy: Policy;
  /** Values that no excerpt may quote. */
  readonly known: readonly string[];
  readonly returnSanitized: boolean;
  readonly telemetryId: string;
  readonly debug: Record<string, unknown> | null;
}

/** Headers of every judged answer. */
export function answerHeaders(exchange: Exchange, action: Action, receipt: Receipt): Record<string, string> {
  return {
    'x-portcullis-action': action,
    'x-portcullis-telemetry-id': exchange.requestId,
    'x-portcullis-receipt': receiptHeader(receipt),
  };
}

/** Puts the answer together; what a caller did not ask for or must not have is left out. */
export function validateAnswer(parts: AnswerParts): Record<string, unknown> {
  const { judged, planted, policy, known, telemetryId, debug } = parts;
  const { action, risk, receipt, truncated, degraded } = judged;
  const version = policyVersion(policy);
  return {
    valid: action === 'pass' || (action === 'sanitize' && policy.validOnSanitize),
    ...(action !== 'pass' && { reason: action }),
    action,
    risk,
    ...sanitized(parts),
    ...((action === 'sanitize' || action === 'block') && { redactions: redactionsOf(judged, known) }),
    coverage: {
      attachments_seen: judged.sources.length - 1,
      ...(truncated && { truncated }),
      ...(degraded && { degraded }),
      per_source: judged.sources.map(({ source, action: own, risk: ownRisk }) => ({
        source: source.source,
        index: source.index,
        role: source.role,
        risk: ownRisk,
        action: own,
      })),
      receipt: receiptView(receipt, version),
    },
    telemetryId,
    modelVersion: receipt.modelVersion,
    rulesVersion: receipt.rulesVersion,
    policyVersion: version,
    ...(planted.canarizedSystem !== undefined && { canarizedSystem: planted.canarizedSystem }),
    ...(planted.canarizedDeveloper !== undefined && { canarizedDeveloper: planted.canarizedDeveloper }),
    ...(planted.warnings.length > 0 && { warnings: planted.warnings }),
    ...(debug !== null && { debug }),
  };
}

/**
 * | action                   | not asked for | asked for                      |
 * |--------------------------|---------------|--------------------------------|
 * | pass, escalate, sanitize | left out      | returned                       |
 * | block                    | left out      | only with `sanitizeOnBlock`    |
 */
function sanitized({ judged, policy, returnSanitized }: AnswerParts): Record<string, unknown> {
  if (!returnSanitized || (judged.action === 'block' && !policy.sanitizeOnBlock)) return {};
  const [prompt, ...attachments] = judged.sources as [JudgedSource, ...JudgedSource[]];
  return {
    ...(prompt.clean !== null && { sanitizedPrompt: prompt.clean }),
    ...(attachments.length > 0 && { sanitizedAttachments: attachments.map(cleanAttachment) }),
  };
}

/** Null where nothing changes, so an attachment that has no clean form is given as removed. */
function cleanAttachment({ source, clean }: JudgedSource): string | null {
  if (clean === null) return REMOVED;
  return clean === source.text ? null : clean;
}
