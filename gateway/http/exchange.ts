/**
 * One request and its answer on the raw Node objects: body with limits, one answer, and the moment the client left.
 * Web Streams cost more than the rest of a request together, so nothing of an answer goes through them.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../errors.ts';

/** How long a refused client may go on sending before its connection is closed: it has to read the answer first. */
const LINGER_MS = 2_000;

export type AnswerHeaders = Readonly<Record<string, string>>;

export class Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly requestId = randomUUID();
  readonly startedAt = performance.now();
  /** Route pattern for metrics and logs. */
  readonly route: string;
  /** Aborted when the client leaves before its answer is complete. */
  readonly gone: AbortSignal;
  /** Milliseconds spent waiting for the provider. */
  upstreamMs = 0;
  stream = false;
  /** What the request's log line says beside the obvious. */
  tenant: string | null = null;
  tokenId: string | null = null;
  action: string | null = null;
  code: string | null = null;
  /** Name of the provider that served it. */
  provider: string | null = null;
  /** Why it was not read, where it was not. */
  reason: string | null = null;
  inputTokens: number | null = null;
  outputTokens: number | null = null;
  /** The provider did not say, or not all of it. */
  usageEstimated = false;
  /** Methods of the path, for a 405. */
  allow = '';

  constructor(incoming: IncomingMessage, outgoing: ServerResponse, route: string) {
    this.incoming = incoming;
    this.outgoing = outgoing;
    this.route = route;
    const controller = new AbortController();
    this.gone = controller.signal;
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) controller.abort();
    });
    outgoing.on('error', () => controller.abort());
  }

  get headers(): IncomingHttpHeaders {
    return this.incoming.headers;
  }

  /** Answers once. Later calls do nothing, since a status that is out cannot be recalled. */
  answer(status: number, headers: AnswerHeaders, body: string | Buffer): void {
    const { incoming, outgoing } = this;
    if (outgoing.headersSent || outgoing.destroyed) return;
    const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
    const unread = !incoming.complete && hasBody(incoming.headers);
    outgoing.writeHead(status, {
      ...headers,
      'x-request-id': this.requestId,
      'cache-control': 'no-store',
      'content-length': bytes.length,
      ...(unread && { connection: 'close' }),
    });
    if (!unread) {
      outgoing.end(bytes);
      return;
    }
    // Closing with unread bytes in the socket resets it, and the client never sees why it was refused.
    outgoing.write(bytes);
    const finish = (): void => {
      clearTimeout(timer);
      outgoing.end();
    };
    const timer = setTimeout(() => {
      incoming.destroy();
    }, LINGER_MS);
    timer.unref();
    incoming.once('end', finish);
    incoming.once('close', finish);
    incoming.resume();
  }

  json(status: number, body: string | Buffer, headers: AnswerHeaders = {}): void {
    this.answer(status, { ...headers, 'content-type': 'application/json' }, body);
  }

  /** Starts a streamed answer. */
  openStream(headers: AnswerHeaders): void {
    this.outgoing.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-request-id': this.requestId,
      'x-accel-buffering': 'no',
    });
  }

  /**
   * Reads a JSON body as text.
   * Throws `unsupported_media_type`, `request_too_large`, `invalid_json` (not UTF-8) and `body_timeout`.
   */
  async readText(limits: { bytesMax: number; timeoutMs: number }): Promise<{ bytes: Buffer; text: string }> {
    this.#checkMediaType();
    const bytes = await this.#readBytes(limits);
    try {
      return { bytes, text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
    } catch (cause) {
      throw new GatewayError('invalid_json', { message: 'The request body is not valid UTF-8.', cause });
    }
  }

  #checkMediaType(): void {
    const [type = '', ...parameters] = (this.headers['content-type'] ?? '')
      .split(';')
      .map((part) => part.trim().toLowerCase());
    const charset = parameters
      .find((parameter) => parameter.startsWith('charset='))
      ?.slice(8)
      .replaceAll('"', '');
    const json = type === 'application/json';
    const utf8 = charset === undefined || charset === 'utf-8' || charset === 'utf8';
    const encoding = this.headers['content-encoding']?.toLowerCase() ?? 'identity';
    if (!json || !utf8 || encoding !== 'identity') throw new GatewayError('unsupported_media_type');
  }

  #readBytes({ bytesMax, timeoutMs }: { bytesMax: number; timeoutMs: number }): Promise<Buffer> {
    const { incoming } = this;
    const tooLarge = (): GatewayError =>
      new GatewayError('request_too_large', { message: `The request body is larger than ${bytesMax} bytes.` });
    if (Number(this.headers['content-length'] ?? 0) > bytesMax) return Promise.reject(tooLarge());
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const done = (settle: () => void): void => {
        clearTimeout(timer);
        incoming.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
        settle();
      };
      const onData = (chunk: Buffer): void => {
        size += chunk.length;
        if (size <= bytesMax) chunks.push(chunk);
        else done(() => reject(tooLarge()));
      };
      const onEnd = (): void =>
        done(() => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
      const onError = (cause: unknown): void => done(() => reject(new ClientGone({ cause })));
      const onClose = (): void => done(() => reject(new ClientGone()));
      const timer = setTimeout(() => done(() => reject(new GatewayError('body_timeout'))), timeoutMs);
      incoming.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose);
    });
  }
}

/** The client left: an outcome of its own, answered by nothing. */
export class ClientGone extends Error {
  constructor(options?: ErrorOptions) {
    super('the client closed the connection', options);
    this.name = 'ClientGone';
  }
}

/** RFC 9112 6.3: without either header a request ends with its head, whether or not the parser has said so yet. */
function hasBody(headers: IncomingHttpHeaders): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
