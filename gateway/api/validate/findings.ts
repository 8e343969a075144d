/** What was found in an answer, without any of it: no canary, in whatever spelling, leaves in a finding. */
import type { OutputCanaryHit } from '../../../engine/stream/session.ts';
import { normalName } from '../../../engine/tools/constraints.ts';
import type { Examined } from './examine.ts';
import { MASKED, mask, maskPointer } from './mask.ts';
import { isKeyChannel, type OutputText } from './outputText.ts';

export interface CanaryFinding {
  readonly kind: OutputCanaryHit['kind'];
  readonly where: string;
  readonly pointer?: string;
  readonly encoding: OutputCanaryHit['encoding'];
  /** Registry id; null where the encoded text does not tell which canary it was. */
  readonly tokenId: string | null;
  count: number;
}

/** The same thing found more often says no more. */
const FINDINGS_MAX = 256;
/** Control token that no table lists: its name is whatever the model wrote. */
const SHAPE_FAMILY = 'shape';

/** The `findings` of an answer. `known` are canary values that must not be quoted. */
export function outputFindings(
  examined: Examined,
  /** Tools that the caller or its policy names; other names are the model's text. */
  tools: readonly string[],
  known: readonly string[],
): Record<string, unknown> {
  const { verdict, expectations, text, unwantedMarkers } = examined;
  const leaking = verdict.canaryHits.length > 0 || verdict.foreignCanary;
  const controlTokens = verdict.controlTokens.map(({ family, token, count }) => ({
    family,
    token: family === SHAPE_FAMILY && leaking ? MASKED : mask(token, known),
    count,
  }));
  if (unwantedMarkers > 0)
    controlTokens.push({ family: 'tool-call', token: 'tool call marker', count: unwantedMarkers });
  const named = new Set(tools.map(normalName));
  const violations = expectations.violations.slice(0, FINDINGS_MAX).map(({ call, code, path }) => ({
    tool: call.name === null ? null : toolName(call.name, named, leaking, known),
    code,
    // Behind the arguments a path has keys that the model chose.
    path: leaking ? call.path : maskPointer(path, known),
    ...(call.markers.length > 0 && call.span !== null && { offset: call.span.start }),
  }));
  return {
    canary_hits: canaryFindings(verdict.canaryHits, text, known),
    ...(verdict.foreignCanary && { foreign_canary: true }),
    control_tokens: controlTokens.slice(0, FINDINGS_MAX),
    tool_violations: violations,
    ...(expectations.mime !== null && { mime: expectations.mime }),
  };
}

function canaryFindings(hits: readonly OutputCanaryHit[], text: OutputText, known: readonly string[]): CanaryFinding[] {
  const groups = new Map<string, CanaryFinding>();
  // A pointer may lead through the very key that leaks.
  const inKeys = hits.some(({ where }) => isKeyChannel(where));
  for (const hit of hits) {
    const { where, pointer } = text.place(hit.where, hit.start);
    const shown = inKeys || pointer === null ? null : maskPointer(pointer, known);
    const key = JSON.stringify([where, shown, hit.kind, hit.encoding, hit.tokenId]);
    const group = groups.get(key);
    if (group !== undefined) group.count++;
    else if (groups.size < FINDINGS_MAX) {
      groups.set(key, {
        kind: hit.kind,
        where,
        ...(shown !== null && { pointer: shown }),
        encoding: hit.encoding,
        tokenId: hit.tokenId === '' ? null : hit.tokenId,
        count: 1,
      });
    }
  }
  return [...groups.values()];
}

const NAME_CHARS_MAX = 128;

/** A tool's name is the model's text as well, unless it was named before. */
function toolName(name: string, named: ReadonlySet<string>, leaking: boolean, known: readonly string[]): string {
  if (named.has(normalName(name))) return name;
  return leaking ? MASKED : mask(name.slice(0, NAME_CHARS_MAX), known);
}
