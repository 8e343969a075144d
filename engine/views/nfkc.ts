/**
 * NFKC with offsets, and every Unicode blank as U+0020 (RE2's `\s` is ASCII only).
 *
 * Normalising is quadratic in the number of combining marks in a row (measured: 80,000 alternating
 * marks take 2 s), so text is normalised in short blocks and a longer tower of marks is cut. Up to
 * that length the result equals `String.prototype.normalize('NFKC')`.
 */
import { firstNonAscii } from './chars.ts';
import { type View, ViewBuilder } from './view.ts';

export interface NfkcResult {
  /** Null where nothing changes. */
  readonly view: View | null;
  /** The output would pass `unitsMax`: from there on the text is left as it was. */
  readonly exceeded: boolean;
}

/** A base and its marks are cut beyond this; Unicode's stream-safe form allows 30 marks. */
const CLUSTER_UNITS_MAX = 64;
/** Blocks that do not change are copied whole, so most text costs one native call per block. */
const BLOCK_UNITS = 64;

// Linear: one character class, no quantifier.
const MARK = /^\p{M}/u;
// Linear: one character class, no quantifier. U+2800 is an empty Braille cell.
const BLANKS = /[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u2800\u3000\ufeff]/g;

/** 1 where a character continues the one before it, 2 where not, 0 where not asked yet. */
const CONTINUES = new Uint8Array(0x10000);

/** True for a character that may combine with the one before it; a Hangul vowel or final and a few more do. */
function continues(codePoint: number): boolean {
  if (codePoint < 0x300) return false;
  const known = codePoint <= 0xffff ? CONTINUES[codePoint] : 0;
  if (known !== 0) return known === 1;
  const answer = askContinues(codePoint);
  if (codePoint <= 0xffff) CONTINUES[codePoint] = answer ? 1 : 2;
  return answer;
}

function askContinues(codePoint: number): boolean {
  if (codePoint >= 0x1160 && codePoint <= 0x11ff) return true;
  if (codePoint >= 0xff9e && codePoint <= 0xffdc) return true;
  if (codePoint >= 0x16d63 && codePoint <= 0x16d6a) return true;
  return MARK.test(String.fromCodePoint(codePoint));
}

/** End of the cluster at `at`: one character with what combines with it. */
function clusterEnd(text: string, at: number): number {
  let end = at + ((text.codePointAt(at) as number) > 0xffff ? 2 : 1);
  while (end < text.length && end - at < CLUSTER_UNITS_MAX) {
    const codePoint = text.codePointAt(end) as number;
    if (!continues(codePoint)) break;
    end += codePoint > 0xffff ? 2 : 1;
  }
  return end;
}

function normalise(text: string): string {
  return text.normalize('NFKC').replace(BLANKS, ' ');
}

function pushClusters(builder: ViewBuilder, text: string, start: number, end: number): void {
  for (let at = start; at < end; ) {
    const next = clusterEnd(text, at);
    const cluster = text.slice(at, next);
    const changed = normalise(cluster);
    if (changed === cluster) builder.copy(at, next);
    else builder.push(changed, at, next);
    at = next;
  }
}

/** Expects well-formed text without ignorable characters. */
export function nfkc(view: View, unitsMax: number): NfkcResult {
  const { text } = view;
  const first = firstNonAscii(text);
  if (first < 0) return { view: null, exceeded: false };
  // The ASCII character before may combine with the first mark.
  let at = Math.max(0, first - 1);
  let builder: ViewBuilder | null = null;
  let kept = 0;
  while (at < text.length) {
    let end = at;
    while (end < text.length && end - at < BLOCK_UNITS) end = clusterEnd(text, end);
    const block = text.slice(at, end);
    if (normalise(block) !== block) {
      builder ??= new ViewBuilder(view);
      builder.copy(kept, at);
      pushClusters(builder, text, at, end);
      kept = end;
      if (builder.length + (text.length - end) > unitsMax) {
        builder.copy(kept, text.length);
        return { view: builder.build('nfkc', view.decodedFrom), exceeded: true };
      }
    }
    at = end;
  }
  if (builder === null) return { view: null, exceeded: false };
  builder.copy(kept, text.length);
  return { view: builder.build('nfkc', view.decodedFrom), exceeded: false };
}
