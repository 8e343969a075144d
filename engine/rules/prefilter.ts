/** Says in one pass over a text which patterns may match it. Never answers "no" wrongly; see `relax`. */
import { BORDER, relax } from './relax.ts';
import { FixedStrings, fold } from './strings.ts';

/** One alternative of a pattern, looked at when its last need occurs. */
interface Entry<T> {
  readonly value: T;
  /** The other needs. */
  readonly before: readonly Group<T>[];
  readonly reachWords: number;
  /** The scan that listed it last, and the words begun when its needs were first and last met in that scan. */
  scan: number;
  first: number;
  last: number;
}

/** A pattern that may match, and the byte range outside which it does not. */
export interface Candidate<T> {
  readonly value: T;
  readonly from: number;
  readonly to: number;
}

/** One need, shared by all entries that have it. */
interface Group<T> {
  /** Words begun in the text when it last occurred. */
  words: number;
  scan: number;
  /** Entries whose last need this is. */
  readonly last: Entry<T>[];
}

export class Prefilter<T> {
  /** Index of each fixed string; shared lexicons make most strings and needs shared. */
  readonly #index = new Map<string, number>();
  readonly #groups = new Map<string, Group<T>>();
  readonly #groupsOf: Group<T>[][] = [];
  #strings = new FixedStrings([]);
  #scan = 0;

  add(pattern: string, value: T): void {
    for (const { needs, reachWords } of relax(pattern)) {
      const groups = needs.map((need) => this.#group(need));
      const last = groups.pop() as Group<T>;
      last.last.push({ value, before: [...new Set(groups)], reachWords, scan: 0, first: 0, last: 0 });
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

  /** What may match `text`; `bytes` is `text` in UTF-8. */
  candidates(text: string, bytes: Buffer): Candidate<T>[] {
    const scan = ++this.#scan;
    const listed: Entry<T>[] = [];
    const ascii = bytes.length === text.length;
    // These fold to ASCII letters without being word characters to RE2: borders and word counts say nothing then.
    const plain = ascii || !(text.includes('\u017f') || text.includes('\u212a') || text.includes('\u0130'));
    const starts = this.#strings.match(ascii ? bytes : Buffer.from(fold(text), 'utf8'), plain, (index, words) => {
      for (const group of this.#groupsOf[index] as Group<T>[]) {
        group.words = words;
        group.scan = scan;
        for (const entry of group.last) {
          if (!isNear(entry, scan, plain ? words - entry.reachWords : 0)) continue;
          if (entry.scan !== scan) {
            entry.scan = scan;
            entry.first = words;
            listed.push(entry);
          }
          entry.last = words;
        }
      }
    });
    // Offsets in folded text are not those of the text.
    if (!ascii) return listed.map(({ value }) => ({ value, from: 0, to: bytes.length }));
    return listed.map((entry) => ({ value: entry.value, ...range(entry, starts, bytes.length) }));
  }

  #group(need: readonly string[]): Group<T> {
    const key = [...need].sort().join('\n');
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const group: Group<T> = { words: 0, scan: 0, last: [] };
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

/** All other needs occurred in this scan, no more than a match's length ago. */
function isNear<T>(entry: Entry<T>, scan: number, from: number): boolean {
  for (const group of entry.before) if (group.scan !== scan || group.words < from) return false;
  return true;
}

/** From the last word that a match cannot hold to the first such word after it; one byte more on each side for `\b`. */
function range<T>(entry: Entry<T>, starts: readonly number[], length: number): { from: number; to: number } {
  const before = starts[entry.first - 1 - entry.reachWords];
  const after = starts[entry.last + entry.reachWords];
  return { from: Math.max(0, (before ?? 0) - 1), to: after === undefined ? length : after + 1 };
}
