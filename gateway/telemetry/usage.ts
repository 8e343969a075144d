/** What an answer cost: the provider's count, or an estimate where the answer ended before it came. */
import type { Deps } from '../deps.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Usage } from '../wire/answer.ts';

/** Of English text; good enough to see that something was spent. */
const CHARS_PER_TOKEN = 4;

/** So many characters were sent, and of the answer so many received. */
export function recordUsage(
  deps: Deps,
  exchange: Exchange,
  usage: Usage | null,
  sentChars: number,
  receivedChars: number,
): void {
  const inputTokens = usage?.inputTokens ?? Math.ceil(sentChars / CHARS_PER_TOKEN);
  const outputTokens = usage?.outputTokens ?? Math.ceil(receivedChars / CHARS_PER_TOKEN);
  exchange.inputTokens = inputTokens;
  exchange.outputTokens = outputTokens;
  exchange.usageEstimated = usage === null || usage.inputTokens === null || usage.outputTokens === null;
  deps.metrics.tokens('input', usage?.inputTokens == null ? 'estimated' : 'provider', inputTokens);
  deps.metrics.tokens('output', usage?.outputTokens == null ? 'estimated' : 'provider', outputTokens);
}
