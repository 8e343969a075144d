/** A chat request through the input door: verdict, canaries, and the bytes that go to the provider. */
import type { Verdict } from '../../../engine/types.ts';
import type { Deps } from '../../deps.ts';
import { GatewayError } from '../../errors.ts';
import type { Caller } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { countInput } from '../../telemetry/guards.ts';
import { type ChatRequest, readChatRequest } from '../../wire/chatRequest.ts';
import { applySplices, insertIntoString, replaceString, type Splice } from '../../wire/json.ts';

export interface PreparedChat {
  readonly request: ChatRequest;
  readonly verdict: Verdict;
  readonly body: Buffer;
  /** Canaries that the forwarded prompt carries. */
  readonly tokens: readonly string[];
}

/** Reads, inspects and rewrites. Throws `GatewayError` for everything that must not be forwarded. */
export async function prepareChat(deps: Deps, caller: Caller, exchange: Exchange): Promise<PreparedChat> {
  const { limits, timeouts } = deps.config;
  const { bytes, text } = await exchange.readText({
    bytesMax: limits.chatBodyBytesMax,
    timeoutMs: timeouts.clientBodyMs,
  });
  const request = readChatRequest(text, { depthMax: limits.jsonDepthMax, leafBytesMax: limits.textLeafBytesMax });
  const verdict = await deps.engine.inspect(request.segments, { policy: caller.policy, tool: null });
  for (const path of request.binary) verdict.receipt.skipped.push({ path, reason: 'binary' });
  countInput(deps, exchange.requestId, verdict, null);
  exchange.action = verdict.action;
  refuse(verdict, caller);

  const splices: Splice[] = [];
  request.segments.forEach((segment, index) => {
    const rewritten = verdict.rewritten[index] ?? null;
    if (rewritten === null) return;
    if (segment.leaf === null) throw new GatewayError('content_filter');
    splices.push(replaceString(segment.leaf, rewritten));
  });
  const { tokens, splices: planted } = plant(deps, caller, exchange, request);
  splices.push(...planted);
  if (request.model === null) splices.push(...(await modelSplice(deps, request)));
  const body = splices.length === 0 ? bytes : Buffer.from(applySplices(text, splices), 'utf8');
  return { request, verdict, body, tokens };
}

function refuse(verdict: Verdict, { policy }: Caller): void {
  if (verdict.unavailable.length > 0) throw new GatewayError('guardrail_unavailable', { retryAfter: 1 });
  const blocked = verdict.action === 'block' || (verdict.action === 'escalate' && policy.onEscalate === 'block');
  if (blocked) throw new GatewayError('content_filter');
}

function plant(
  deps: Deps,
  { tenant, policy }: Caller,
  exchange: Exchange,
  request: ChatRequest,
): { tokens: string[]; splices: Splice[] } {
  if (policy.canary.mode !== 'auto' || !policy.output.canary.enabled) return { tokens: [], splices: [] };
  const tokens: string[] = [];
  const splices: Splice[] = [];
  for (const { carrier, leaf } of request.carriers) {
    const plan = deps.canaries.plant({ text: leaf.value, carrier, tenant, policy, requestId: exchange.requestId });
    splices.push(...insertIntoString(request.source, leaf, plan.insertions));
    tokens.push(...plan.tokens);
    // The answer is checked for its own canaries whether or not this succeeds; only /validate_output relies on it.
    deps.canaries.register(tenant, plan.tokens, carrier, policy).catch(() => {
      deps.log.warn('canary_not_registered', { requestId: exchange.requestId, tenant });
    });
  }
  return { tokens, splices };
}

/** Names the default model in front of the first member. */
async function modelSplice(deps: Deps, request: ChatRequest): Promise<Splice[]> {
  const model = await deps.defaultModel();
  if (model === null) return [];
  const existing = request.root.entries.get('model');
  if (existing !== undefined) return [{ start: existing.start, end: existing.end, text: JSON.stringify(model) }];
  const at = request.root.start + 1;
  return [{ start: at, end: at, text: `"model":${JSON.stringify(model)},` }];
}
