import type { RuleSet } from '../rules/compile.ts';
import type { Fingerprint, Scanner } from './scanner.ts';

/** The rule corpus over all views. */
export function rulesScanner(rules: RuleSet, fingerprint: Fingerprint): Scanner {
  return {
    name: 'injection.rules',
    guard: (policy) => policy.input.injection,
    scan: ({ segment, index, provenance, views, level }) => ({
      evidence: rules.scan(views, provenance, level).map(({ rule, view, span }) => ({
        family: rule.family,
        finding: {
          ruleId: rule.id,
          scanner: 'injection.rules',
          segment: index,
          span,
          score: rule.score,
          action: rule.action ?? 'pass',
          fingerprint: fingerprint(segment.text.slice(span.start, span.end)),
          ...(view.decodedFrom.length > 0 && { decodedFrom: view.decodedFrom }),
        },
      })),
      edits: [],
    }),
  };
}
