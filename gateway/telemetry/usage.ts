/** What an answer cost: the provider's count, or an estimate where the answer ended before it came. */
import type { Deps } from '../deps.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Usage } from '../wire/answer.ts';

/** Of English text; good enough to see that something was spent. */
const CHARS_PER_TOKEN = 4;
/** No answer costs more; one such number would make a counter useless until the process ends. */
const TOKENS_MAX = 1e9;

/** So many characters were sent, and of the answer so many received. */
export function recordUsage(
  deps: Deps,
  exchange: Exchange,
  usage: Usage | null,
  sentChars: number,
  receivedChars: number,
): void {
  const input = counted(usage?.inputTokens);
  const output = counted(usage?.outputTokens);
  const inputTokens = input ?? estimated(sentChars);
  const outputTokens = output ?? estimated(receivedChars);
  exchange.inputTokens = inputTokens;
  exchange.outputTokens = outputTokens;
  exchange.usageEstimated = input === null || output === null;
  deps.metrics.tokens('input', input === null ? 'estimated' : 'provider', inputTokens);
  deps.metrics.tokens('output', output === null ? 'estimated' : 'provider', outputTokens);
}

/** A count that can be true; null for every other. */
function counted(tokens: number | null | undefined): number | null {
  return Number.isInteger(tokens) && (tokens as number) >= 0 && (tokens as number) <= TOKENS_MAX
    ? (tokens as number)
    : null;
}

function estimated(chars: number): number {
  return Math.min(TOKENS_MAX, Math.ceil(chars / CHARS_PER_TOKEN));
}
