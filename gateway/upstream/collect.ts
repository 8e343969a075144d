import { GatewayError } from '../errors.ts';
import { ClientGone } from '../http/exchange.ts';
import type { UpstreamCall, UpstreamHead, UpstreamSink } from './call.ts';
import { KeyEchoed } from './keyGuard.ts';

export interface WholeAnswer {
  readonly head: UpstreamHead;
  readonly body: Buffer;
}

/**
 * Calls the provider and waits for its whole answer, at most `bytesMax` decoded bytes.
 * Throws `GatewayError`, or `ClientGone` when `gone` is aborted; the provider's connection is closed then.
 */
export function collect<R>(
  upstream: { readonly call: (request: R, sink: UpstreamSink) => UpstreamCall },
  request: R,
  { bytesMax, gone }: { bytesMax: number; gone: AbortSignal },
): Promise<WholeAnswer> {
  return new Promise((resolve, reject) => {
    if (gone.aborted) {
      reject(new ClientGone());
      return;
    }
    let head: UpstreamHead | null = null;
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (action: () => void): void => {
      gone.removeEventListener('abort', onGone);
      action();
    };
    const onGone = (): void => {
      call.abort();
      settle(() => reject(new ClientGone()));
    };
    const call = upstream.call(request, {
      onHead: (received) => {
        head = received;
      },
      onData: (chunk) => {
        size += chunk.length;
        if (size <= bytesMax) {
          chunks.push(chunk);
          return;
        }
        call.abort();
        settle(() =>
          reject(new GatewayError('bad_upstream', { message: `The answer is larger than ${bytesMax} bytes.` })),
        );
      },
      onEnd: () => settle(() => resolve({ head: head as UpstreamHead, body: Buffer.concat(chunks) })),
      onError: (error) =>
        settle(() => reject(error instanceof KeyEchoed ? new GatewayError('content_filter', { cause: error }) : error)),
    });
    gone.addEventListener('abort', onGone, { once: true });
  });
}
