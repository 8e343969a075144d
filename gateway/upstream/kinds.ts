/** What differs between kinds of providers: address, surfaces, paths, and how they take a key. */
import { type ProviderKind, SURFACES, type SurfaceId } from '../../config/schema.ts';
import { GatewayError } from '../errors.ts';

/** The version whose answers and streams the gateway reads. */
const ANTHROPIC_VERSION = '2023-06-01';

/** Where a kind without a configured address is; null where there must be one. */
export const DEFAULT_URLS: Readonly<Record<ProviderKind, string | null>> = {
  openai: 'https://api.openai.com/v1',
  anthropic: 'https://api.anthropic.com/v1',
  azure: null,
  'openai-compatible': null,
  demo: null,
};

const SERVED: Readonly<Record<ProviderKind, readonly SurfaceId[]>> = {
  openai: SURFACES.filter((surface) => surface !== 'messages'),
  azure: ['chat', 'responses', 'completions', 'embeddings', 'models', 'relay'],
  anthropic: ['messages', 'models'],
  'openai-compatible': SURFACES,
  demo: SURFACES,
};

/** Of Azure's dated API, the surfaces whose path names the model. */
const BY_DEPLOYMENT: readonly SurfaceId[] = ['chat', 'completions', 'embeddings'];

/** Whether a provider of this kind has the endpoint. */
export function serves(kind: ProviderKind, surface: SurfaceId): boolean {
  return SERVED[kind].includes(surface);
}

export interface Place {
  readonly kind: ProviderKind;
  /** Azure only. */
  readonly apiVersion: string | null;
}

export interface Target {
  readonly path: string;
  readonly query: string;
}

/**
 * A place in OpenAI's form in that of the provider, relative to its base path.
 * Throws `not_found` for a model or a path that would lead elsewhere.
 */
export function placeOf(place: Place, surface: SurfaceId, model: string | null, { path, query }: Target): Target {
  if (!leadsNowhereElse(path) || !/^(?:\?[!-"$-~]*)?$/.test(query)) throw new GatewayError('not_found');
  if (place.kind !== 'azure') return { path, query };
  const rest = withoutApiVersion(query);
  if (place.apiVersion === null) return { path: `/openai/v1${path}`, query: rest };
  const version = `api-version=${encodeURIComponent(place.apiVersion)}`;
  return {
    path: BY_DEPLOYMENT.includes(surface) ? `/openai/deployments/${deployment(model)}${path}` : `/openai${path}`,
    query: rest === '' ? `?${version}` : `${rest}&${version}`,
  };
}

/** The base path without what `placeOf` puts in front; addresses of Azure are written with and without it. */
export function basePathOf(kind: ProviderKind, basePath: string): string {
  return kind === 'azure' ? basePath.replace(/\/openai(?:\/v1)?$/, '') : basePath;
}

/** A segment of dots, also encoded, or a slash in disguise would reach other endpoints with the gateway's key. */
function leadsNowhereElse(path: string): boolean {
  // Linear: one class, anchored; a split; two anchored alternatives per segment.
  if (!/^\/[\w.~:@!$&'()*+,;=%/-]*$/.test(path) || /%(?:2f|5c|25|00)/i.test(path)) return false;
  return path.split('/').every((segment) => !/^(?:\.|%2e){1,2}$/i.test(segment));
}

function deployment(model: string | null): string {
  if (model === null) {
    throw new GatewayError('invalid_request', {
      message: 'The call names no model, and the provider has no default.',
      param: '/model',
    });
  }
  if (model === '' || model === '.' || /[/\\?#]|\.\./.test(model)) {
    throw new GatewayError('not_found', { message: 'The provider has no such model.', param: '/model' });
  }
  try {
    return encodeURIComponent(model);
  } catch (cause) {
    // Half of a surrogate pair.
    throw new GatewayError('not_found', { message: 'The provider has no such model.', param: '/model', cause });
  }
}

/** The version is the operator's choice; clients made for Azure always send one. */
function withoutApiVersion(query: string): string {
  const kept = query
    .slice(1)
    .split('&')
    .filter((part) => part !== '' && !new URLSearchParams(part).has('api-version'));
  return kept.length === 0 ? '' : `?${kept.join('&')}`;
}

/** Adds the key, null for none, and what else a provider of this kind asks for. */
export function addKindHeaders(kind: ProviderKind, headers: Map<string, string>, key: string | null): void {
  if (kind === 'anthropic' && !headers.has('anthropic-version')) headers.set('anthropic-version', ANTHROPIC_VERSION);
  if (key === null) return;
  switch (kind) {
    case 'openai':
    case 'openai-compatible':
    case 'demo':
      headers.set('authorization', `Bearer ${key}`);
      break;
    case 'azure':
      headers.set('api-key', key);
      break;
    case 'anthropic':
      headers.set('x-api-key', key);
      break;
    default:
      kind satisfies never;
  }
}
