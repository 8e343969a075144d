/** Trusted texts of a /validate call: planting canaries in them, whatever the verdict is. */

import type { Limits } from '../../../config/schema.ts';
import type { Carrier } from '../../../engine/canary/derive.ts';
import { applyInsertions } from '../../../engine/canary/embed.ts';
import { tokenSkeleton } from '../../../engine/canary/needles.ts';
import type { Segment } from '../../../engine/types.ts';
import type { Deps } from '../../deps.ts';
import type { Caller } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { checkCanary, checkTextSize, type ValidateBody } from './request.ts';

export interface Warning {
  readonly code: 'weak_canary';
  readonly message: string;
  readonly pointer: string;
}

export interface Carriers {
  readonly texts: readonly { readonly carrier: Carrier; readonly text: string }[];
  /** The canary that the caller chose. */
  readonly given: string | null;
}

export interface Planted {
  readonly canarizedSystem?: string;
  readonly canarizedDeveloper?: string;
  /** Every canary that the carriers hold now. */
  readonly tokens: readonly string[];
  readonly warnings: readonly Warning[];
  readonly notes: readonly string[];
}

/** Shorter canaries occur in ordinary text. */
const STRONG_CHARS_MIN = 12;
/** A year or a counter behind words makes them no less guessable. */
const DIGITS_MAX = 4;

/** The carriers of a call. Throws 400 and 413 for what is wrong with them. */
export function readCarriers(body: ValidateBody, limits: Limits): Carriers {
  const texts: { carrier: Carrier; text: string }[] = [];
  for (const carrier of ['system', 'developer'] as const) {
    const text = body[carrier];
    if (text === null) continue;
    checkTextSize(text, `/${carrier}`, limits);
    texts.push({ carrier, text });
  }
  return { texts, given: checkCanary(body.canaryToken, '/canaryToken') };
}

/** Trusted texts as segments: counted, never scored. */
export function carrierSegments({ texts }: Carriers): Segment[] {
  return texts.map(({ carrier, text }) => ({
    role: carrier,
    path: `/${carrier}`,
    mime: 'text/plain',
    text,
    trusted: true,
  }));
}

/** Plants and registers. Resolves when the registry has every token, so that an answer can be checked at once. */
export async function plantCarriers(
  deps: Deps,
  exchange: Exchange,
  { tenant, policy }: Caller,
  { texts, given }: Carriers,
): Promise<Planted> {
  const { mode } = policy.canary;
  const notes: string[] = [];
  const warnings = given !== null && isWeak(given) ? [WEAK] : [];
  if (given !== null && texts.length === 0)
    notes.push('canaryToken: there is neither system nor developer to carry it');
  if (given !== null && mode === 'off') notes.push('canaryToken: the policy plants no canaries');
  if (mode === 'off' || (given === null && mode === 'asked')) return { tokens: [], warnings, notes };
  const tokens: string[] = [];
  const canarized: Partial<Record<Carrier, string>> = {};
  for (const { carrier, text } of texts) {
    // A prompt that says nothing has nothing to leak.
    if (text.trim() === '') {
      notes.push(`${carrier}: empty, so no canary was planted`);
      continue;
    }
    const plan =
      given !== null
        ? deps.canaries.plantGiven(text, given)
        : deps.canaries.plant({ text, carrier, tenant, policy, requestId: exchange.requestId });
    await deps.canaries.register(tenant, plan.tokens, given === null ? carrier : 'caller', policy);
    canarized[carrier] = applyInsertions(text, plan);
    tokens.push(...plan.tokens);
  }
  return {
    ...(canarized.system !== undefined && { canarizedSystem: canarized.system }),
    ...(canarized.developer !== undefined && { canarizedDeveloper: canarized.developer }),
    tokens: [...new Set(tokens)],
    warnings,
    notes,
  };
}

const WEAK: Warning = {
  code: 'weak_canary',
  message: `A canary of at least ${STRONG_CHARS_MIN} random characters gives no false hits; this one may.`,
  pointer: '/canaryToken',
};

/** Short, or made of words. */
function isWeak(token: string): boolean {
  if (tokenSkeleton(token).length < STRONG_CHARS_MIN) return true;
  const words = token.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== '');
  const digits = token.replace(/[^0-9]/g, '').length;
  // Linear: the alternatives begin with different letters.
  const wordLike = (word: string): boolean => /^(?:\p{Lu}?\p{Ll}{2,}|\p{Lu}{3,})?[0-9]*$/u.test(word);
  return digits <= DIGITS_MAX && words.every(wordLike);
}
