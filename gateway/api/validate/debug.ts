/** The `debug` object: how a verdict came about. No text, no canary, no key; it never changes the verdict. */
import type { Policy } from '../../../config/schema.ts';
import type { Deps } from '../../deps.ts';
import type { Caller } from '../../http/auth.ts';
import type { Carriers, Planted } from './carriers.ts';
import type { Judged } from './judge.ts';

/** Findings shown per source. */
const RULES_MAX = 256;

export interface DebugRequest {
  readonly deps: Deps;
  readonly caller: Caller;
  readonly carriers: Carriers;
  readonly planted: Planted;
  readonly judged: Judged;
  readonly tool: string | null;
  readonly unknownFields: number;
  readonly startedAt: number;
}

/** Builds it. Reads the trusted texts once more, so it costs time. */
export async function debugOf(request: DebugRequest): Promise<Record<string, unknown>> {
  const { deps, caller, planted, judged, tool, unknownFields } = request;
  const { tenant, policy } = caller;
  const notes = [...planted.notes, ...(await selfTest(request))];
  for (const { source, malformed } of judged.sources) {
    if (malformed) notes.push(`${source.path}: not what its media type says, so it was read as plain text only`);
  }
  if (tool !== null && !Object.hasOwn(policy.toolBands, tool)) notes.push('tool: no bands of its own');
  return {
    policy: deps.config.tenants[tenant]?.policy ?? 'default',
    tenant,
    bands: tool !== null && Object.hasOwn(policy.toolBands, tool) ? policy.toolBands[tool] : policy.bands,
    modelScore: null,
    escalations: judged.sources.filter(({ action }) => action === 'escalate').length,
    sources: judged.sources.map(({ source, action, risk, located, debug }) => ({
      source: source.source,
      index: source.index,
      role: source.role,
      action,
      risk,
      rules: located.slice(0, RULES_MAX).map(({ finding, start, end, pointer }) => ({
        rule: finding.ruleId,
        scanner: finding.scanner,
        score: finding.score,
        start,
        end,
        ...(pointer !== null && { inString: true }),
        ...(finding.decodedFrom !== undefined && { decodedFrom: finding.decodedFrom }),
      })),
      views: debug.views,
    })),
    timings: {
      engineMicros: judged.receipt.engineMicros,
      totalMicros: Math.round((performance.now() - request.startedAt) * 1000),
    },
    unknownFields,
    notes,
  };
}

/** Trusted text is never scored, but it should hold neither control tokens nor the canary of another prompt. */
async function selfTest({ deps, caller, carriers, planted }: DebugRequest): Promise<string[]> {
  if (carriers.texts.length === 0) return [];
  const { set, evicted } = await deps.canaries.live(caller.tenant, caller.policy, true);
  const current = new Set(planted.tokens.map((token) => deps.canaries.idOf(token)));
  const notes: string[] = [];
  for (const { carrier, text } of carriers.texts) {
    const sets = set.tokens.length > 0 ? [set] : [];
    const session = deps.engine.openOutput({
      policy: observing(caller.policy),
      sets,
      foreign: null,
      evicted,
      judgeTools: false,
    });
    session.push(carrier, 'text', text);
    const { canaryHits, controlTokens } = session.end();
    if (controlTokens.length > 0) {
      const families = [...new Set(controlTokens.map(({ family }) => family))].sort();
      notes.push(`${carrier}: holds control tokens (${families.join(', ')})`);
    }
    if (canaryHits.some(({ tokenId }) => !current.has(tokenId))) {
      notes.push(`${carrier}: holds a canary that is not its own`);
    }
  }
  return notes;
}

function observing(policy: Policy): Policy {
  const { output } = policy;
  return {
    ...policy,
    output: {
      ...output,
      canary: { ...output.canary, action: 'observe' },
      controlTokens: { ...output.controlTokens, action: 'observe' },
    },
  };
}
