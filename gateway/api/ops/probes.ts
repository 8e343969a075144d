/** Probes. They say whether this process lives and wants traffic, and nothing about anybody. */
import type { Handler } from '../../app.ts';

export const livez: Handler = async (_deps, exchange) => {
  exchange.json(200, '{"status":"ok"}');
};

/** 503 while draining, so that a balancer stops sending before connections close. */
export const readyz: Handler = async (deps, exchange) => {
  const { draining } = deps.lifecycle;
  exchange.json(draining ? 503 : 200, JSON.stringify({ status: draining ? 'draining' : 'ready' }));
};
