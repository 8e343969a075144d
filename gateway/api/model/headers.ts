/** Headers of a provider's answer on its way to the client. */
import type { Receipt } from '../../../engine/types.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { UpstreamHead } from '../../upstream/call.ts';
import { receiptHeader } from './receipt.ts';

/** Our own request id is the one that our logs know; the provider's keeps a name of its own. */
export function answerHeaders(exchange: Exchange, receipt: Receipt | null, head: UpstreamHead): Record<string, string> {
  const headers: Record<string, string> = Object.fromEntries(head.headers);
  const upstreamId = headers['x-request-id'];
  delete headers['x-request-id'];
  return {
    ...headers,
    ...(upstreamId !== undefined && { 'x-upstream-request-id': upstreamId }),
    'x-portcullis-action': exchange.action ?? 'pass',
    'x-portcullis-telemetry-id': exchange.requestId,
    ...(receipt !== null && { 'x-portcullis-receipt': receiptHeader(receipt) }),
  };
}
