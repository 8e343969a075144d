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
  // Counts that cannot be true were left out when the answer was read.
  const input = usage?.inputTokens ?? null;
  const output = usage?.outputTokens ?? null;
  const inputTokens = input ?? estimated(sentChars);
  const outputTokens = output ?? estimated(receivedChars);
  exchange.inputTokens = inputTokens;
  exchange.outputTokens = outputTokens;
  exchange.usageEstimated = input === null || output === null;
  deps.metrics.tokens('input', input === null ? 'estimated' : 'provider', inputTokens);
  deps.metrics.tokens('output', output === null ? 'estimated' : 'provider', outputTokens);
}

function estimated(chars: number): number {
  return Math.ceil(chars / CHARS_PER_TOKEN);
}
