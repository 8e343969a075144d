/** What the tests of responses share: calls of each kind, events as a client reads them, and gateways on one store. */
import { expect } from 'vitest';
import type { GatewayConfig } from '../../../config/schema.ts';
import { buildDeps } from '../../../gateway/build.ts';
import { loadConfig } from '../../../gateway/config/load.ts';
import type { Secrets } from '../../../gateway/secrets.ts';
import { type Listening, listen } from '../../../gateway/server.ts';
import { openEmbedded } from '../../../gateway/store/embedded.ts';
import type { Store } from '../../../gateway/store/port.ts';
import { createLog } from '../../../gateway/telemetry/log.ts';
import { createMetrics, METRIC_NAMES } from '../../../gateway/telemetry/metrics.ts';
import { within } from '../../helpers/deadline.ts';
import type { TestGateway } from '../../helpers/gateway.ts';
import { type Answer, payloads, WAIT_MS } from '../chat/support.ts';

/** A further tenant, guarded like the first. */
export const withStranger = (config: GatewayConfig): GatewayConfig => ({
  ...config,
  tenants: { ...config.tenants, stranger: { policy: 'default' } },
});

export const RESPONSES = '/v1/responses';
export const INSTRUCTIONS = 'You are a helpful assistant.\nAnswer in one sentence.\n';

/** A place to send requests to, and a key that may. */
export interface Door {
  readonly url: string;
  readonly key: string;
}

export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** One request and its whole answer. */
export async function send(
  door: Door,
  path: string,
  { method = 'GET', headers = {}, body }: Call = {},
): Promise<Answer> {
  const request = fetch(door.url + path, {
    method,
    headers: {
      authorization: `Bearer ${door.key}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const response = await within(WAIT_MS, request, `the head of the answer to ${method} ${path}`);
  const text = await within(WAIT_MS, response.text(), `the whole answer to ${method} ${path}`);
  return { status: response.status, headers: response.headers, text };
}

export function responsesBody(extra: object = {}): Record<string, unknown> {
  return { model: 'mock-model', instructions: INSTRUCTIONS, input: 'Hello', ...extra };
}

export const create = (door: Door, extra: object = {}): Promise<Answer> =>
  send(door, RESPONSES, { method: 'POST', body: responsesBody(extra) });

/** The members that tests look at. */
export interface ResponseView {
  readonly id: string;
  readonly status: string;
  readonly instructions: unknown;
  readonly output: readonly { readonly id: string }[];
}

export interface EventView {
  readonly type: string;
  readonly response?: ResponseView;
  readonly error?: { readonly code: string };
}

/** The body of an answer that has to be a good one. */
export function good(answer: Answer): ResponseView {
  expect(answer.status, answer.text).toBe(200);
  return JSON.parse(answer.text) as ResponseView;
}

export function events(text: string): EventView[] {
  return payloads(text).map((data) => JSON.parse(data) as EventView);
}

/** Creates a response and says its id. */
export async function createdId(door: Door, extra: object = {}): Promise<string> {
  return good(await create(door, extra)).id;
}

export interface ErrorView {
  readonly status: number;
  readonly error: Record<string, unknown>;
}

export function errorView({ status, text }: Answer): ErrorView {
  return { status, error: (JSON.parse(text) as { error: Record<string, unknown> }).error };
}

/** No eight characters of the token in a row are in the text; so many are in no id or time by chance. */
export function expectNoRun(token: string, text: string): void {
  expect(token).toMatch(/^[0-9a-f]{32}$/);
  const runs = Array.from({ length: token.length - 7 }, (_, at) => token.slice(at, at + 8));
  expect(runs.filter((run) => text.toLowerCase().includes(run))).toEqual([]);
}

/** What is said of an id that the caller does not have, whatever the reason. */
export const unknownId = (param: string | null): ErrorView => ({
  status: 404,
  error: {
    message: 'There is no such response or item.',
    type: 'invalid_request_error',
    param,
    code: 'not_found',
  },
});

export interface Replica extends Door {
  readonly store: Store;
  readonly listening: Listening;
  close(): Promise<void>;
}

/** A further gateway process in all but name: a store of its own on the same directory, nothing else shared. */
export async function startReplica(
  origin: Pick<TestGateway, 'deps' | 'key'>,
  options: { readonly upstream: string; readonly dir: string; readonly secrets: Secrets; readonly now?: () => number },
): Promise<Replica> {
  const config = loadConfig();
  const store = openEmbedded(options.dir);
  const deps = buildDeps({
    config,
    store,
    secrets: options.secrets,
    log: createLog({ level: 'silent' }),
    metrics: createMetrics(METRIC_NAMES, config.telemetry.toolLabels, []),
    upstream: { url: options.upstream, key: null, model: 'mock-model' },
    env: {},
    engine: origin.deps.engine,
    ...(options.now !== undefined && { now: options.now }),
  });
  const { value: key } = await deps.keys.createToken({
    name: 'test',
    scopes: ['proxy'],
    tenants: ['*'],
    defaultTenant: 'default',
    expiresAt: null,
  });
  const listening = await listen(deps, { host: '127.0.0.1', port: 0, adminHost: '127.0.0.1', adminPort: 0 });
  return {
    url: `http://127.0.0.1:${listening.port}`,
    key,
    store,
    listening,
    close: async () => {
      await listening.close();
      await store.close();
    },
  };
}
