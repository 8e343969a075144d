/** Tool calls against what the caller allows. Names are compared as they are, after NFKC and without blanks around. */
import type { FoundCall } from './call.ts';
import { pointerKey, type Tree } from './tree.ts';

export interface ToolExpectations {
  /** Null: any tool. Empty: none. A `*` stands for any characters. */
  readonly allowedTools: readonly string[] | null;
  /** Arguments that must be there, by tool. */
  readonly toolFields: ReadonlyMap<string, readonly string[]> | null;
  /** Arguments that are not listed are violations. */
  readonly strict: boolean;
}

export type ToolProblem = 'not_allowed' | 'missing_field' | 'bad_json' | 'schema';

export interface ToolViolation {
  readonly call: FoundCall;
  readonly code: ToolProblem;
  readonly path: string;
}

/** Every violation, in order. A call that is not allowed is not looked into. */
export function checkTools(calls: readonly FoundCall[], expected: ToolExpectations): ToolViolation[] {
  const allowed = expected.allowedTools?.map(normalName) ?? null;
  const fields = new Map<string, readonly string[]>();
  for (const [tool, names] of expected.toolFields ?? []) fields.set(normalName(tool), names);
  return calls.flatMap((call) => {
    const name = call.name === null ? null : normalName(call.name);
    const at = (code: ToolProblem, path: string): ToolViolation => ({ call, code, path });
    if (name === null) return [at('bad_json', call.path)];
    if (allowed !== null && !allowed.some((pattern) => matchesName(pattern, name)))
      return [at('not_allowed', call.path)];
    if (call.badJson) return [at('bad_json', call.argsPath)];
    const required = fields.get(name);
    return required === undefined ? [] : checkFields(call, required, expected.strict, at);
  });
}

function checkFields(
  call: FoundCall,
  required: readonly string[],
  strict: boolean,
  at: (code: ToolProblem, path: string) => ToolViolation,
): ToolViolation[] {
  const entries: ReadonlyMap<string, Tree> = call.args?.entries ?? new Map<string, Tree>();
  const missing = required
    .filter((field) => isMissing(entries.get(field)))
    .map((field) => at('missing_field', `${call.argsPath}/${pointerKey(field)}`));
  if (!strict) return missing;
  const extra = [...entries.keys()].filter((key) => !required.includes(key));
  return [...missing, ...extra.map((key) => at('schema', `${call.argsPath}/${pointerKey(key)}`))];
}

function isMissing(value: Tree | undefined): boolean {
  if (value === undefined || value.kind === 'null') return true;
  return value.kind === 'string' && value.value.trim() === '';
}

/** How names are compared. */
export function normalName(name: string): string {
  return name.normalize('NFKC').trim();
}

/** Pieces between stars in order; no pattern from outside becomes a regular expression. */
export function matchesName(pattern: string, name: string): boolean {
  const pieces = pattern.split('*');
  if (pieces.length === 1) return pattern === name;
  const first = pieces[0] as string;
  const last = pieces[pieces.length - 1] as string;
  if (!name.startsWith(first) || !name.endsWith(last) || first.length + last.length > name.length) return false;
  let at = first.length;
  const end = name.length - last.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = name.indexOf(piece, at);
    if (found === -1 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}
