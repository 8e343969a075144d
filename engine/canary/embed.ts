/**
 * Plants canaries in trusted text as neutral reference lines and finds the ones already there.
 * Only insertions are made: without them the text is byte-identical.
 */
import { type CanaryContext, type Carrier, canaryBuckets, deriveCanary, type Placement } from './derive.ts';

export interface CanaryPlan {
  /** What to insert, by offset into the original text, ascending. Empty when everything is in place. */
  readonly insertions: readonly { readonly offset: number; readonly text: string }[];
  /** Every token the text carries afterwards. */
  readonly tokens: readonly string[];
}

export interface PlantOptions {
  readonly key: Uint8Array;
  /** Earlier keys whose tokens still count as ours. */
  readonly previousKeys: readonly Uint8Array[];
  readonly tenant: string;
  readonly carrier: Carrier;
  readonly nowMs: number;
  readonly bucketHours: number;
  /** Set for per-request tokens; then no token of another request is reused. */
  readonly requestId: string | null;
}

/** From this length a text gets three different tokens, so that a partial leak carries one and tells its place. */
export const LONG_PROMPT_CHARS = 2000;

/** A line of ours with the one line end that came with it. Linear: fixed length after a literal. */
const LINE = /^ref: ([0-9a-f]{32})(?:\n|$)|\nref: ([0-9a-f]{32})(?=\n|$)/g;

/** Plans the insertion of derived tokens. Planning the result again inserts nothing. */
export function plantDerived(text: string, options: PlantOptions): CanaryPlan {
  const present = [...text.matchAll(LINE)].map((match) => (match[1] ?? match[2]) as string);
  const prompt = text.replace(LINE, '');
  const placements: readonly Placement[] = prompt.length >= LONG_PROMPT_CHARS ? ['head', 'middle', 'tail'] : ['middle'];
  const buckets = options.requestId === null ? canaryBuckets(options.nowMs, options.bucketHours) : [options.requestId];
  const keys = [options.key, ...options.previousKeys];

  const insertions: { offset: number; text: string }[] = [];
  const tokens: string[] = [];
  for (const placement of placements) {
    const context = { tenant: options.tenant, carrier: options.carrier, placement, prompt };
    const ours = findPresent(present, keys, buckets, context);
    if (ours !== null) {
      tokens.push(ours);
      continue;
    }
    const token = deriveCanary(options.key, { ...context, bucket: buckets[0] as string });
    tokens.push(token);
    insertions.push(lineAt(text, placement, token));
  }
  return { insertions, tokens };
}

/** Plans the insertion of a token that the caller chose. A text that holds it already stays as it is. */
export function plantGiven(text: string, token: string): CanaryPlan {
  if (text.includes(token)) return { insertions: [], tokens: [token] };
  return { insertions: [lineAt(text, 'middle', token)], tokens: [token] };
}

/** Applies a plan to the text it was made for. */
export function applyInsertions(text: string, plan: CanaryPlan): string {
  let result = '';
  let from = 0;
  for (const { offset, text: inserted } of plan.insertions) {
    result += text.slice(from, offset) + inserted;
    from = offset;
  }
  return result + text.slice(from);
}

function findPresent(
  present: readonly string[],
  keys: readonly Uint8Array[],
  buckets: readonly string[],
  context: Omit<CanaryContext, 'bucket'>,
): string | null {
  if (present.length === 0) return null;
  for (const key of keys) {
    for (const bucket of buckets) {
      const token = deriveCanary(key, { ...context, bucket });
      if (present.includes(token)) return token;
    }
  }
  return null;
}

/** A line of its own at a line border near the wanted place, so that no sentence of the prompt is torn. */
function lineAt(text: string, placement: Placement, token: string): { offset: number; text: string } {
  const line = `ref: ${token}`;
  if (text.length === 0) return { offset: 0, text: line };
  if (placement === 'head') return { offset: 0, text: `${line}\n` };
  if (placement === 'tail') return { offset: text.length, text: `\n${line}` };
  const middle = Math.floor(text.length / 2);
  const after = text.indexOf('\n', middle);
  const before = text.lastIndexOf('\n', middle);
  const offset = after !== -1 && (before === -1 || after - middle <= middle - before) ? after : before;
  return offset === -1 ? { offset: text.length, text: `\n${line}` } : { offset, text: `\n${line}` };
}
