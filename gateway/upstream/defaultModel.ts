/** The model of calls that name none: the configured one, else the first id of the provider's list. */
import type { Limits } from '../../config/schema.ts';
import { GatewayError } from '../errors.ts';
import { JsonError, member, parseJson, stringMember } from '../wire/json.ts';
import { collect } from './collect.ts';
import type { Upstream } from './port.ts';

export class DefaultModel {
  readonly #upstream: Upstream | null;
  readonly #limits: Limits;
  #known: string | null;
  #asking: Promise<string | null> | null = null;

  /** Without an upstream only the configured model is known. */
  constructor(upstream: Upstream | null, configured: string | null, limits: Limits) {
    this.#upstream = upstream;
    this.#limits = limits;
    this.#known = configured;
  }

  /** Null when the provider lists none; it is then asked again next time. */
  async get(): Promise<string | null> {
    if (this.#known !== null || this.#upstream === null) return this.#known;
    this.#asking ??= this.#ask(this.#upstream).finally(() => {
      this.#asking = null;
    });
    this.#known = await this.#asking;
    return this.#known;
  }

  async #ask(upstream: Upstream): Promise<string | null> {
    try {
      const answer = await collect(
        upstream,
        { method: 'GET', path: '/models', query: '', headers: {}, body: null },
        { bytesMax: this.#limits.outputBodyBytesMax, gone: new AbortController().signal },
      );
      if (answer.head.status >= 400) return null;
      const list = member(parseJson(answer.body.toString('utf8'), this.#limits.jsonDepthMax), 'data');
      return list?.kind === 'array' ? stringMember(list.items[0], 'id') : null;
    } catch (error) {
      // A refusal that quotes our key is one like any other: nobody but us reads it.
      const blocked = error instanceof GatewayError && error.code === 'content_filter';
      if (blocked || error instanceof JsonError) return null;
      throw error;
    }
  }
}
