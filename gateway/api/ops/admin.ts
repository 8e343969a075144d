/** The admin port: metrics and probes, off the public port. */
import { Hono } from 'hono';
import type { Deps } from '../../deps.ts';

export function buildAdminApp(deps: Deps): Hono {
  const app = new Hono();
  app.get('/metrics', async (context) => {
    const text = await deps.metrics.render();
    return context.body(text, 200, { 'content-type': deps.metrics.contentType });
  });
  app.get('/livez', (context) => context.json({ status: 'ok' }));
  app.get('/readyz', (context) => {
    const { draining } = deps.lifecycle;
    return context.json({ status: draining ? 'draining' : 'ready' }, draining ? 503 : 200);
  });
  return app;
}
