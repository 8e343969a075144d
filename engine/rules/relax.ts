/**
 * Turns an exact pattern into what the shared prefilter looks for: fixed strings only.
 *
 * Counted repetition in an `RE2.Set` multiplies DFA states: 205 patterns with gaps such as `[^.\n]{0,40}` took 30 ms for
 * 2 KB of random base64 (re2 1.27.1, Node 20). Cutting the patterns at their gaps was not enough for rules that share long
 * alternations: the same 56 rules took 8 ms for 2 KB of ordinary prose, since each trigger word kept a different mix of
 * alternatives alive. A set of fixed strings cannot grow so: it has at most one state per character of the strings. So a
 * pattern becomes, per top-level alternative, a list of needs, each a list of strings of which one must occur. Strings end
 * where a counter, a gap or a class begins. The prefilter may therefore answer "maybe" too often, never "no" wrongly.
 */

/** One of these strings occurs in every match. */
export type Need = readonly string[];

/** More spellings than this are not multiplied out. */
const SPELLINGS_MAX = 24;
/** Alternatives of one group. */
const CHOICES_MAX = 512;
/** Shorter strings are found nearly everywhere and say nothing; a character beyond ASCII counts double. */
const WEIGHT_MIN = 2;

/** Stands for `\b` inside a fixed string, so that short words are not found inside long ones. */
export const BORDER = '\u0008';
interface Node {
  /** Everything that the node can match, or null when that is not a short list. */
  readonly exact: readonly string[] | null;
  /** Known needs when `exact` is null. */
  readonly needs: readonly Need[];
  /** Matches one or more characters, none of them a word character: a word next to it has a border there. */
  readonly blank?: boolean;
}

const NOTHING: Node = { exact: null, needs: [] };
const BLANK: Node = { exact: null, needs: [], blank: true };
const EMPTY: Node = { exact: [''], needs: [] };

/** One entry per top-level alternative: all of its needs hold in every text that it matches. */
export function relax(pattern: string): readonly (readonly Need[])[] {
  const reader = new Reader(pattern);
  const branches = reader.branches();
  reader.expectEnd();
  return branches.map((branch) => {
    const needs = needsOf(branch);
    if (needs.length === 0) throw new Error(`nothing fixed to look for in /${pattern}/`);
    return needs;
  });
}

function needsOf(node: Node): readonly Need[] {
  if (node.exact === null) return node.needs;
  return weight(node.exact) >= WEIGHT_MIN ? [node.exact] : [];
}

/** Of the shortest string. */
function weight(need: Need): number {
  return Math.min(
    ...need.map((text) => [...text].reduce((sum, char) => sum + (char === BORDER ? 0 : char < '\u0080' ? 1 : 2), 0)),
  );
}

function concat(items: readonly Node[]): Node {
  const needs: Need[] = [];
  let run: readonly string[] = [''];
  let broken = false;
  const flush = (): void => {
    if (weight(run) >= WEIGHT_MIN) needs.push(run);
    broken = true;
    run = [''];
  };
  for (const { exact, needs: inner, blank } of items) {
    if (exact !== null && (run.length === 1 || run.length * exact.length <= SPELLINGS_MAX)) {
      run = distinct(run.flatMap((head) => exact.map((tail) => join(head, tail))));
      continue;
    }
    if (blank) run = distinct(run.map((text) => join(text, BORDER)));
    flush();
    if (exact !== null) run = exact;
    else if (blank) run = [BORDER];
    else needs.push(...inner);
  }
  if (!broken) return { exact: run, needs: [] };
  flush();
  return { exact: null, needs };
}

/** A border says something next to an ASCII word character only: `\b` sees no others. */
function join(head: string, tail: string): string {
  if (tail === BORDER) return /[a-z0-9]$/i.test(head) ? head + BORDER : head;
  if (head.endsWith(BORDER) && !/^[a-z0-9]/i.test(tail) && tail !== '') return head.slice(0, -1) + tail;
  return head + tail;
}

function choose(branches: readonly Node[]): Node {
  if (branches.length === 1) return branches[0] as Node;
  const exact: string[] = [];
  if (branches.every((branch) => branch.exact !== null && exact.push(...branch.exact) <= CHOICES_MAX)) {
    return { exact: distinct(exact), needs: [] };
  }
  const best = branches.map((branch) => [...needsOf(branch)].sort((a, b) => weight(b) - weight(a))[0]);
  return best.every((need) => need !== undefined) ? { exact: null, needs: [distinct(best.flat())] } : NOTHING;
}

function repeat(node: Node, min: number, max: number): Node {
  if (max === 1) {
    if (min === 1) return node;
    return node.exact === null ? NOTHING : { exact: distinct([...node.exact, '']), needs: [] };
  }
  if (min === 0) return NOTHING;
  if (node.blank) return BLANK;
  return { exact: null, needs: needsOf(node) };
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
    if (this.#take('.')) return NOTHING;
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
    if (/^[^\\^-]{1,4}$/u.test(members)) return { exact: [...members], needs: [] };
    return /^(?:\\[^wdSWD]|[^\\^\w]|-)+$/.test(members) ? BLANK : NOTHING;
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
      return NOTHING;
    }
    if (/[dDSwW]/.test(char)) return NOTHING;
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
  return { exact: [char], needs: [] };
}
