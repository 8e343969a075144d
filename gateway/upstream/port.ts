/** What routes see of providers: where a request goes is decided once, retries and fallbacks happen behind `call`. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { SurfaceId } from '../../config/schema.ts';
import type { UpstreamCall, UpstreamSink } from './call.ts';

/** `bytes` can be sent again, and for another model; a stream is read once. */
export type RequestBody =
  | { readonly kind: 'bytes'; readonly of: (model: string | null) => Buffer }
  | {
      readonly kind: 'stream';
      readonly stream: Readable;
      readonly contentType: string | null;
      readonly contentLength: number | null;
    };

export interface RoutedRequest {
  readonly method: string;
  /** Below the base URL in OpenAI's form, such as `/chat/completions`; a provider of another kind has its own. */
  readonly path: string;
  /** Empty, or with its question mark. */
  readonly query: string;
  /** The client's headers; what is not on the allow-list stays here. */
  readonly headers: IncomingHttpHeaders;
  readonly body: RequestBody | null;
  /** Asks for a WebSocket with these handshake headers; the sink must know `onUpgrade`. */
  readonly upgrade?: Readonly<Record<string, string>>;
}

/** Something that answers calls. */
export interface Upstream {
  /** The sink hears of one attempt only: the first that a provider took, else the last. */
  call(request: RoutedRequest, sink: UpstreamSink): UpstreamCall;
}

/** One provider and its fallbacks, for one request. */
export interface Route extends Upstream {
  /** Name of the first provider. */
  readonly provider: string;
  /** Used where a call names none; null means that the provider decides. */
  defaultModel(): Promise<string | null>;
}

export interface RouteQuery {
  readonly surface: SurfaceId;
  readonly model: string | null;
  /** Name of a provider that the caller asks for, as in `/openai/NAME/...`. */
  readonly provider: string | null;
}

export interface Providers {
  /** Throws `not_found` for an unknown provider and `endpoint_not_offered` when it does not serve the surface. */
  route(query: RouteQuery): Route;
  /** Refuses new calls and waits for those under way. */
  close(): Promise<void>;
  /** Ends every call. */
  destroy(): Promise<void>;
}
