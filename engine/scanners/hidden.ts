import { HIDDEN_TEXT_SCORE } from '../policy/decide.ts';
import { decodeHidden } from '../views/hidden.ts';
import type { Fingerprint, Scanner } from './scanner.ts';

/** Shorter hidden runs occur in broken emoji; from here on there is next to no legitimate use. */
const HIDDEN_CHARS_MIN = 8;

/** Text spelled in invisible characters. What it says is read by the rules as a view; that it is hidden counts too. */
export function hiddenScanner(fingerprint: Fingerprint): Scanner {
  return {
    name: 'hidden-text',
    guard: (policy) => policy.input.hidden,
    scan: ({ segment, index }) => ({
      evidence: decodeHidden(segment.text)
        .filter((run) => run.text.length >= HIDDEN_CHARS_MIN)
        .map((run) => ({
          family: 'hidden-text',
          finding: {
            ruleId: `hidden-${run.kind}`,
            scanner: 'hidden-text',
            segment: index,
            span: run.span,
            score: HIDDEN_TEXT_SCORE,
            action: 'pass' as const,
            fingerprint: fingerprint(run.text),
            decodedFrom: [run.kind],
          },
        })),
      edits: [],
    }),
  };
}
