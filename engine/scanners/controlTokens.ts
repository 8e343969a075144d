import { escapeControlToken } from '../control/escape.ts';
import { type ControlHit, type ControlTokens, findControlTokens } from '../control/matcher.ts';
import { codeFenceRanges, isActive } from '../control/tiers.ts';
import { CONTROL_TOKEN_SCORES, type Evidence } from '../policy/decide.ts';
import type { Edit, Span } from '../types.ts';
import type { Fingerprint, Scanner } from './scanner.ts';

/**
 * Chat-template tokens in untrusted text. They are always neutralised; in a user's code fence, where people ask about
 * them, without raising the risk.
 */
export function controlTokensScanner(tokens: ControlTokens, fingerprint: Fingerprint): Scanner {
  return {
    name: 'control-tokens',
    guard: (policy) => policy.input.controlTokens,
    scan: ({ segment, index, provenance }) => {
      const hits = findControlTokens(tokens, segment.text);
      if (hits.length === 0) return { evidence: [], edits: [] };
      const fences = provenance === 'user' ? codeFenceRanges(segment.text) : [];
      const pairedNames = new Set(hits.map((hit) => hit.name));
      const evidence: Evidence[] = [];
      const edits: Edit[] = [];
      for (const hit of hits) {
        const inCodeFence = inside(hit, fences);
        if (!isActive(hit, { provenance, inCodeFence, pairedNames })) continue;
        const raw = segment.text.slice(hit.start, hit.end);
        const span = { start: hit.start, end: hit.end };
        edits.push({ ...span, text: escapeControlToken(raw) });
        evidence.push({
          family: 'control-tokens',
          finding: {
            ruleId: `control-token-${hit.family}`,
            scanner: 'control-tokens',
            segment: index,
            span,
            score: inCodeFence ? 0 : CONTROL_TOKEN_SCORES[hit.tier],
            action: 'pass',
            fingerprint: fingerprint(raw),
          },
        });
      }
      return { evidence, edits };
    },
  };
}

function inside(hit: ControlHit, ranges: readonly Span[]): boolean {
  return ranges.some((range) => range.start <= hit.start && hit.end <= range.end);
}
