/**
 * Turns an exact pattern into what the shared prefilter looks for: fixed strings only.
 *
 * Counted repetition in an `RE2.Set` multiplies DFA states: 205 patterns with gaps such as `[^.\n]{0,40}` took 30 ms for
 * 2 KB of random base64 (re2 1.27.1, Node 20). Cutting the patterns at their gaps was not enough for rules that share long
 * alternations: the same 56 rules took 8 ms for 2 KB of ordinary prose, since each trigger word kept a different mix of
 * alternatives alive. An automaton over fixed strings cannot grow so: it has at most one state per byte of the strings. So
 * a pattern becomes, per top-level alternative, a list of needs, each a list of strings of which one must occur. Strings end
 * where a counter, a gap or a class begins. The prefilter may therefore answer "maybe" too often, never "no" wrongly.
 */

/** One of these strings occurs in every match. */
export type Need = readonly string[];

/** What every match of one top-level alternative holds. */
export interface Relaxed {
  /** In the order in which they occur. */
  readonly needs: readonly Need[];
  /** A match holds at most this many beginnings of ASCII words; infinite when a wide class repeats without bound. */
  readonly reachWords: number;
}

/** More spellings than this are not multiplied out. */
const SPELLINGS_MAX = 24;
/** Alternatives of one group. */
const CHOICES_MAX = 512;
/** Shorter strings are found nearly everywhere and say nothing; a character beyond ASCII counts double. */
const WEIGHT_MIN = 2;
/** Needs with a shorter string are dropped where a better one is known: they cost more than they rule out. */
const WEIGHT_TELLING = 3;
/** Words that stand in nearly every English text. */
const COMMON: ReadonlySet<string> = new Set(
  'the all any and you your this that its our here now was are not what for from with but me will can has have'.split(
    ' ',
  ),
);

/** Stands for `\b` inside a fixed string, so that short words are not found inside long ones. */
export const BORDER = '\u0008';
interface Node {
  /** Everything that the node can match, or null when that is not a short list. */
  readonly exact: readonly string[] | null;
  /** Known needs when `exact` is null. */
  readonly needs: readonly Need[];
  /** Upper bound of the beginnings of ASCII words in a match. */
  readonly words: number;
  /** A class: `blank` has no word character, so a word next to it has a border there; `word` has nothing else. */
  readonly class?: 'blank' | 'word' | 'wide';
}

const BLANK: Node = { exact: null, needs: [], words: 0, class: 'blank' };
const WORD: Node = { exact: null, needs: [], words: 1, class: 'word' };
const WIDE: Node = { exact: null, needs: [], words: 1, class: 'wide' };
const EMPTY: Node = fixed(['']);

/** One entry per top-level alternative: all of its needs hold in every text that it matches. */
export function relax(pattern: string): readonly Relaxed[] {
  const reader = new Reader(pattern);
  const branches = reader.branches();
  reader.expectEnd();
  return branches.map((branch) => {
    const needs = needsOf(branch);
    if (needs.length === 0) throw new Error(`nothing fixed to look for in /${pattern}/`);
    const telling = needs.filter((need) => weight(need) >= WEIGHT_TELLING);
    return { needs: telling.length > 0 ? telling : needs, reachWords: branch.words };
  });
}

function needsOf(node: Node): readonly Need[] {
  if (node.exact === null) return node.needs;
  return weight(node.exact) >= WEIGHT_MIN ? [node.exact] : [];
}

/** Of the string that says least. */
function weight(need: Need): number {
  let least = Infinity;
  for (const text of need) {
    let sum = 0;
    for (const char of text) if (char !== BORDER) sum += char < '\u0080' ? 1 : 2;
    least = Math.min(least, COMMON.has(text.replaceAll(BORDER, '')) ? WEIGHT_MIN : sum);
  }
  return least;
}

function concat(items: readonly Node[]): Node {
  if (items.length === 1) return items[0] as Node;
  const needs: Need[] = [];
  let run: readonly string[] = [''];
  let words = 0;
  let broken = false;
  const flush = (): void => {
    if (weight(run) >= WEIGHT_MIN) needs.push(run);
    words += wordsOf(run);
    broken = true;
    run = [''];
  };
  for (const node of items) {
    const { exact } = node;
    if (exact !== null && (run.length === 1 || run.length * exact.length <= SPELLINGS_MAX)) {
      run = distinct(run.flatMap((head) => exact.map((tail) => join(head, tail))));
      continue;
    }
    if (node.class === 'blank') run = distinct(run.map((text) => join(text, BORDER)));
    flush();
    if (exact !== null) {
      run = exact;
    } else {
      needs.push(...node.needs);
      words += node.words;
      if (node.class === 'blank') run = [BORDER];
    }
  }
  if (!broken) return fixed(run);
  flush();
  return { exact: null, needs, words };
}

function fixed(exact: readonly string[]): Node {
  return { exact, needs: [], words: wordsOf(exact) };
}

function wordsOf(texts: readonly string[]): number {
  return Math.max(...texts.map((text) => text.match(/\w+/g)?.length ?? 0));
}

/** A border says something next to an ASCII word character only: `\b` sees no others. */
function join(head: string, tail: string): string {
  if (tail === BORDER) return head === '' || /[a-z0-9]$/i.test(head) ? head + BORDER : head;
  if (head.endsWith(BORDER) && !/^[a-z0-9]/i.test(tail) && tail !== '') return head.slice(0, -1) + tail;
  return head + tail;
}

function choose(branches: readonly Node[]): Node {
  if (branches.length === 1) return branches[0] as Node;
  const exact: string[] = [];
  if (branches.every((branch) => branch.exact !== null && exact.push(...branch.exact) <= CHOICES_MAX)) {
    return fixed(distinct(exact));
  }
  const best = branches.map((branch) => [...needsOf(branch)].sort((a, b) => weight(b) - weight(a))[0]);
  const needs = best.every((need) => need !== undefined) ? [distinct(best.flat())] : [];
  return { exact: null, needs, words: Math.max(...branches.map((branch) => branch.words)) };
}

function repeat(node: Node, min: number, max: number): Node {
  if (min === 1 && max === 1) return node;
  if (max === 1 && node.exact !== null) return fixed(distinct([...node.exact, '']));
  if (node.class === 'blank' && min > 0) return BLANK;
  return { exact: null, needs: min === 0 ? [] : needsOf(node), words: wordsRepeated(node, max) };
}

function wordsRepeated(node: Node, max: number): number {
  if (node.words === 0) return 0;
  if (node.class === 'word') return 1;
  // Every other character of a wide class may begin a word.
  return node.class === 'wide' ? Math.ceil((max + 1) / 2) : node.words * max;
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}

/** A recursive-descent reader of the part of RE2's syntax that rules use; the rest is refused. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  expectEnd(): void {
    if (this.#at < this.#text.length) this.#fail('unbalanced )');
  }

  branches(): Node[] {
    const all: Node[][] = [[]];
    while (this.#at < this.#text.length && this.#text[this.#at] !== ')') {
      if (this.#take('|')) all.push([]);
      else (all[all.length - 1] as Node[]).push(this.#quantified(this.#atom()));
    }
    return all.map(concat);
  }

  #atom(): Node {
    if (this.#text[this.#at] === '(') return this.#group();
    if (this.#text[this.#at] === '[') return this.#bracket();
    if (this.#text[this.#at] === '\\') return this.#escape();
    if (this.#take('^') || this.#take('$')) return EMPTY;
    if (this.#take('.')) return WIDE;
    return literal(this.#char());
  }

  #group(): Node {
    const open = /^\((?:\?:)?/.exec(this.#text.slice(this.#at))?.[0] as string;
    this.#at += open.length;
    if (this.#text[this.#at] === '?') this.#fail('only (?: and ( open a group');
    const node = choose(this.branches());
    if (!this.#take(')')) this.#fail('missing )');
    return node;
  }

  /** A class counts as its members when it is a short plain list. */
  #bracket(): Node {
    const start = this.#at;
    this.#at += this.#text[start + 1] === '^' ? 2 : 1;
    // A bracket right after the opening one is a member.
    this.#take(']');
    while (!this.#take(']')) {
      if (this.#at >= this.#text.length) this.#fail('missing ]');
      if (this.#text.startsWith('[:', this.#at)) this.#fail('no named classes');
      if (this.#take('\\')) this.#char();
      else this.#char();
    }
    const members = this.#text.slice(start + 1, this.#at - 1);
    if (/^[^\\^-]{1,4}$/u.test(members)) return fixed([...members]);
    if (/^(?:\\[^wdSWDpP]|[^\\^\w]|-)+$/.test(members)) return BLANK;
    return /^(?:\\[wd]|[a-z0-9_]|-)+$/i.test(members) && !/[^a-z0-9]-|-[^a-z0-9]/i.test(members) ? WORD : WIDE;
  }

  #escape(): Node {
    this.#at++;
    const char = this.#char();
    if (char === 'b') return literal(BORDER);
    if (char === 's') return BLANK;
    if (/[pP]/.test(char)) {
      const name = /^(?:\{\w+\}|\w)/.exec(this.#text.slice(this.#at))?.[0];
      if (name === undefined) this.#fail('unfinished \\p');
      this.#at += name.length;
      return WIDE;
    }
    if (/[dw]/.test(char)) return WORD;
    if (/[DSW]/.test(char)) return WIDE;
    if (char === 'n') return literal('\n');
    if (/[a-zA-Z0-9]/.test(char)) this.#fail(`unsupported escape \\${char}`);
    return literal(char);
  }

  #quantified(node: Node): Node {
    const found = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})/.exec(this.#text.slice(this.#at));
    if (found === null) return node;
    this.#at += found[0].length;
    this.#take('?');
    if (found[0] === '?') return repeat(node, 0, 1);
    if (found[1] === undefined) return repeat(node, found[0] === '+' ? 1 : 0, Infinity);
    const min = Number(found[1]);
    const max = found[2] === '' ? min : found[3] === '' ? Infinity : Number(found[3]);
    return repeat(node, min, max);
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #char(): string {
    const code = this.#text.codePointAt(this.#at);
    if (code === undefined) this.#fail('unexpected end');
    const char = String.fromCodePoint(code);
    this.#at += char.length;
    return char;
  }

  #fail(why: string): never {
    throw new Error(`${why} at ${this.#at} in /${this.#text}/`);
  }
}

function literal(char: string): Node {
  return fixed([char]);
}
