/** The listening server: sockets, their limits and their end. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { buildAdminApp } from './api/ops/admin.ts';
import { buildApp } from './app.ts';
import type { Deps } from './deps.ts';

export interface Listening {
  readonly port: number;
  readonly adminPort: number;
  /** Stops accepting, lets requests finish within the drain time, then closes what is left. */
  close(): Promise<void>;
}

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly adminHost: string;
  readonly adminPort: number;
}

const HEADER_BYTES_MAX = 16 * 1024;
/** Longer than the idle time of common balancers, which must close first. */
const KEEP_ALIVE_MS = 75_000;

/** Opens both ports. Rejects when one is taken. */
export async function listen(deps: Deps, options: ListenOptions): Promise<Listening> {
  const { timeouts } = deps.config;
  const data = createServer(
    { maxHeaderSize: HEADER_BYTES_MAX, insecureHTTPParser: false, keepAliveTimeout: KEEP_ALIVE_MS },
    getRequestListener(buildApp(deps).fetch, { autoCleanupIncoming: false, overrideGlobalObjects: false }),
  );
  // Absolute deadlines: a client that drips its headers or body cannot hold a socket.
  data.headersTimeout = timeouts.clientHeaderMs;
  data.requestTimeout = timeouts.clientHeaderMs + timeouts.clientBodyMs;
  // Protocols other than HTTP would pass the guards.
  data.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 426 Upgrade Required\r\nconnection: close\r\n\r\n'));
  data.on('connect', (_request, socket) => socket.end('HTTP/1.1 405 Method Not Allowed\r\nconnection: close\r\n\r\n'));
  const admin = createServer(getRequestListener(buildAdminApp(deps).fetch, { overrideGlobalObjects: false }));
  await open(data, options.port, options.host);
  await open(admin, options.adminPort, options.adminHost);
  return {
    port: (data.address() as AddressInfo).port,
    adminPort: (admin.address() as AddressInfo).port,
    close: async () => {
      deps.lifecycle.draining = true;
      await drain(data, timeouts.drainMs);
      await drain(admin, 0);
      await deps.upstream.destroy();
      deps.metrics.close();
    },
  };
}

function open(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Idle connections close at once, busy ones when their request is done or the time is over. */
function drain(server: Server, drainMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), drainMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
