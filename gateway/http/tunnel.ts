/** Bytes both ways between two connections, unread, until one of them ends or time is over. */
import type { Duplex } from 'node:stream';

export interface TunnelLimits {
  /** Silence in both directions. */
  readonly idleMs: number;
  readonly totalMs: number;
}

export type TunnelEnd = 'closed' | 'timeout';

/** How long what was sent before one side's end may take to reach the other side. */
const CLOSING_MS = 500;

/** Joins them. Resolves when both are closed; never rejects. */
export function tunnel(
  client: Duplex,
  provider: Duplex,
  early: readonly Buffer[],
  { idleMs, totalMs }: TunnelLimits,
): Promise<TunnelEnd> {
  return new Promise((resolve) => {
    let end: TunnelEnd = 'closed';
    let closing: NodeJS.Timeout | null = null;
    let open = 2;
    const destroy = (): void => {
      client.destroy();
      provider.destroy();
    };
    const giveUp = (): void => {
      end = 'timeout';
      destroy();
    };
    const idle = setTimeout(giveUp, idleMs);
    const total = setTimeout(giveUp, totalMs);
    const join = (from: Duplex, to: Duplex): void => {
      from.on('data', (chunk: Buffer) => {
        idle.refresh();
        if (to.writableEnded || to.destroyed || to.write(chunk)) return;
        from.pause();
        to.once('drain', () => from.resume());
      });
      from.once('end', () => {
        to.end();
        closing ??= setTimeout(destroy, CLOSING_MS);
      });
      const onClose = (): void => {
        // Behind an end the rest is still on its way; anything else is a break.
        if (!from.readableEnded) to.destroy();
        open -= 1;
        if (open > 0) return;
        for (const timer of [idle, total, closing]) if (timer !== null) clearTimeout(timer);
        resolve(end);
      };
      if (from.closed) onClose();
      else from.once('close', onClose);
      from.on('error', () => from.destroy());
    };
    for (const chunk of early) provider.write(chunk);
    join(client, provider);
    join(provider, client);
    if (client.destroyed || provider.destroyed) destroy();
    client.resume();
    provider.resume();
  });
}
