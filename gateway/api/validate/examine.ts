/** One look at an answer: canaries, control tokens, tool calls and media type, as one action. */
import type { Policy } from '../../../config/schema.ts';
import type { NeedleSet } from '../../../engine/canary/compile.ts';
import type { ForeignWindows } from '../../../engine/canary/foreign.ts';
import { checkExpectations, type Expectations, type ExpectationVerdict } from '../../../engine/output/expectations.ts';
import type { ParseOutcome } from '../../../engine/output/mime.ts';
import type { OutputSession, OutputVerdict } from '../../../engine/stream/session.ts';
import { type FoundCall, findGivenCalls, findPartCalls, findTextCalls } from '../../../engine/tools/find.ts';
import { type Action, type Span, worst } from '../../../engine/types.ts';
import type { Deps } from '../../deps.ts';
import { JsonError, parseJson } from '../../wire/json.ts';
import { parseTree } from '../../wire/tree.ts';
import { type OutputDocument, OutputText } from './outputText.ts';

export interface ExamineRequest {
  readonly deps: Deps;
  readonly policy: Policy;
  readonly expected: Expectations;
  readonly sets: readonly NeedleSet[];
  readonly foreign: ForeignWindows | null;
  readonly evicted: number;
}

export interface Examined {
  readonly action: Action;
  readonly unavailable: boolean;
  readonly text: OutputText;
  readonly session: OutputSession;
  readonly verdict: OutputVerdict;
  readonly expectations: ExpectationVerdict;
  /** Markers of tool calls in an answer that was to hold none. */
  readonly unwantedMarkers: number;
}

/** Reads an answer once. Pure but for the session's receipt. */
export function examine(request: ExamineRequest, document: OutputDocument): Examined {
  const { deps, policy, expected, sets, foreign, evicted } = request;
  const depthMax = deps.config.limits.jsonDepthMax;
  const text = new OutputText(document);
  const expectations = checkExpectations({
    policy,
    expected,
    text: text.text,
    findCalls: () => findCalls(document, text.text, depthMax),
    parse: (json) => parseOutcome(json, depthMax),
  });
  const lists = [expected.tools?.allowedTools ?? null, policy.tools.allowed].filter((list) => list !== null);
  const session = deps.engine.openOutput({ policy, sets, foreign, evicted, judgeTools: false });
  text.feed(session, lists.length === 0 ? [] : wantedMarkers(expectations));
  const verdict = session.end();
  return {
    action: worst(verdict.action, expectations.action),
    unavailable: verdict.unavailable || expectations.unavailable,
    text,
    session,
    verdict,
    expectations,
    unwantedMarkers: lists.some((list) => list.length === 0)
      ? expectations.calls.filter(({ markers }) => markers.length > 0).length
      : 0,
  };
}

function findCalls({ output, toolCalls, removed }: OutputDocument, text: string, depthMax: number): FoundCall[] {
  const parse = (json: string) => parseTree(json, depthMax);
  const given = toolCalls?.kind === 'array' ? findGivenCalls(toolCalls.items, '/toolCalls', parse) : [];
  return [
    ...given.filter(({ path }) => !removed.has(path)),
    ...(output.kind === 'array' ? findPartCalls(output.items, '/output', parse) : []),
    ...findTextCalls(text, '/output', parse),
  ];
}

/** The markers of calls that may be made: part of the template that the caller asked for, not forged. */
function wantedMarkers({ calls, violations }: ExpectationVerdict): Span[] {
  const wrong = new Set(violations.map(({ call }) => call));
  return calls.filter((call) => !wrong.has(call)).flatMap(({ markers }) => markers);
}

function parseOutcome(text: string, depthMax: number): ParseOutcome {
  try {
    return { tree: parseJson(text, depthMax) };
  } catch (error) {
    if (error instanceof JsonError) return { error: error.problem, offset: error.offset };
    throw error;
  }
}
