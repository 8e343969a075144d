/** What a streamed format differs in: how an event is read, how a stream ends, and how it is ended before its time. */
import type { GatewayError } from '../errors.ts';
import type { AnswerPart } from '../wire/answer.ts';
import type { JsonNode } from '../wire/json.ts';

/** What is known of a stream that has to stop. */
export interface StoppedStream {
  /** The first and the last event that were released; null when there was none. */
  readonly first: JsonNode | null;
  readonly last: JsonNode | null;
  /** Groups that have begun, in what was released, and not finished. */
  readonly openGroups: readonly number[];
  readonly error: GatewayError;
}

export interface StreamDialect {
  /** One event. Null when it is none of this format, which ends the stream as a provider fault. */
  readonly read: (root: JsonNode) => AnswerPart | null;
  /** Data that ends the stream and is no JSON. */
  readonly doneMark: string | null;
  /** Events have an `event:` line that repeats their `type`; elsewhere such a line is taken out. */
  readonly namedEvents: boolean;
  /** True for an event that only adds text, so that it may be sent in two parts. */
  readonly isDelta: (root: JsonNode) => boolean;
  /** A clean end is complete once every group has finished; elsewhere only after a part that `ends`. */
  readonly endsWithGroups: boolean;
  /** Ends an answer that was stopped, with the error that SDKs raise. */
  readonly stopped: (stream: StoppedStream) => readonly Buffer[];
  /** Ends it quietly, as if the model had stopped for its content filter. */
  readonly finished: (stream: StoppedStream) => readonly Buffer[];
  /** Says that the provider broke the answer. Nothing may look complete. */
  readonly failed: (stream: StoppedStream) => readonly Buffer[];
}
