/** The listening server: sockets, their limits and their end. */
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { isRealtimeHandshake, realtime } from './api/model/realtime.ts';
import { buildAdminApp } from './api/ops/admin.ts';
import { buildApp, serveExchange } from './app.ts';
import type { Deps } from './deps.ts';
import { GatewayError, openaiErrorBody } from './errors.ts';
import { EarlyBytes, exchangeOn } from './http/detached.ts';
import { HEADER_BYTES_MAX, HEADERS_MAX, parserProblem, refuseSocket, wireProblem } from './http/strict.ts';

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

/** Longer than the idle time of common balancers, which must close first. */
const KEEP_ALIVE_MS = 75_000;

/** How often the deadlines of open requests are looked at; Node's own 30 s would make them that much longer. */
const DEADLINE_CHECK_MS = 1_000;
const MALFORMED = { status: 400, headers: { 'content-type': 'application/json', 'x-should-retry': 'false' } };

/** The answer that each socket waits for. */
const ANSWERING = new WeakMap<Duplex, ServerResponse>();
/** Sockets whose bytes can no longer be trusted: the parser may still find requests in them. */
const REFUSED = new WeakSet<Duplex>();

/** Opens both ports. Rejects when one is taken. */
export async function listen(deps: Deps, options: ListenOptions): Promise<Listening> {
  const { timeouts } = deps.config;
  const data = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      insecureHTTPParser: false,
      requireHostHeader: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: DEADLINE_CHECK_MS,
    },
    strict(
      deps,
      getRequestListener(buildApp(deps).fetch, {
        autoCleanupIncoming: false,
        overrideGlobalObjects: false,
        // A target or host that makes no URL.
        errorHandler: () => new Response(openaiErrorBody(new GatewayError('malformed_http')), MALFORMED),
      }),
    ),
  );
  // One more than is served, so that too many are seen as such instead of being dropped.
  data.maxHeadersCount = HEADERS_MAX + 1;
  // Absolute deadlines: a client that drips its headers or body cannot hold a socket.
  data.headersTimeout = timeouts.clientHeaderMs;
  data.requestTimeout = timeouts.clientHeaderMs + timeouts.clientBodyMs;
  const refuse = (socket: Duplex, error: GatewayError): void => {
    deps.metrics.request({ route: 'other', method: 'other', status: error.status, stream: false });
    REFUSED.add(socket);
    refuseSocket(socket, error);
  };
  const upgraded = new Set<Duplex>();
  // Protocols other than HTTP would pass the guards, so only what a policy can list as not inspected is looked at.
  data.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    // Into an answer under way nothing else may be written.
    if (REFUSED.has(socket) || ANSWERING.has(socket)) {
      socket.destroy();
      return;
    }
    const problem = isRealtimeHandshake(request) ? wireProblem(request) : new GatewayError('upgrade_refused');
    if (problem !== null) {
      refuse(socket, problem);
      return;
    }
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
    const early = new EarlyBytes(socket, head);
    const exchange = exchangeOn(request, socket, '/v1/*');
    void serveExchange(deps, exchange, () => realtime(deps, exchange, socket, early));
  });
  data.on('connect', (_request, socket) => refuse(socket, new GatewayError('method_not_allowed')));
  data.on('clientError', (error, socket) => {
    if (REFUSED.has(socket)) return;
    const answer = ANSWERING.get(socket);
    // Into an answer under way nothing else may be written, nor may bad bytes behind a request answer it.
    if (answer !== undefined && (answer.headersSent || answer.req.complete)) socket.destroy();
    else if (socket.writable) refuse(socket, parserProblem(error));
  });
  const admin = createServer(getRequestListener(buildAdminApp(deps).fetch, { overrideGlobalObjects: false }));
  const closeUnused = watchUnused(data);
  await open(data, options.port, options.host);
  await open(admin, options.adminPort, options.adminHost).catch((error: unknown) => {
    // Half a server would serve without anybody being able to watch or stop it.
    data.close();
    data.closeAllConnections();
    throw error;
  });
  return {
    port: (data.address() as AddressInfo).port,
    adminPort: (admin.address() as AddressInfo).port,
    close: async () => {
      deps.lifecycle.draining = true;
      const drained = drain(data, timeouts.drainMs, upgraded);
      closeUnused();
      await drained;
      await drain(admin, 0);
      await deps.providers.destroy();
      deps.metrics.close();
    },
  };
}

/** Hands on what every HTTP server reads alike. */
function strict(deps: Deps, listener: RequestListener): RequestListener {
  return (request, response) => {
    const { socket } = request;
    if (REFUSED.has(socket)) return;
    const problem = wireProblem(request);
    if (problem !== null) {
      deps.metrics.request({ route: 'other', method: 'other', status: problem.status, stream: false });
      REFUSED.add(socket);
      refuseSocket(socket, problem);
      return;
    }
    ANSWERING.set(socket, response);
    response.once('close', () => {
      if (ANSWERING.get(socket) === response) ANSWERING.delete(socket);
    });
    listener(request, response);
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

/** Closes connections on which nothing was sent: clients open spare ones, and Node does not count them as idle. */
function watchUnused(server: Server): () => void {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return () => {
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
  };
}

/** Idle connections close at once, busy ones when their request is done or the time is over. */
function drain(server: Server, drainMs: number, upgraded: ReadonlySet<Duplex> = new Set()): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.closeAllConnections();
      // Node's server no longer counts these as its connections.
      for (const socket of upgraded) socket.destroy();
    }, drainMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
