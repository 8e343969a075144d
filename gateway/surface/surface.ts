/** A model endpoint: its place, and the formats of its requests, answers and streams. */
import type { SurfaceId } from '../../config/schema.ts';
import type { StreamDialect } from '../stream/dialect.ts';
import type { AnswerPart } from '../wire/answer.ts';
import type { JsonNode } from '../wire/json.ts';
import type { ModelRequest, ReadLimits } from '../wire/request.ts';
import type { ErrorDialect } from './errorDialect.ts';

export interface Surface {
  readonly id: SurfaceId;
  /** Below the base URL of an OpenAI-compatible or Anthropic-compatible provider. */
  readonly path: string;
  /** Reads and checks a body. Throws `GatewayError` with the JSON pointer of the problem. */
  readonly readRequest: (source: string, limits: ReadLimits) => ModelRequest;
  /** A whole answer. Null when it is none of this format. */
  readonly readAnswer: (root: JsonNode) => AnswerPart | null;
  /** Null where the format has no streams. */
  readonly stream: StreamDialect | null;
  readonly errors: ErrorDialect;
  /** Ids under which the provider keeps a whole answer, or the one that a stream begins with; null where it keeps none. */
  readonly keptIds: ((root: JsonNode) => KeptIds | null) | null;
}

/** The ids of a stored answer and of what is in it. */
export interface KeptIds {
  /** False where the answer says that it is not stored. */
  readonly stored: boolean;
  readonly responseId: string;
  readonly itemIds: readonly string[];
}
