/**
 * Holds back tool calls that a model writes as text until they were judged. Reads one channel in pieces; however the
 * text is cut, the calls are those of the whole, and nothing from the marker of a call on may leave before it was
 * handed over.
 *
 * A flush gives up what is held, but not the reading: what follows is read both as its continuation and as a text of
 * its own, since it may be either. What a call means is decided elsewhere.
 */
import { type ReadingOptions, TextReading } from './reading.ts';

export interface TextGateOptions extends ReadingOptions {
  /** More would have to be held or read again; from here on nothing is read. */
  readonly onExceeded: () => void;
}

/** Readings of one channel that are undecided at once. */
const READINGS_MAX = 4;
/** So many times `heldCharsMax` may be read again for flushes. */
const REREAD_FACTOR = 8;

interface Started {
  readonly reading: TextReading;
  /** Where in the channel it begins. */
  readonly start: number;
}

export class TextGate {
  readonly #options: TextGateOptions;
  /** The first reads the whole channel, each other one from a flush on. */
  #readings: Started[];
  #length = 0;
  /** What came before the last flush is released. */
  #flushed = 0;
  #reread = 0;
  #given = false;

  constructor(options: TextGateOptions) {
    this.#options = options;
    this.#readings = [{ reading: new TextReading(options), start: 0 }];
  }

  /** Characters of the channel, from its start, that may be released. */
  get safeEnd(): number {
    if (this.#given) return Number.POSITIVE_INFINITY;
    const ends = this.#readings.map(({ reading, start }) => start + reading.safeEnd);
    return Math.max(this.#flushed, Math.min(...ends));
  }

  push(delta: string): void {
    if (this.#given || delta.length === 0) return;
    if (this.#length > 0 && this.#length === this.#flushed) {
      this.#readings.push({ reading: new TextReading(this.#options), start: this.#length });
    }
    this.#length += delta.length;
    for (const { reading } of this.#readings) reading.push(delta);
    if (this.#readings.length > 1) this.#settle();
    const { heldCharsMax } = this.#options;
    const tooMuch = this.#readings.some(({ reading }) => reading.held > heldCharsMax);
    if (tooMuch || this.#readings.length > READINGS_MAX) this.#giveUp();
  }

  /** Judges what is held as if the text ended here, and holds it no longer. */
  flush(): void {
    const fresh = this.#length - this.#flushed;
    if (this.#given || fresh === 0) return;
    // Many flushes in a long call that stays open would be quadratic.
    for (const { reading } of this.#readings) this.#reread += Math.max(0, reading.held - fresh);
    if (this.#reread > REREAD_FACTOR * this.#options.heldCharsMax) {
      this.#giveUp();
      return;
    }
    for (const { reading } of this.#readings) reading.flush();
    this.#flushed = this.#length;
  }

  /** Of the readings that go on alike only the first is kept. */
  #settle(): void {
    const first = this.#readings.find(({ reading }) => reading.clear);
    this.#readings = this.#readings.filter((started) => started === first || !started.reading.clear);
  }

  #giveUp(): void {
    this.#given = true;
    this.#readings = [];
    this.#options.onExceeded();
  }
}
