/**
 * A view is the text as a detector wants to read it, with a map back to the original offsets.
 * Views are for matching only: what leaves the gateway is always cut from the original text.
 */
import type { Span } from '../types.ts';

/**
 * For UTF-16 unit `i` of the view, the original range it came from is `[starts[i], ends[i])`.
 * One original range may yield several view units and the other way round.
 */
export interface OffsetMap {
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

export interface View {
  /** The last transform that made it, e.g. `original`, `normal`, `folded`, `base64`. */
  readonly name: string;
  readonly text: string;
  /** Null when view offsets are original offsets. */
  readonly map: OffsetMap | null;
  /** Decoders passed through, outermost first; empty for plain views. */
  readonly decodedFrom: readonly string[];
}

/** The original range that a non-empty range of the view came from. */
export function toOriginal(view: View, span: Span): Span {
  if (view.map === null || span.end <= span.start) return span;
  const { starts, ends } = view.map;
  let start = starts[span.start] as number;
  let end = ends[span.end - 1] as number;
  // Decoders that reorder nothing keep both monotone; the loop is only needed at run borders.
  for (let i = span.start; i < span.end; i++) {
    if ((starts[i] as number) < start) start = starts[i] as number;
    if ((ends[i] as number) > end) end = ends[i] as number;
  }
  return { start, end };
}

/** Builds a view of a view: pieces are appended with the range of `base` that each came from. */
export class ViewBuilder {
  readonly #base: View;
  readonly #parts: string[] = [];
  // Grown by doubling: plain arrays of numbers cost half of a non-Latin text's scan.
  #starts: Int32Array;
  #ends: Int32Array;
  #length = 0;

  constructor(base: View) {
    this.#base = base;
    this.#starts = new Int32Array(base.text.length + 16);
    this.#ends = new Int32Array(base.text.length + 16);
  }

  /** Appends `text`, every unit of which came from `[start, end)` of the base view. */
  push(text: string, start: number, end: number): void {
    if (text.length === 0) return;
    const map = this.#base.map;
    const from = map === null ? start : (map.starts[start] as number);
    const to = map === null ? end : (map.ends[Math.max(start, end - 1)] as number);
    this.#reserve(text.length);
    this.#parts.push(text);
    this.#starts.fill(from, this.#length, this.#length + text.length);
    this.#ends.fill(to, this.#length, this.#length + text.length);
    this.#length += text.length;
  }

  /** Appends `[start, end)` of the base view unchanged. */
  copy(start: number, end: number): void {
    if (end <= start) return;
    const map = this.#base.map;
    this.#reserve(end - start);
    this.#parts.push(this.#base.text.slice(start, end));
    if (map === null) {
      for (let i = start, at = this.#length; i < end; i++, at++) {
        this.#starts[at] = i;
        this.#ends[at] = i + 1;
      }
    } else {
      this.#starts.set(map.starts.subarray(start, end), this.#length);
      this.#ends.set(map.ends.subarray(start, end), this.#length);
    }
    this.#length += end - start;
  }

  /** UTF-16 units so far. */
  get length(): number {
    return this.#length;
  }

  build(name: string, decodedFrom: readonly string[]): View {
    const map = { starts: this.#starts.slice(0, this.#length), ends: this.#ends.slice(0, this.#length) };
    return { name, text: this.#parts.join(''), map, decodedFrom };
  }

  #reserve(units: number): void {
    const needed = this.#length + units;
    if (needed <= this.#starts.length) return;
    const size = Math.max(needed, this.#starts.length * 2);
    this.#starts = grown(this.#starts, size);
    this.#ends = grown(this.#ends, size);
  }
}

function grown(array: Int32Array, size: number): Int32Array {
  const larger = new Int32Array(size);
  larger.set(array);
  return larger;
}

/** The text itself as a view. */
export function originalView(text: string): View {
  return { name: 'original', text, map: null, decodedFrom: [] };
}
