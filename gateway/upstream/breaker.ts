/** Leaves a provider alone for a while after so many failures in a row. State of this process; no I/O, no own clock. */

export interface BreakerOptions {
  readonly failuresMax: number;
  readonly openMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly onChange: (open: boolean) => void;
}

/** One attempt at the provider. The first of `succeeded`, `failed` and `released` counts. */
export interface Permit {
  /** The provider took the request and answers: a trial has done its work, however long the answer is. */
  answered(): void;
  succeeded(): void;
  failed(): void;
  /** Nothing was learnt, such as when the client left. */
  released(): void;
}

export class Breaker {
  readonly #options: BreakerOptions;
  #failures = 0;
  /** When it opened; null while it is closed. */
  #openedAt: number | null = null;
  #trial = false;
  /** Counts changes of state: what began before one says nothing about the time after. */
  #epoch = 0;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /** Null while the provider is to be left alone. Whoever gets a permit must end it. */
  enter(): Permit | null {
    if (this.#openedAt === null) return this.#permit(false);
    if (this.#trial || this.waitMs > 0) return null;
    this.#trial = true;
    return this.#permit(true);
  }

  /** Milliseconds until a trial may be made; 0 when one may be, or is being, made now. */
  get waitMs(): number {
    if (this.#openedAt === null) return 0;
    return Math.max(0, this.#openedAt + this.#options.openMs - this.#options.now());
  }

  #permit(forTrial: boolean): Permit {
    let trial = forTrial;
    let ended = false;
    let epoch = this.#epoch;
    const end = (apply: () => void): void => {
      if (ended) return;
      ended = true;
      if (trial) this.#trial = false;
      if (epoch === this.#epoch) apply();
    };
    const answered = (): void => {
      if (ended || !trial) return;
      trial = false;
      this.#trial = false;
      this.#close();
      // It goes on as an attempt like any other.
      epoch = this.#epoch;
    };
    return {
      answered,
      succeeded: () => {
        answered();
        end(() => {
          this.#failures = 0;
        });
      },
      failed: () =>
        end(() => {
          this.#failures += 1;
          if (trial || this.#failures >= this.#options.failuresMax) this.#open();
        }),
      released: () => end(() => {}),
    };
  }

  #open(): void {
    this.#openedAt = this.#options.now();
    this.#epoch += 1;
    this.#options.onChange(true);
  }

  #close(): void {
    this.#openedAt = null;
    this.#failures = 0;
    this.#epoch += 1;
    this.#options.onChange(false);
  }
}
