/** A request body on its way through: never whole in memory, within a number of bytes and a time. */
import type { IncomingMessage } from 'node:http';
import { type Readable, Transform } from 'node:stream';
import { GatewayError } from '../errors.ts';

export interface BodyBounds {
  readonly bytesMax: number;
  /** From headers to the last byte. */
  readonly timeoutMs: number;
}

export class MeteredBody {
  /** What was read, in order. It stops without an end when a bound is crossed. */
  readonly stream: Readable;
  /** Hears once of a bound that was crossed: `request_too_large` or `body_timeout`. */
  onFault: ((error: GatewayError) => void) | null = null;
  readonly #incoming: IncomingMessage;
  readonly #transform: Transform;
  readonly #timer: NodeJS.Timeout;
  readonly #onEnd: () => void;
  #bytes = 0;

  constructor(incoming: IncomingMessage, { bytesMax, timeoutMs }: BodyBounds) {
    this.#incoming = incoming;
    this.#transform = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        this.#bytes += chunk.length;
        if (this.#bytes <= bytesMax) done(null, chunk);
        else this.#fail(bodyTooLarge(bytesMax));
      },
    });
    this.stream = this.#transform;
    this.#timer = setTimeout(() => this.#fail(new GatewayError('body_timeout')), timeoutMs);
    this.#onEnd = () => clearTimeout(this.#timer);
    incoming.once('end', this.#onEnd).once('close', this.#onEnd);
    incoming.pipe(this.#transform);
  }

  /** Hands nothing on any longer; what the client still sends is up to the caller. */
  stop(): void {
    this.onFault = null;
    clearTimeout(this.#timer);
    this.#incoming.off('end', this.#onEnd).off('close', this.#onEnd);
    this.#incoming.unpipe(this.#transform);
    this.#transform.destroy();
  }

  #fail(error: GatewayError): void {
    const { onFault } = this;
    this.stop();
    onFault?.(error);
  }
}

export function bodyTooLarge(bytesMax: number): GatewayError {
  return new GatewayError('request_too_large', { message: `The request body is larger than ${bytesMax} bytes.` });
}
