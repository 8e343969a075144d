/**
 * What providers keep for clients: stored responses and their items. The gateway notes whose they are, which canaries
 * they carry, and, sealed, the latest of the prompts behind them, so that a prompt that continues one is read together
 * with what came before, and nobody reads another tenant's.
 */
import { z } from 'zod';
import type { Role, Segment } from '../engine/types.ts';
import { GatewayError } from './errors.ts';
import { Lru } from './lru.ts';
import type { Secrets } from './secrets.ts';
import type { KeptRecord, Store } from './store/port.ts';
import type { Continued } from './wire/request.ts';

const HOUR_MS = 3_600_000;
/** Further items of one response are not known by their own ids. */
const ITEMS_MAX = 128;
/** Items one request may refer to. */
const REFERENCES_MAX = 256;
/** Canaries of a chain of responses that its next answer is checked for, the latest first. */
const TOKENS_MAX = 16;

/** Records remembered here, since a client may go on before the disk has them. */
const RECENT_MAX = 4_096;

const ROLES = ['user', 'assistant', 'tool', 'document'] as const satisfies readonly Role[];

const contentSchema = z.strictObject({
  tokens: z.array(z.string()),
  planted: z.array(z.string()),
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
  /** Null when nothing is continued. */
  readonly provider: string | null;
}

export const NOTHING_CONTINUED: Continuation = { segments: [], tokens: [], planted: [], provider: null };

export interface KeepRequest {
  readonly tenant: string;
  readonly provider: string;
  readonly responseId: string;
  readonly itemIds: readonly string[];
  readonly tokens: readonly string[];
  readonly planted: readonly string[];
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
  readonly #recent = new Lru<KeptRecord>(RECENT_MAX);

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
    for (const id of itemIds) {
      const record = await this.#record(tenant, id, '/input');
      if (provider !== null && provider !== record.provider) throw unknown('/input');
      provider = record.provider;
    }
    return { ...(response ?? NOTHING_CONTINUED), provider };
  }

  /** A stored response. Throws `not_found`. */
  async response(tenant: string, id: string, param: string | null = null): Promise<Continuation> {
    const record = await this.#record(tenant, id, param);
    const content = this.#open(record);
    if (content === null) throw unknown(param);
    const segments = content.history.map(
      ({ role, text }, index): Segment => ({
        role,
        path: `/previous_response_id#${index}`,
        mime: 'text/plain',
        text,
        trusted: false,
      }),
    );
    return { segments, tokens: content.tokens, planted: content.planted, provider: record.provider };
  }

  /** Notes a response and its items. Resolves when the store has them. */
  async keep({ tenant, provider, responseId, itemIds, tokens, planted, history }: KeepRequest): Promise<void> {
    const createdAt = this.#deps.now();
    const expiresAt = createdAt + this.#deps.keptHours * HOUR_MS;
    const record = (id: string, content: Content): KeptRecord => {
      const sealed = this.#deps.secrets.seal(Buffer.from(JSON.stringify(content), 'utf8'), aad(tenant, id));
      return { id, tenant, provider, sealed, createdAt, expiresAt };
    };
    const empty: Content = { tokens: [], planted: [], history: [] };
    const records = [
      record(responseId, {
        tokens: tokens.slice(0, TOKENS_MAX),
        planted: planted.slice(0, TOKENS_MAX),
        history: latest(history, this.#deps.historyCharsMax),
      }),
      ...[...new Set(itemIds)].slice(0, ITEMS_MAX).map((id) => record(id, empty)),
    ];
    for (const one of records) this.#recent.set(keyOf(tenant, one.id), one);
    await this.#deps.store.putKept(records);
  }

  /** False when there was none. */
  forget(tenant: string, id: string): Promise<boolean> {
    this.#recent.delete(keyOf(tenant, id));
    return this.#deps.store.removeKept(tenant, id);
  }

  async #record(tenant: string, id: string, param: string | null): Promise<KeptRecord> {
    const now = this.#deps.now();
    const recent = this.#recent.get(keyOf(tenant, id));
    const record =
      recent !== undefined && recent.expiresAt > now ? recent : await this.#deps.store.kept(tenant, id, now);
    if (record === null) throw unknown(param);
    return record;
  }

  #open({ sealed, tenant, id }: KeptRecord): Content | null {
    const plain = this.#deps.secrets.open(sealed, aad(tenant, id));
    if (plain === null) return null;
    const parsed = contentSchema.safeParse(JSON.parse(Buffer.from(plain).toString('utf8')));
    return parsed.success ? parsed.data : null;
  }
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

function unknown(param: string | null): GatewayError {
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

/** Puts the client's own words back: the text without the lines that were planted in it. */
export function restorer(planted: readonly string[]): (text: string) => string {
  const lines = [...new Set(planted)].filter((line) => line !== '');
  if (lines.length === 0) return (text) => text;
  return (text) => lines.reduce((rest, line) => rest.replaceAll(line, ''), text);
}
