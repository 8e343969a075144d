/** Says in one pass over a text which patterns may match it. Never answers "no" wrongly; see `relax`. */
import { BORDER, type Need, relax } from './relax.ts';
import { FixedStrings, fold, wordStarts } from './strings.ts';

/** One alternative of a pattern: its needs must occur in order, within the length of a match. */
interface Entry<T> {
  readonly value: T;
  readonly needs: number;
  readonly reachWords: number;
  /** Per need: the latest word at which an ordered run of needs up to it began; 0 for none. */
  readonly began: Int32Array;
  /** The scan that `began` belongs to. */
  scan: number;
  /** Words begun when all needs were first and last met in that scan; 0 for never. */
  first: number;
  last: number;
}

/** One need, shared by all entries that have it. */
type Group<T> = { readonly entry: Entry<T>; readonly place: number }[];

/** A pattern that may match, and the byte range outside which it does not. */
export interface Candidate<T> {
  readonly value: T;
  readonly from: number;
  readonly to: number;
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
      const began = new Int32Array(needs.length);
      const entry: Entry<T> = { value, needs: needs.length, reachWords, began, scan: 0, first: 0, last: 0 };
      // From the last: a string that is in two needs of one entry must not count for both at once.
      for (let place = needs.length - 1; place >= 0; place--) this.#group(needs[place] as Need).push({ entry, place });
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
    const folded = ascii ? bytes : Buffer.from(fold(text), 'utf8');
    const starts = this.#strings.match(folded, plain, (index, words) => {
      for (const group of this.#groupsOf[index] as Group<T>[]) {
        for (const { entry, place } of group) {
          if (entry.scan !== scan) restart(entry, scan);
          if (meets(entry, place, words, plain) && place === entry.needs - 1) {
            if (entry.first === 0) {
              entry.first = words + 1;
              listed.push(entry);
            }
            entry.last = words + 1;
          }
        }
      }
    });
    if (listed.length === 0) return [];
    if (!plain) return listed.map(({ value }) => ({ value, from: 0, to: bytes.length }));
    // Folding moves bytes, but it keeps the words.
    const own = ascii ? starts : wordStarts(bytes);
    return listed.map((entry) => ({ value: entry.value, ...range(entry, own, bytes.length) }));
  }

  #group(need: Need): Group<T> {
    const key = [...need].sort().join('\n');
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const group: Group<T> = [];
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

function restart<T>(entry: Entry<T>, scan: number): void {
  entry.scan = scan;
  entry.first = 0;
  entry.last = 0;
  entry.began.fill(0);
}

/** Notes an occurrence; true when the needs up to `place` occurred in order, no more than a match's length apart. */
function meets<T>(entry: Entry<T>, place: number, words: number, near: boolean): boolean {
  if (place === 0) {
    entry.began[0] = words + 1;
    return true;
  }
  const began = entry.began[place - 1] as number;
  if (began === 0 || (near && words + 1 - began > entry.reachWords)) return false;
  entry.began[place] = began;
  return true;
}

/** From the last word that a match cannot hold to the first such word after it; one byte more on each side for `\b`. */
function range<T>(entry: Entry<T>, starts: readonly number[], length: number): { from: number; to: number } {
  const before = starts[entry.first - 2 - entry.reachWords];
  const after = starts[entry.last - 1 + entry.reachWords];
  return { from: Math.max(0, (before ?? 0) - 1), to: after === undefined ? length : after + 1 };
}
