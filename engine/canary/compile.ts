/** Needle sets: the compiled form of the canaries that an answer is checked against. */
import { SubstringAutomaton } from '../stream/automaton.ts';
import { type Needle, needlesOf } from './needles.ts';
import { BASE64_WIDTH, encodeNeedle, SKELETON_WIDTH } from './symbols.ts';

export interface CanaryToken {
  /** Safe to show. */
  readonly id: string;
  readonly value: string;
}

export interface NeedleSet {
  readonly tokens: readonly CanaryToken[];
  readonly skeleton: SubstringAutomaton;
  readonly skeletonNeedles: readonly Needle[];
  readonly base64: SubstringAutomaton;
  readonly base64Needles: readonly Needle[];
  /** The longest needle: how far back a match can begin, in folded characters. */
  readonly longest: number;
}

/**
 * Compiles tokens. `full` knows every form; `basic` only single transforms, a quarter of the size, for the many
 * tokens of other requests. Cost is linear in the characters of the needles (about 1,200 per token when full).
 */
export function compileNeedles(tokens: readonly CanaryToken[], depth: 'full' | 'basic'): NeedleSet {
  const sets = tokens.map((token, index) => needlesOf(token.value, index, depth));
  const skeletonNeedles = sets.flatMap((set) => set.skeleton);
  const base64Needles = sets.flatMap((set) => set.base64);
  const automaton = (needles: readonly Needle[], alphabet: 'skeleton' | 'base64', width: number): SubstringAutomaton =>
    new SubstringAutomaton(
      needles.map((needle) => ({ symbols: encodeNeedle(needle.text, alphabet), window: needle.window })),
      width,
    );
  return {
    tokens,
    skeleton: automaton(skeletonNeedles, 'skeleton', SKELETON_WIDTH),
    skeletonNeedles,
    base64: automaton(base64Needles, 'base64', BASE64_WIDTH),
    base64Needles,
    longest: Math.max(0, ...[...skeletonNeedles, ...base64Needles].map((needle) => needle.text.length)),
  };
}
