/** A model request through the input door: verdict, canaries, provider, and the bytes that go there. */
import { type Segment, type Verdict, worst } from '../../../engine/types.ts';
import type { Deps } from '../../deps.ts';
import { GatewayError } from '../../errors.ts';
import type { Caller } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { type Continuation, NOTHING_CONTINUED } from '../../kept.ts';
import type { Surface } from '../../surface/surface.ts';
import { countInput } from '../../telemetry/guards.ts';
import type { RequestBody, Route } from '../../upstream/port.ts';
import {
  applySplices,
  insertIntoString,
  type JsonObject,
  member,
  replaceString,
  type Splice,
} from '../../wire/json.ts';
import type { ModelRequest } from '../../wire/request.ts';
import type { Place } from './place.ts';

export interface PreparedCall {
  /** Without the tree, which would take many times the body's bytes until the answer is over. */
  readonly request: Pick<ModelRequest, 'stream' | 'segments'> & { readonly stored: boolean };
  readonly verdict: Verdict;
  readonly route: Route;
  readonly body: RequestBody;
  /** Canaries that the forwarded prompt carries. */
  readonly tokens: readonly string[];
  /** The lines they travel in. */
  readonly planted: readonly string[];
  readonly continued: Continuation;
}

/** Reads, inspects and rewrites. Throws `GatewayError` for everything that must not be forwarded. */
export async function prepareCall(
  deps: Deps,
  caller: Caller,
  exchange: Exchange,
  surface: Surface,
  place: Place,
): Promise<PreparedCall> {
  const { limits, timeouts } = deps.config;
  const { bytes, text } = await exchange.readText({
    bytesMax: limits.chatBodyBytesMax,
    timeoutMs: timeouts.clientBodyMs,
  });
  const request = surface.readRequest(text, {
    depthMax: limits.jsonDepthMax,
    nodesMax: limits.jsonNodesMax,
    leafBytesMax: limits.textLeafBytesMax,
    segmentsMax: limits.segmentsMax,
  });
  const continued =
    request.continued === null ? NOTHING_CONTINUED : await deps.kept.continue(caller.tenant, request.continued);
  // Earlier turns that only the provider holds are read together with the new ones.
  const segments: readonly Segment[] = [...continued.segments, ...request.segments];
  const inspected = await deps.engine.inspect(segments, { policy: caller.policy, tool: null });
  const skipped = [...request.binary, ...request.unreadable];
  for (const path of skipped) inspected.receipt.skipped.push({ path, reason: 'binary' });
  // A text that only the model can read, such as token numbers, is not called clean.
  const verdict =
    request.unreadable.length === 0 ? inspected : { ...inspected, action: worst(inspected.action, 'escalate') };
  countInput(deps, exchange.requestId, verdict, null);
  exchange.action = verdict.action;
  refuse(verdict, caller);

  const splices = rewrite(request, verdict, continued.segments.length);
  const planted = plant(deps, caller, exchange, request);
  splices.push(...planted.splices);
  const model = place.deployment ?? request.model;
  const route = routeOf(deps, surface, place, model, continued);
  const named = model ?? (await route.defaultModel());
  if (named !== null && named !== request.model) splices.push(modelSplicer(request)(named));
  const tokens = [...new Set([...planted.tokens, ...continued.tokens])];
  const { stream, root } = request;
  return {
    request: { stream, segments: request.segments, stored: isStored(root) },
    verdict,
    route,
    body: bodyOf(request, bytes, splices, named),
    tokens,
    planted: planted.lines,
    continued,
  };
}

function refuse(verdict: Verdict, { policy }: Caller): void {
  if (verdict.unavailable.length > 0) throw new GatewayError('guardrail_unavailable', { retryAfter: 1 });
  const blocked = verdict.action === 'block' || (verdict.action === 'escalate' && policy.onEscalate === 'block');
  if (blocked) throw new GatewayError('content_filter');
}

/** `before` segments are not in the body: what has to be cut there cannot be. */
function rewrite(request: ModelRequest, verdict: Verdict, before: number): Splice[] {
  return verdict.rewritten.flatMap((rewritten, index) => {
    if (rewritten === null) return [];
    const segment = request.segments[index - before];
    if (segment === undefined || segment.leaf === null) throw new GatewayError('content_filter');
    return [replaceString(segment.leaf, segment.encode?.(rewritten) ?? rewritten)];
  });
}

interface Planted {
  readonly tokens: readonly string[];
  readonly lines: readonly string[];
  readonly splices: readonly Splice[];
}

function plant(deps: Deps, { tenant, policy }: Caller, exchange: Exchange, request: ModelRequest): Planted {
  if (policy.canary.mode !== 'auto' || !policy.output.canary.enabled) return { tokens: [], lines: [], splices: [] };
  const tokens: string[] = [];
  const lines: string[] = [];
  const splices: Splice[] = [];
  for (const { carrier, leaf } of request.carriers) {
    const plan = deps.canaries.plant({ text: leaf.value, carrier, tenant, policy, requestId: exchange.requestId });
    splices.push(...insertIntoString(request.source, leaf, plan.insertions));
    tokens.push(...plan.tokens);
    lines.push(...plan.insertions.map(({ text }) => text));
    // The answer is checked for its own canaries whether or not this succeeds; only /validate_output relies on it.
    deps.canaries.register(tenant, plan.tokens, carrier, policy).catch(() => {
      deps.log.warn('canary_not_registered', { requestId: exchange.requestId, tenant });
    });
  }
  return { tokens, lines, splices };
}

/** What continues a stored answer goes to the provider that has it. */
function routeOf(deps: Deps, surface: Surface, place: Place, model: string | null, continued: Continuation): Route {
  const route = deps.providers.route({ surface: surface.id, model, provider: place.provider });
  if (continued.provider === null || continued.provider === route.provider) return route;
  if (place.provider !== null) throw new GatewayError('not_found', { message: 'This provider has no such response.' });
  return deps.providers.route({ surface: surface.id, model, provider: continued.provider });
}

/** Not every provider repeats in its answer that it was told to keep nothing. */
function isStored(root: JsonObject): boolean {
  const store = member(root, 'store');
  return !(store?.kind === 'boolean' && store.value === false);
}

/** Names a model in place of the request's, or in front of the first member. */
function modelSplicer({ root }: ModelRequest): (model: string) => Splice {
  const at = root.start + 1;
  const { start, end } = root.entries.get('model') ?? { start: at, end: at };
  return (model) => ({ start, end, text: start === end ? `"model":${JSON.stringify(model)},` : JSON.stringify(model) });
}

/** `named` is the model that the body names as it is. */
function bodyOf(request: ModelRequest, bytes: Buffer, splices: readonly Splice[], named: string | null): RequestBody {
  const { source } = request;
  const own = splices.length === 0 ? bytes : Buffer.from(applySplices(source, splices), 'utf8');
  const rename = modelSplicer(request);
  const others = splices.filter(({ start }) => start !== rename('').start);
  return {
    kind: 'bytes',
    of: (model) =>
      model === null || model === named ? own : Buffer.from(applySplices(source, [...others, rename(model)]), 'utf8'),
  };
}
