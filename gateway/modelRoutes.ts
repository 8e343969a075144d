/** The endpoints of the model APIs, under every prefix that clients put in front of them. */
import { generate } from './api/model/generate.ts';
import { lookup } from './api/model/lookup.ts';
import type { Place } from './api/model/place.ts';
import { cancelResponse, deleteResponse, responseInputItems, retrieveResponse } from './api/model/stored.ts';
import type { Deps } from './deps.ts';
import { GatewayError } from './errors.ts';
import type { Exchange } from './http/exchange.ts';
import { chatSurface } from './surface/chat.ts';
import { completionsSurface } from './surface/completions.ts';
import { embeddingsSurface } from './surface/embeddings.ts';
import { countTokensSurface, messagesSurface } from './surface/messages.ts';
import { moderationsSurface } from './surface/moderations.ts';
import { responsesSurface } from './surface/responses.ts';
import type { Surface } from './surface/surface.ts';

/** Parameters of a path, decoded. */
export type PathParams = Readonly<Record<string, string>>;

export interface ModelRoute {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As the router writes it. */
  readonly path: string;
  /** For metrics and logs: the same whatever the prefix is. */
  readonly label: string;
  readonly dialect: 'openai' | 'anthropic';
  readonly handle: (deps: Deps, exchange: Exchange, params: PathParams) => Promise<void>;
}

/** OpenAI's own prefix, Azure's, and those that name a provider. */
const OPENAI_PREFIXES = [
  '/v1',
  '/openai/v1',
  '/openai/:provider/openai/v1',
  '/openai/:provider/openai',
  '/openai/:provider/v1',
  '/openai/:provider',
];
/** Azure's older paths, where only what is not a deployment's stands here. */
const AZURE_PREFIX = '/openai';
const DEPLOYMENT_PREFIXES = ['/openai/deployments/:deployment', '/openai/:provider/openai/deployments/:deployment'];
const ANTHROPIC_PREFIXES = ['/v1', '/anthropic/:provider/v1'];

type Entry = Omit<ModelRoute, 'dialect' | 'label'>;

const DEPLOYMENT_ENTRIES: readonly Entry[] = [chatSurface, completionsSurface, embeddingsSurface].map(generates);

const OTHER_ENTRIES: readonly Entry[] = [
  ...[responsesSurface, moderationsSurface].map(generates),
  stored('GET', '/responses/:id', retrieveResponse),
  stored('DELETE', '/responses/:id', deleteResponse),
  stored('GET', '/responses/:id/input_items', responseInputItems),
  stored('POST', '/responses/:id/cancel', cancelResponse),
  {
    method: 'GET',
    path: '/models',
    handle: (deps, exchange, params) =>
      lookup(deps, exchange, { surface: 'models', path: '/models', model: null, place: placeOf(params) }),
  },
  {
    method: 'GET',
    path: '/models/:id{.+}',
    handle: (deps, exchange, params) =>
      lookup(deps, exchange, {
        surface: 'models',
        path: modelPath(idOf(params)),
        model: idOf(params),
        place: placeOf(params),
      }),
  },
];

const OPENAI_ENTRIES: readonly Entry[] = [...DEPLOYMENT_ENTRIES, ...OTHER_ENTRIES];

const ANTHROPIC_ENTRIES: readonly Entry[] = [messagesSurface, countTokensSurface].map(generates);

/** Every route; no provider can have a name that is a fixed word of another path. */
export const MODEL_ROUTES: readonly ModelRoute[] = [
  ...DEPLOYMENT_PREFIXES.flatMap((prefix) => DEPLOYMENT_ENTRIES.map((entry) => route(prefix, entry, 'openai'))),
  ...OTHER_ENTRIES.map((entry) => route(AZURE_PREFIX, entry, 'openai')),
  ...OPENAI_PREFIXES.flatMap((prefix) => OPENAI_ENTRIES.map((entry) => route(prefix, entry, 'openai'))),
  ...ANTHROPIC_PREFIXES.flatMap((prefix) => ANTHROPIC_ENTRIES.map((entry) => route(prefix, entry, 'anthropic'))),
];

function route(prefix: string, entry: Entry, dialect: ModelRoute['dialect']): ModelRoute {
  const label = `/v1${entry.path}`.replace(/:(\w+)(?:\{[^}]*\})?/, '{$1}');
  return { ...entry, path: prefix + entry.path, label, dialect };
}

function generates(surface: Surface): Entry {
  return {
    method: 'POST',
    path: surface.path,
    handle: (deps, exchange, params) => generate(deps, exchange, surface, placeOf(params)),
  };
}

function stored(
  method: Entry['method'],
  path: string,
  ask: (deps: Deps, exchange: Exchange, id: string, place: Place) => Promise<void>,
): Entry {
  return { method, path, handle: (deps, exchange, params) => ask(deps, exchange, idOf(params), placeOf(params)) };
}

function placeOf({ provider, deployment }: PathParams): Place {
  return { provider: provider ?? null, deployment: deployment ?? null };
}

function idOf({ id }: PathParams): string {
  return id ?? '';
}

/** Names of models have slashes, which providers look for as they are. A name with an empty part is none. */
function modelPath(id: string): string {
  const parts = id.split('/');
  if (parts.includes('')) throw new GatewayError('not_found');
  return `/models/${parts.map(encodeURIComponent).join('/')}`;
}
