/** Rules against their own examples: what the tests and `portcullis rules test` run. */
import type { Limits, RuleRecord } from '../../config/schema.ts';
import type { Provenance } from '../types.ts';
import { buildViews } from '../views/ladder.ts';
import type { RuleHit, RuleSet } from './compile.ts';

export interface ExampleRun {
  /** One line per example that does not hold. */
  readonly problems: readonly string[];
  readonly examples: number;
}

/** Every hit must be found, with its span where one is given; no miss may be. */
export function ruleProblems(records: readonly RuleRecord[], rules: RuleSet, limits: Limits): ExampleRun {
  const problems: string[] = [];
  let examples = 0;
  for (const rule of records) {
    for (const { text, as, span } of rule.examples.hit) {
      examples++;
      const hits = hitsOf(rule, rules, text, as, limits);
      if (hits.length === 0) problems.push(`${rule.id}: missed: ${text}`);
      else if (span !== undefined && !hits.some((hit) => text.slice(hit.span.start, hit.span.end) === span)) {
        problems.push(`${rule.id}: wrong span in: ${text}`);
      }
    }
    for (const { text, as, why } of rule.examples.miss) {
      examples++;
      if (hitsOf(rule, rules, text, as, limits).length > 0) problems.push(`${rule.id}: hit (${why}): ${text}`);
    }
  }
  return { problems, examples };
}

/** The ids of all rules that find something in an example of `rule`. */
export function idsHitting(
  rule: RuleRecord,
  rules: RuleSet,
  example: { text: string; as?: Provenance | undefined },
  limits: Limits,
): Set<string> {
  return new Set(scan(rule, rules, example.text, example.as, limits).map((hit) => hit.rule.id));
}

function hitsOf(rule: RuleRecord, rules: RuleSet, text: string, as: Provenance | undefined, limits: Limits): RuleHit[] {
  return scan(rule, rules, text, as, limits).filter((hit) => hit.rule.id === rule.id);
}

function scan(rule: RuleRecord, rules: RuleSet, text: string, as: Provenance | undefined, limits: Limits): RuleHit[] {
  const provenance = as ?? (rule.provenance[0] as Provenance);
  return rules.scan(buildViews(text, limits).views, provenance, 3);
}
