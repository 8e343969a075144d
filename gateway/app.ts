/** The routes and what happens around each of them, visible in one list. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import { renderModelError } from './api/model/error.ts';
import { relayUnread } from './api/model/relay.ts';
import { livez, readyz } from './api/ops/probes.ts';
import { renderValidateError } from './api/validate/error.ts';
import { validate } from './api/validate/validate.ts';
import { validateOutput } from './api/validate/validateOutput.ts';
import type { Deps } from './deps.ts';
import { GatewayError } from './errors.ts';
import { ClientGone, Exchange } from './http/exchange.ts';
import { MODEL_ROUTES, type ModelRoute, type PathParams } from './modelRoutes.ts';
import { anthropicErrors } from './surface/anthropicError.ts';
import { openaiErrors } from './surface/errorDialect.ts';
import { errorFields } from './telemetry/log.ts';

export type Handler = (deps: Deps, exchange: Exchange, params: PathParams) => Promise<void>;
/** Writes an error in the dialect of an API. */
export type ErrorRenderer = (deps: Deps, exchange: Exchange, error: GatewayError) => void;

type App = Hono<{ Bindings: HttpBindings }>;

const openaiError = renderModelError(openaiErrors);
const anthropicError = renderModelError(anthropicErrors);

/** Builds the data-plane application. */
export function buildApp(deps: Deps): App {
  const app: App = new Hono();
  const direct = (handler: Handler, route: string) => wrap(deps, route, handler, renderValidateError);

  app.get('/livez', wrap(deps, '/livez', livez, openaiError));
  app.get('/readyz', wrap(deps, '/readyz', readyz, openaiError));
  app.post('/validate', direct(validate, '/validate'));
  app.post('/validate_output', direct(validateOutput, '/validate_output'));
  app.all('/validate', direct(refuse('method_not_allowed', 'POST'), '/validate'));
  app.all('/validate_output', direct(refuse('method_not_allowed', 'POST'), '/validate_output'));
  for (const route of MODEL_ROUTES) {
    app.on(route.method, route.path, wrap(deps, route.label, route.handle, errorsOf(route)));
  }
  for (const path of new Set(MODEL_ROUTES.map((route) => route.path))) {
    const routes = MODEL_ROUTES.filter((route) => route.path === path);
    const [first] = routes as [ModelRoute, ...ModelRoute[]];
    const methods = routes.map(({ method }) => method).join(', ');
    app.all(path, wrap(deps, first.label, refuse('method_not_allowed', methods), errorsOf(first)));
  }
  app.all('/v1/*', wrap(deps, '/v1/*', relayUnread, openaiError));
  app.all('/openai/:provider/*', wrap(deps, '/v1/*', relayUnread, openaiError));
  app.all('/anthropic/:provider/*', wrap(deps, '/v1/*', refuse('endpoint_not_offered'), anthropicError));
  app.all('*', wrap(deps, 'other', refuse('not_found'), openaiError));
  return app;
}

function errorsOf({ dialect }: ModelRoute): ErrorRenderer {
  return dialect === 'anthropic' ? anthropicError : openaiError;
}

function refuse(code: 'method_not_allowed' | 'endpoint_not_offered' | 'not_found', allow = ''): Handler {
  return (_, exchange) => {
    exchange.allow = allow;
    return Promise.reject(new GatewayError(code));
  };
}

/** Probes answer under overload and while draining; everything else counts against the concurrency bound. */
const PROBES = new Set(['/livez', '/readyz']);

function wrap(deps: Deps, route: string, handler: Handler, render: ErrorRenderer) {
  return async (context: Context<{ Bindings: HttpBindings }>): Promise<Response> => {
    const { incoming, outgoing } = context.env as { incoming: IncomingMessage; outgoing: ServerResponse };
    const exchange = new Exchange(incoming, outgoing, route);
    await serveExchange(deps, exchange, () => handler(deps, exchange, context.req.param()), render);
    return RESPONSE_ALREADY_SENT;
  };
}

/** Runs one exchange: bounded, counted, logged, and answered whatever happens. Never rejects. */
export async function serveExchange(
  deps: Deps,
  exchange: Exchange,
  act: () => Promise<void>,
  render: ErrorRenderer = openaiError,
): Promise<void> {
  const counted = !PROBES.has(exchange.route);
  if (counted) begin(deps);
  try {
    if (counted && deps.lifecycle.inFlight > deps.config.limits.concurrentRequestsMax) {
      throw new GatewayError('overloaded', { retryAfter: 1 });
    }
    await act();
  } catch (error) {
    answerError(deps, exchange, error, render);
  } finally {
    if (counted) end(deps, exchange);
  }
}

function answerError(deps: Deps, exchange: Exchange, error: unknown, render: ErrorRenderer): void {
  if (error instanceof ClientGone || exchange.gone.aborted) {
    exchange.code = 'client_gone';
    return;
  }
  const known = error instanceof GatewayError ? error : new GatewayError('internal_error', { cause: error });
  exchange.code = known.code;
  if (known.code === 'internal_error')
    deps.log.error('internal_error', { requestId: exchange.requestId, ...errorFields(error) });
  if (known.code.includes('upstream')) deps.metrics.upstreamError(known.code);
  render(deps, exchange, known);
}

function begin(deps: Deps): void {
  deps.lifecycle.inFlight++;
  deps.metrics.requestStarted();
}

function end(deps: Deps, exchange: Exchange): void {
  deps.lifecycle.inFlight--;
  deps.metrics.requestEnded();
  const { outgoing } = exchange;
  // What is still unread of the answer must not wait for ever on a client that stopped reading.
  if (!outgoing.writableFinished && !outgoing.destroyed) {
    outgoing.setTimeout(deps.config.timeouts.clientWriteMs, () => outgoing.destroy());
  }
  const { route, stream, requestId, tenant, tokenId, action, code, provider, reason } = exchange;
  const { inputTokens, outputTokens } = exchange;
  const status = exchange.outgoing.headersSent ? exchange.outgoing.statusCode : 0;
  const method = exchange.incoming.method ?? '';
  deps.metrics.request({ route, method, status, stream });
  deps.log.info('request', {
    requestId,
    route,
    method,
    status,
    stream,
    durationMs: Math.round(performance.now() - exchange.startedAt),
    upstreamMs: Math.round(exchange.upstreamMs),
    ...(tenant !== null && { tenant }),
    ...(tokenId !== null && { tokenId }),
    ...(action !== null && { action }),
    ...(code !== null && { code }),
    ...(provider !== null && { provider }),
    ...(reason !== null && { reason }),
    ...(inputTokens !== null && { inputTokens }),
    ...(outputTokens !== null && { outputTokens, usageEstimated: exchange.usageEstimated }),
  });
}
