/** The model of calls that name none: the configured one, else the first id of the provider's list. */
import type { Limits } from '../../config/schema.ts';
import { JsonError, member, parseJson, stringMember } from '../wire/json.ts';
import type { UpstreamClient } from './client.ts';
import { collect } from './collect.ts';

export class DefaultModel {
  readonly #client: UpstreamClient;
  readonly #limits: Limits;
  #known: string | null;
  #asking: Promise<string | null> | null = null;

  constructor(client: UpstreamClient, configured: string | null, limits: Limits) {
    this.#client = client;
    this.#limits = limits;
    this.#known = configured;
  }

  /** Null when the provider lists none; it is then asked again next time. */
  async get(): Promise<string | null> {
    if (this.#known !== null) return this.#known;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    this.#known = await this.#asking;
    return this.#known;
  }

  async #ask(): Promise<string | null> {
    const answer = await collect(
      this.#client,
      { method: 'GET', path: '/models', headers: {}, body: null },
      { bytesMax: this.#limits.outputBodyBytesMax, gone: new AbortController().signal },
    );
    if (answer.head.status >= 400) return null;
    try {
      const list = member(parseJson(answer.body.toString('utf8'), this.#limits.jsonDepthMax), 'data');
      return list?.kind === 'array' ? stringMember(list.items[0], 'id') : null;
    } catch (error) {
      if (error instanceof JsonError) return null;
      throw error;
    }
  }
}
