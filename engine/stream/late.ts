/**
 * Second stage for canaries: encoded runs that only decoding opens, such as base64 of hex. It looks at the text in
 * overlapping windows and runs beside the stream, so what it finds may be out already; then the rest is stopped.
 * Work is linear: every character is decoded at most twice per window length.
 */
import type { Limits } from '../../config/schema.ts';
import { buildViews } from '../views/ladder.ts';

/** Carried into the next window so that a run on the border is seen whole. */
const OVERLAP_CHARS = 1024;
/** Runs that could hold an encoded token. Linear: no two quantifiers can read the same character. */
const ENCODED_RUNS = /[A-Za-z0-9+/=_-]{24,}|(?:[0-9A-Fa-f]{2}[ :,]){12,}/g;

export interface LateStageOptions {
  readonly limits: Limits;
  /** True when the decoded text holds a canary. */
  readonly scan: (decoded: string) => boolean;
}

export class LateStage {
  readonly #options: LateStageOptions;
  #window = '';
  found = false;
  /** A decoding budget ran out, so an encoded run stayed closed. */
  exceeded = false;

  constructor(options: LateStageOptions) {
    this.#options = options;
  }

  push(text: string): void {
    this.#window += text;
    if (this.#window.length < this.#options.limits.lateWindowCharsMax) return;
    this.#look();
    this.#window = this.#window.slice(-OVERLAP_CHARS);
  }

  end(): void {
    this.#look();
    this.#window = '';
  }

  #look(): void {
    const runs = this.found ? null : this.#window.match(ENCODED_RUNS);
    if (runs === null) return;
    // Only the runs are decoded; side by side on lines they read like one wrapped text where they were one.
    const { views, exceeded } = buildViews(runs.join('\n'), this.#options.limits);
    this.exceeded ||= exceeded.length > 0;
    this.found = views.some((view) => view.decodedFrom.length > 0 && this.#options.scan(view.text));
  }
}
