/** Says in one pass over a text which patterns may match it. Never answers "no" wrongly; see `relax`. */
import RE2 from 're2';
import { BORDER, relax } from './relax.ts';

/** One alternative of a pattern. */
interface Entry<T> {
  readonly value: T;
  /** Needs that must hold. */
  readonly wanted: number;
  held: number;
}

interface Group<T> {
  held: boolean;
  readonly entries: Entry<T>[];
}

export class Prefilter<T> {
  /** Index in the set of each fixed string; shared lexicons make most strings and needs shared. */
  readonly #strings = new Map<string, number>();
  readonly #groups = new Map<string, Group<T>>();
  readonly #groupsOfString: Group<T>[][] = [];
  #set: InstanceType<typeof RE2.Set> | null = null;

  add(pattern: string, value: T): void {
    for (const alternative of relax(pattern)) {
      const needs = new Map(alternative.map((need) => [[...need].sort().join('\n'), need]));
      const entry: Entry<T> = { value, wanted: needs.size, held: 0 };
      for (const [key, need] of needs) this.#group(key, need).entries.push(entry);
    }
  }

  /** Compiles the set; nothing can be added afterwards. */
  seal(): void {
    const sources = [...this.#strings.keys()].map(sourceOf);
    if (sources.length > 0) this.#set = new RE2.Set(sources, 'iu');
  }

  candidates(bytes: Buffer): T[] {
    const found = this.#set?.match(bytes) ?? [];
    const values = new Set<T>();
    const touched: Group<T>[] = [];
    for (const index of found) {
      for (const group of this.#groupsOfString[index] as Group<T>[]) {
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

  #group(key: string, need: readonly string[]): Group<T> {
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const group: Group<T> = { held: false, entries: [] };
    this.#groups.set(key, group);
    for (const text of need) {
      let index = this.#strings.get(text);
      if (index === undefined) {
        index = this.#strings.size;
        this.#strings.set(text, index);
        this.#groupsOfString.push([]);
      }
      (this.#groupsOfString[index] as Group<T>[]).push(group);
    }
    return group;
  }
}

/**
 * `k` and `s` fold to a Kelvin sign and a long s, which are no ASCII word characters: without their own branch a border
 * next to them would miss what the exact pattern matches.
 */
function sourceOf(text: string): string {
  return text
    .replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
    .replaceAll(BORDER, '\\b')
    .replace(/^\\b([ks])/i, (_, letter: string) => `(?:\\b${letter}|${FOLDED[letter.toLowerCase()]})`)
    .replace(/([ks])\\b$/i, (_, letter: string) => `(?:${letter}\\b|${FOLDED[letter.toLowerCase()]})`);
}

const FOLDED: Readonly<Record<string, string>> = { k: '\u212a', s: '\u017f' };
