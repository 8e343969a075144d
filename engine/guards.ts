/**
 * What every guard says of itself: which way it looks, what it reads, on which surfaces it can, and how much of a
 * stream it has to hold for that. A guard that blocks and cannot do so on an enabled surface stops the start.
 */
import { type Limits, type Policy, SURFACES, type SurfaceId } from '../config/schema.ts';
import { CANARY_HOLD_CHARS_MAX } from './canary/needles.ts';
import { CONTROL_HOLD_CHARS_MAX } from './control/matcher.ts';

/** Where guards run: the model surfaces and the direct calls. */
export type Place = SurfaceId | 'validate' | 'validate_output';

/** What there is to read. */
export type Content = 'prompts' | 'answers' | 'tool calls' | 'answers of a declared media type';

export interface GuardDeclaration {
  /** Its name in receipts and metrics. */
  readonly id: string;
  /** Its place in a policy. */
  readonly setting: string;
  readonly reads: Content;
  readonly places: readonly Place[];
  /** Characters of a stream that it holds back at most; null holds whole tool calls, up to `limits.toolCallBytesMax`. */
  readonly holdsChars: number | null;
  /** True when the policy lets nothing pass that it did not judge. */
  readonly blocks: (policy: Policy) => boolean;
}

/** Surfaces whose answers a model writes. */
const WRITTEN: readonly Place[] = ['chat', 'responses', 'completions', 'messages', 'validate_output'];
/** Every surface that is inspected; `relay` is the one that is not. */
const INSPECTED: readonly Place[] = SURFACES.filter((surface) => surface !== 'relay');
const PROMPTED: readonly Place[] = [...INSPECTED.filter((surface) => surface !== 'models'), 'validate'];

const CARRIED: Readonly<Record<Content, readonly Place[]>> = {
  prompts: PROMPTED,
  answers: [...INSPECTED, 'validate_output'],
  'tool calls': WRITTEN,
  'answers of a declared media type': ['validate_output'],
};

interface Switch {
  readonly enabled: boolean;
  readonly failureMode: 'open' | 'closed';
}

const closed = ({ enabled, failureMode }: Switch): boolean => enabled && failureMode === 'closed';

/** The guards that exist. */
export const GUARDS: readonly GuardDeclaration[] = [
  {
    id: 'injection.rules',
    setting: 'input.injection',
    reads: 'prompts',
    places: PROMPTED,
    holdsChars: 0,
    blocks: ({ input }) => closed(input.injection),
  },
  {
    id: 'hidden-text',
    setting: 'input.hidden',
    reads: 'prompts',
    places: PROMPTED,
    holdsChars: 0,
    blocks: ({ input }) => closed(input.hidden),
  },
  {
    id: 'control-tokens',
    setting: 'input.controlTokens',
    reads: 'prompts',
    places: PROMPTED,
    holdsChars: 0,
    blocks: ({ input }) => closed(input.controlTokens),
  },
  {
    id: 'canary',
    setting: 'output.canary',
    reads: 'answers',
    places: [...INSPECTED, 'validate_output'],
    holdsChars: CANARY_HOLD_CHARS_MAX,
    blocks: ({ output }) => closed(output.canary) && output.canary.action !== 'observe',
  },
  {
    id: 'control-tokens',
    setting: 'output.controlTokens',
    reads: 'answers',
    places: [...INSPECTED, 'validate_output'],
    holdsChars: CONTROL_HOLD_CHARS_MAX,
    blocks: ({ output }) => closed(output.controlTokens) && output.controlTokens.action !== 'observe',
  },
  {
    id: 'tool-policy',
    setting: 'output.toolConstraints',
    reads: 'tool calls',
    places: WRITTEN,
    holdsChars: null,
    blocks: ({ output }) => closed(output.toolConstraints),
  },
  {
    id: 'mime',
    setting: 'output.mime',
    reads: 'answers of a declared media type',
    places: ['validate_output'],
    holdsChars: 0,
    blocks: ({ output }) => closed(output.mime),
  },
];

/**
 * Why a policy cannot be kept, one line each; empty when every guard that blocks can do so wherever there is something
 * for it to read. What a policy relays is not among it: its own words for that are `not-inspected`.
 */
export function guardProblems(
  policy: Policy,
  limits: Pick<Limits, 'holdRawCharsMax'>,
  guards: readonly GuardDeclaration[] = GUARDS,
): string[] {
  return guards
    .filter((guard) => guard.blocks(policy))
    .flatMap(({ id, setting, reads, places, holdsChars }) => {
      const uncovered = CARRIED[reads].filter((place) => !places.includes(place));
      const problems =
        uncovered.length === 0
          ? []
          : [`${setting}: ${id} blocks and cannot read ${reads} on ${uncovered.join(', ')}; expected it off or open`];
      if ((holdsChars ?? 0) > limits.holdRawCharsMax) {
        problems.push(
          `${setting}: ${id} has to hold ${holdsChars} characters of a stream, and limits.holdRawCharsMax is ` +
            `${limits.holdRawCharsMax}; expected at least ${holdsChars}`,
        );
      }
      return problems;
    });
}
