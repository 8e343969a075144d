/** The routes and what happens around each of them, visible in one list. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import { chatCompletions } from './api/openai/chat.ts';
import { renderOpenaiError } from './api/openai/error.ts';
import { listModels } from './api/openai/models.ts';
import { livez, readyz } from './api/ops/probes.ts';
import { renderValidateError } from './api/validate/error.ts';
import { validate } from './api/validate/validate.ts';
import { validateOutput } from './api/validate/validateOutput.ts';
import type { Deps } from './deps.ts';
import { GatewayError } from './errors.ts';
import { ClientGone, Exchange } from './http/exchange.ts';
import { errorFields } from './telemetry/log.ts';

export type Handler = (deps: Deps, exchange: Exchange) => Promise<void>;
/** Writes an error in the dialect of an API. */
export type ErrorRenderer = (deps: Deps, exchange: Exchange, error: GatewayError) => void;

type App = Hono<{ Bindings: HttpBindings }>;

/** Builds the data-plane application. */
export function buildApp(deps: Deps): App {
  const app: App = new Hono();
  const openai = (handler: Handler, route: string) => wrap(deps, route, handler, renderOpenaiError);
  const direct = (handler: Handler, route: string) => wrap(deps, route, handler, renderValidateError);

  app.get('/livez', wrap(deps, '/livez', livez, renderOpenaiError));
  app.get('/readyz', wrap(deps, '/readyz', readyz, renderOpenaiError));
  app.post('/validate', direct(validate, '/validate'));
  app.post('/validate_output', direct(validateOutput, '/validate_output'));
  app.all('/validate', direct(refuse('method_not_allowed'), '/validate'));
  app.all('/validate_output', direct(refuse('method_not_allowed'), '/validate_output'));
  app.post('/v1/chat/completions', openai(chatCompletions, '/v1/chat/completions'));
  app.get('/v1/models', openai(listModels, '/v1/models'));
  app.all('/v1/chat/completions', openai(refuse('method_not_allowed'), '/v1/chat/completions'));
  app.all('/v1/models', openai(refuse('method_not_allowed'), '/v1/models'));
  app.all('/v1/*', openai(refuse('endpoint_not_offered'), '/v1/*'));
  app.all('*', openai(refuse('not_found'), 'other'));
  return app;
}

function refuse(code: 'method_not_allowed' | 'endpoint_not_offered' | 'not_found'): Handler {
  return () => Promise.reject(new GatewayError(code));
}

/** Probes answer under overload and while draining; everything else counts against the concurrency bound. */
const PROBES = new Set(['/livez', '/readyz']);

function wrap(deps: Deps, route: string, handler: Handler, render: ErrorRenderer) {
  return async (context: Context<{ Bindings: HttpBindings }>): Promise<Response> => {
    const { incoming, outgoing } = context.env as { incoming: IncomingMessage; outgoing: ServerResponse };
    const exchange = new Exchange(incoming, outgoing, route);
    const counted = !PROBES.has(route);
    if (counted) begin(deps);
    try {
      if (counted && deps.lifecycle.inFlight > deps.config.limits.concurrentRequestsMax) {
        throw new GatewayError('overloaded', { retryAfter: 1 });
      }
      await handler(deps, exchange);
    } catch (error) {
      answerError(deps, exchange, error, render);
    } finally {
      if (counted) end(deps, exchange);
    }
    return RESPONSE_ALREADY_SENT;
  };
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
  const { route, stream, requestId, tenant, tokenId, action, code } = exchange;
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
  });
}
