/** The demo provider's memory of its responses: the latest few, until it stops. */
import type { DemoTurn } from './answers.ts';

export const RESPONSES_MAX = 64;
/** Of all kept responses together, by the bodies they came from. */
const CHARS_MAX = 4 * 1024 * 1024;

export interface KeptResponse {
  readonly response: { readonly id: string } & Readonly<Record<string, unknown>>;
  /** The pieces its stream sends. */
  readonly words: readonly string[];
  /** As listed: with ids and typed parts. */
  readonly input: readonly { readonly id: string }[];
  /** What a response that continues this one starts from; instructions are not carried on. */
  readonly turns: readonly DemoTurn[];
  readonly chars: number;
}

export class ResponseMemory {
  readonly #kept = new Map<string, KeptResponse>();
  #chars = 0;

  get(id: string): KeptResponse | undefined {
    return this.#kept.get(id);
  }

  /** Forgets the oldest until all fit; what could never fit is not kept. */
  keep(kept: KeptResponse): void {
    if (kept.chars > CHARS_MAX) return;
    this.#kept.set(kept.response.id, kept);
    this.#chars += kept.chars;
    for (const id of this.#kept.keys()) {
      if (this.#kept.size <= RESPONSES_MAX && this.#chars <= CHARS_MAX) return;
      this.delete(id);
    }
  }

  delete(id: string): void {
    this.#chars -= this.#kept.get(id)?.chars ?? 0;
    this.#kept.delete(id);
  }
}
