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
    if (this.found || !mayHoldRun(this.#window)) return;
    const runs = this.#window.match(ENCODED_RUNS);
    if (runs === null) return;
    // Only the runs are decoded; side by side on lines they read like one wrapped text where they were one.
    const { views, exceeded } = buildViews(runs.join('\n'), this.#options.limits);
    this.exceeded ||= exceeded.length > 0;
    this.found = views.some((view) => view.decodedFrom.length > 0 && this.#options.scan(view.text));
  }
}

/** Shortest run that `ENCODED_RUNS` finds, and its shortest form with separators, in characters. */
const RUN_CHARS_MIN = 24;
const PAIRS_CHARS_MIN = 36;

/** One pass that most text ends with: no run of characters that encodings are written in is long enough. */
function mayHoldRun(text: string): boolean {
  let run = 0;
  let loose = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const kind = code < 128 ? (KINDS[code] as number) : 0;
    run = kind === SOLID ? run + 1 : 0;
    loose = kind === 0 ? 0 : kind === SOLID && !isHexDigit(code) ? 0 : loose + 1;
    if (run >= RUN_CHARS_MIN || loose >= PAIRS_CHARS_MIN) return true;
  }
  return false;
}

const SOLID = 1;
const SEPARATOR = 2;
const KINDS = Uint8Array.from({ length: 128 }, (_, code) => {
  const char = String.fromCharCode(code);
  if (/[A-Za-z0-9+/=_-]/.test(char)) return SOLID;
  return ' :,'.includes(char) ? SEPARATOR : 0;
});

function isHexDigit(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x66);
}
