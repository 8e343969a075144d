/** Says in one pass over a text which patterns may match it. Never answers "no" wrongly; see `relax`. */
import { BORDER, relax } from './relax.ts';
import { FixedStrings, fold } from './strings.ts';

/** One alternative of a pattern. */
interface Entry<T> {
  readonly value: T;
  /** Needs that must hold. */
  readonly wanted: number;
  held: number;
}

/** One need, shared by all entries that have it. */
interface Group<T> {
  held: boolean;
  readonly entries: Entry<T>[];
}

export class Prefilter<T> {
  /** Index of each fixed string; shared lexicons make most strings and needs shared. */
  readonly #index = new Map<string, number>();
  readonly #groups = new Map<string, Group<T>>();
  readonly #groupsOf: Group<T>[][] = [];
  #strings = new FixedStrings([]);

  add(pattern: string, value: T): void {
    for (const alternative of relax(pattern)) {
      const needs = new Map(alternative.map((need) => [[...need].sort().join('\n'), need]));
      const entry: Entry<T> = { value, wanted: needs.size, held: 0 };
      for (const [key, need] of needs) this.#group(key, need).entries.push(entry);
    }
  }

  /** Builds the automaton; nothing can be added afterwards. */
  seal(): void {
    this.#strings = new FixedStrings(
      [...this.#index.keys()].map((text) => ({
        text: text.replaceAll(BORDER, ''),
        borderBefore: text.startsWith(BORDER),
        borderAfter: text.endsWith(BORDER),
      })),
    );
  }

  /** Values whose pattern may match `text`; `bytes` is `text` in UTF-8. */
  candidates(text: string, bytes: Buffer): T[] {
    const values = new Set<T>();
    const touched: Group<T>[] = [];
    for (const index of this.#occurring(text, bytes)) {
      for (const group of this.#groupsOf[index] as Group<T>[]) {
        if (group.held) continue;
        group.held = true;
        touched.push(group);
        for (const entry of group.entries) if (++entry.held === entry.wanted) values.add(entry.value);
      }
    }
    for (const group of touched) {
      group.held = false;
      for (const entry of group.entries) entry.held = 0;
    }
    return [...values];
  }

  #occurring(text: string, bytes: Buffer): number[] {
    if (bytes.length === text.length) return this.#strings.match(bytes, true);
    // These two fold to ASCII letters but are no word characters to RE2, so borders beside them say nothing.
    const borders = !text.includes('\u017f') && !text.includes('\u212a');
    return this.#strings.match(Buffer.from(fold(text), 'utf8'), borders);
  }

  #group(key: string, need: readonly string[]): Group<T> {
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const group: Group<T> = { held: false, entries: [] };
    this.#groups.set(key, group);
    for (const text of new Set(need.map(fold))) {
      let index = this.#index.get(text);
      if (index === undefined) {
        index = this.#index.size;
        this.#index.set(text, index);
        this.#groupsOf.push([]);
      }
      (this.#groupsOf[index] as Group<T>[]).push(group);
    }
    return group;
  }
}
