/**
 * What providers keep for clients: stored responses and their items. The gateway notes whose they are, which canaries
 * they carry, and, sealed, the latest of the prompts behind them, so that a prompt that continues one is read together
 * with what came before, and nobody reads another tenant's.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Role, Segment } from '../engine/types.ts';
import { GatewayError } from './errors.ts';
import { Lru } from './lru.ts';
import type { Secrets } from './secrets.ts';
import type { KeptRecord, Store } from './store/port.ts';
import type { EchoFormat } from './stream/echoes.ts';
import type { Continued } from './wire/request.ts';

const HOUR_MS = 3_600_000;
/** Further items of one response are not known by their own ids. */
const ITEMS_MAX = 256;
/** Items one request may refer to. */
const REFERENCES_MAX = 1_024;
/** Canaries of a chain of responses that its next answer is checked for, the latest first; one request plants up to 24. */
const TOKENS_MAX = 48;

/** Trusted texts of a chain of responses that are known again when the provider repeats them, the latest first. */
const OWN_MAX = 64;
/** Records on their way to the disk; a client may go on before it has them. */
const PENDING_MAX = 4_096;
/** Some providers pack state into ids; longer ones are known by their digest. */
const ID_CHARS_MAX = 128;

const ROLES = ['user', 'assistant', 'tool', 'document'] as const satisfies readonly Role[];

const contentSchema = z.strictObject({
  tokens: z.array(z.string()),
  planted: z.array(z.string()),
  own: z.array(z.string()),
  history: z.array(z.strictObject({ role: z.enum(ROLES), text: z.string() })),
});

type Content = z.infer<typeof contentSchema>;
export type HistoryTurn = Content['history'][number];

/** What a request goes on from. */
export interface Continuation {
  /** Earlier untrusted texts, oldest first; they have no place in the body. */
  readonly segments: readonly Segment[];
  /** Canaries that the earlier prompts carry, and the lines they travel in. */
  readonly tokens: readonly string[];
  readonly planted: readonly string[];
  /** Digests of the trusted texts, as the client wrote them. */
  readonly own: readonly string[];
  /** Null when nothing is continued. */
  readonly provider: string | null;
}

export const NOTHING_CONTINUED: Continuation = { segments: [], tokens: [], planted: [], own: [], provider: null };

export interface KeepItemsRequest {
  readonly tenant: string;
  readonly provider: string;
  readonly responseId: string;
  readonly itemIds: readonly string[];
  readonly tokens: readonly string[];
}

export interface KeepRequest extends KeepItemsRequest {
  readonly planted: readonly string[];
  readonly own: readonly string[];
  readonly history: readonly HistoryTurn[];
}

export interface KeptDeps {
  readonly store: Store;
  readonly secrets: Secrets;
  readonly now: () => number;
  readonly keptHours: number;
  readonly historyCharsMax: number;
}

export class Kept {
  readonly #deps: KeptDeps;
  readonly #pending = new Lru<KeptRecord>(PENDING_MAX);

  constructor(deps: KeptDeps) {
    this.#deps = deps;
  }

  /** Looks up what a request continues. Throws `not_found` for what the tenant does not have. */
  async continue(tenant: string, { responseId, itemIds }: Continued): Promise<Continuation> {
    if (itemIds.length > REFERENCES_MAX) {
      throw new GatewayError('invalid_request', {
        message: `A request may refer to ${REFERENCES_MAX} items.`,
        param: '/input',
      });
    }
    const response = responseId === null ? null : await this.response(tenant, responseId, '/previous_response_id');
    let provider = response?.provider ?? null;
    const tokens = new Set(response?.tokens);
    for (const id of new Set(itemIds)) {
      const record = await this.#record(tenant, id, '/input');
      if (provider !== null && provider !== record.provider) throw unknownId('/input');
      provider = record.provider;
      // What the model thought about its prompt may repeat it.
      for (const token of this.#open(record)?.tokens ?? []) tokens.add(token);
    }
    return { ...(response ?? NOTHING_CONTINUED), tokens: [...tokens].slice(0, TOKENS_MAX), provider };
  }

  /** A stored response. Throws `not_found`. */
  async response(tenant: string, id: string, param: string | null = null): Promise<Continuation> {
    const record = await this.#record(tenant, id, param);
    const content = this.#open(record);
    if (content === null) throw unknownId(param);
    const segments = content.history.map(
      ({ role, text }, index): Segment => ({
        role,
        path: `/previous_response_id#${index}`,
        mime: 'text/plain',
        text,
        trusted: false,
      }),
    );
    const { tokens, planted, own } = content;
    return { segments, tokens, planted, own, provider: record.provider };
  }

  /** Notes a response and its items. Resolves when the store has them. */
  async keep({ tenant, provider, responseId, itemIds, history, ...request }: KeepRequest): Promise<void> {
    const createdAt = this.#deps.now();
    const common = { tenant, provider, createdAt, expiresAt: createdAt + this.#deps.keptHours * HOUR_MS };
    const tokens = request.tokens.slice(0, TOKENS_MAX);
    const planted = [...new Set(request.planted)].slice(0, OWN_MAX);
    const own = [...new Set(request.own)].slice(0, OWN_MAX);
    const kept = { tokens, planted, own, history: latest(history, this.#deps.historyCharsMax) };
    await this.#put([
      this.#seal(common, responseId, kept),
      ...bounded(itemIds, responseId).map((id) => this.#seal(common, id, itemOf(tokens))),
    ]);
  }

  /** Notes the items of a response that is not stored itself. */
  async keepItems({ tenant, provider, responseId, itemIds, tokens }: KeepItemsRequest): Promise<void> {
    const createdAt = this.#deps.now();
    const common = { tenant, provider, createdAt, expiresAt: createdAt + this.#deps.keptHours * HOUR_MS };
    const item = itemOf(tokens.slice(0, TOKENS_MAX));
    await this.#put(bounded(itemIds, responseId).map((id) => this.#seal(common, id, item)));
  }

  /** Notes items of a response that came to be after its first answer. */
  async addItems(tenant: string, responseId: string, itemIds: readonly string[]): Promise<void> {
    const response = await this.#record(tenant, responseId, null);
    const tokens = this.#open(response)?.tokens ?? [];
    const now = this.#deps.now();
    const added: KeptRecord[] = [];
    for (const id of bounded(itemIds, responseId)) {
      const known = await this.#deps.store.kept(tenant, storedId(id), now);
      if (known === null) added.push(this.#seal(response, id, itemOf(tokens)));
    }
    await this.#put(added);
  }

  /** False when there was none. */
  forget(tenant: string, id: string): Promise<boolean> {
    this.#pending.delete(keyOf(tenant, storedId(id)));
    return this.#deps.store.removeKept(tenant, storedId(id));
  }

  #seal(common: Omit<KeptRecord, 'id' | 'sealed'>, given: string, content: Content): KeptRecord {
    const { tenant, provider, createdAt, expiresAt } = common;
    const id = storedId(given);
    const sealed = this.#deps.secrets.seal(Buffer.from(JSON.stringify(content), 'utf8'), aad(tenant, id));
    return { id, tenant, provider, sealed, createdAt, expiresAt };
  }

  async #put(records: readonly KeptRecord[]): Promise<void> {
    // A write waits for the disk, whether or not there is something to write.
    if (records.length === 0) return;
    for (const one of records) this.#pending.set(keyOf(one.tenant, one.id), one);
    try {
      await this.#deps.store.putKept(records);
    } finally {
      // From here on the store knows better: another process may forget what this one has kept.
      for (const one of records) {
        const key = keyOf(one.tenant, one.id);
        if (this.#pending.get(key) === one) this.#pending.delete(key);
      }
    }
  }

  async #record(tenant: string, given: string, param: string | null): Promise<KeptRecord> {
    const id = storedId(given);
    const record = this.#pending.get(keyOf(tenant, id)) ?? (await this.#deps.store.kept(tenant, id, this.#deps.now()));
    if (record === null) throw unknownId(param);
    return record;
  }

  #open({ sealed, tenant, id }: KeptRecord): Content | null {
    const plain = this.#deps.secrets.open(sealed, aad(tenant, id));
    if (plain === null) return null;
    const parsed = contentSchema.safeParse(JSON.parse(Buffer.from(plain).toString('utf8')));
    return parsed.success ? parsed.data : null;
  }
}

/** The ids of items, each once and not too many. */
function bounded(itemIds: readonly string[], responseId: string): string[] {
  return [...new Set(itemIds)].filter((id) => id !== responseId).slice(0, ITEMS_MAX);
}

/** Of an item, only what the prompt behind it carried matters. */
function itemOf(tokens: readonly string[]): Content {
  return { tokens: [...tokens], planted: [], own: [], history: [] };
}

/** The last `charsMax` characters of a history, whole turns and the end of one. */
function latest(history: readonly HistoryTurn[], charsMax: number): HistoryTurn[] {
  const kept: HistoryTurn[] = [];
  let left = charsMax;
  for (const turn of history.toReversed()) {
    if (left <= 0) break;
    const text = turn.text.slice(-left);
    kept.push({ role: turn.role, text });
    left -= text.length;
  }
  return kept.reverse();
}

/** The same for what does not exist and for what is somebody else's. */
export function unknownId(param: string | null): GatewayError {
  return new GatewayError('not_found', {
    message: 'There is no such response or item.',
    ...(param !== null && { param }),
  });
}

function keyOf(tenant: string, id: string): string {
  return JSON.stringify([tenant, id]);
}

function aad(tenant: string, id: string): string {
  return `kept/${tenant}/${id}`;
}

/** A name the store can have. */
function storedId(id: string): string {
  return id.length <= ID_CHARS_MAX && !id.includes('\0') ? id : `sha256:${digestOf(id)}`;
}

/** Stands for a text of the client. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('base64url');
}

/**
 * What a provider repeats of the prompt, without the lines that were planted in it.
 * @param own digests of the client's trusted texts
 */
export function echoesOf(planted: readonly string[], own: readonly string[]): Required<EchoFormat> {
  // The longest first: the line of an empty text is a part of every other one with its token.
  const lines = [...new Set(planted)].filter((line) => line !== '').sort((a, b) => b.length - a.length);
  const texts = new Set(own);
  const isOwn = (text: string): boolean => texts.has(digestOf(text));
  return {
    // A text that came with a line of ours keeps it, even where the same line was planted in another.
    restore: (text) => (isOwn(text) ? text : lines.reduce((rest, line) => rest.replaceAll(line, ''), text)),
    isOwn,
  };
}
