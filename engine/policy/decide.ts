/**
 * Findings to actions, as a readable table.
 *
 * | signal                                        | score          | asks for                    |
 * |-----------------------------------------------|----------------|-----------------------------|
 * | rule                                          | its own        | its band, or its own action |
 * | hidden text (tags, selectors, zero-width)     | 0.60           | sanitize                    |
 * | control token, tier a, outside a code fence   | 0.60           | sanitize                    |
 * | control token, tier b, where it counts        | 0.45           | escalate                    |
 * | control token, tier c, or in a code fence     | 0              | pass                        |
 * | a decoding budget ran out                     | -              | at least escalate           |
 *
 * Per source: the best score of each family counts, and families add up as independent evidence,
 * `risk = 1 - (1 - s1)(1 - s2)...`. The action is the band that the risk falls into, or a finding's own action when that
 * is more severe; risk is then lifted to the floor of the action, so the two never disagree.
 * Over sources the worst action and the highest risk win.
 */
import type { Bands, Policy } from '../../config/schema.ts';
import { type Action, atLeast, type Finding, worst } from '../types.ts';

export const HIDDEN_TEXT_SCORE = 0.6;
export const CONTROL_TOKEN_SCORES = { a: 0.6, b: 0.45, c: 0 } as const;

/** A finding with the family whose evidence it is. */
export interface Evidence {
  readonly family: string;
  readonly finding: Finding;
}

/** The bands in force for a prompt that heads to `tool`. */
export function bandsFor(policy: Policy, tool: string | null): Bands {
  return tool !== null && Object.hasOwn(policy.toolBands, tool) ? (policy.toolBands[tool] as Bands) : policy.bands;
}

/** Decides about one source. */
export function decide(evidence: readonly Evidence[], bands: Bands): { action: Action; risk: number } {
  const best = new Map<string, number>();
  let own: Action = 'pass';
  for (const { family, finding } of evidence) {
    best.set(family, Math.max(best.get(family) ?? 0, finding.score));
    own = worst(own, finding.action);
  }
  let clean = 1;
  for (const score of best.values()) clean *= 1 - score;
  // Rounded first, so that a score on the border of a band falls into it.
  const risk = round(1 - clean);
  let action = worst(own, band(risk, bands));
  // "sanitize" with nothing to cut would be a silent pass.
  if (action === 'sanitize' && !evidence.some(({ finding }) => finding.span !== null)) action = 'escalate';
  return { action, risk: Math.max(risk, floor(action, bands)) };
}

/** The action of a budget that ran out: what was not read is not called clean. */
export function onExceeded(action: Action): Action {
  return worst(action, 'escalate');
}

function band(risk: number, bands: Bands): Action {
  if (risk >= bands.block) return 'block';
  if (risk >= bands.sanitize) return 'sanitize';
  return risk >= bands.escalate ? 'escalate' : 'pass';
}

function floor(action: Action, bands: Bands): number {
  return action === 'pass' ? 0 : bands[action];
}

/** Risk has four decimals everywhere. */
export function round(risk: number): number {
  return Math.round(Math.min(1, risk) * 10_000) / 10_000;
}

/** Lifts a risk so that it never disagrees with its action. */
export function liftRisk(risk: number, action: Action, bands: Bands): number {
  return atLeast(action, 'escalate') ? round(Math.max(risk, floor(action, bands))) : risk;
}
