/** Tool calls against what a policy or a caller allows. Names are compared as they are, after NFKC and without blanks around. */
import type { CompiledArgumentRule } from './arguments.ts';
import type { FoundCall } from './call.ts';
import type { SchemaCheck } from './jsonSchema.ts';
import { plainOf } from './plain.ts';
import { pointerKey, type Tree } from './tree.ts';

export interface ToolExpectations {
  /** Null: any tool. Empty: none. A `*` stands for any characters. */
  readonly allowedTools: readonly string[] | null;
  /** Arguments that must be there, by tool. */
  readonly toolFields: ReadonlyMap<string, readonly string[]> | null;
  /** Arguments that are not listed are violations. */
  readonly strict: boolean;
  /** What the arguments must fit, by tool. */
  readonly schemas?: ReadonlyMap<string, SchemaCheck>;
  readonly rules?: readonly CompiledArgumentRule[];
}

export type ToolProblem = 'not_allowed' | 'missing_field' | 'bad_json' | 'schema' | 'argument';

export interface ToolViolation {
  readonly call: FoundCall;
  readonly code: ToolProblem;
  readonly path: string;
}

/** Expectations in the form they are checked in; made once for many calls. */
export interface ToolChecker {
  /** Every violation, in order. A call that is not allowed is not looked into. Throws when a schema cannot be decided. */
  check(calls: readonly FoundCall[]): ToolViolation[];
}

/** Every violation, in order. */
export function checkTools(calls: readonly FoundCall[], expected: ToolExpectations): ToolViolation[] {
  return toolChecker(expected).check(calls);
}

/** Makes names comparable. */
export function toolChecker({ allowedTools, toolFields, strict, schemas, rules = [] }: ToolExpectations): ToolChecker {
  const allowed = allowedTools?.map(normalName) ?? null;
  const fields = byName(toolFields);
  const checks = byName(schemas ?? null);
  const patterns = rules.map((rule) => ({ rule, pattern: normalName(rule.tool) }));
  const checkCall = (call: FoundCall): ToolViolation[] => {
    const name = call.name === null ? null : normalName(call.name);
    const at = (code: ToolProblem, path: string): ToolViolation => ({ call, code, path });
    if (name === null) return [at('bad_json', call.path)];
    if (allowed !== null && !allowed.some((pattern) => matchesName(pattern, name)))
      return [at('not_allowed', call.path)];
    if (call.badJson) return [at('bad_json', call.argsPath)];
    const required = fields.get(name);
    const schema = checks.get(name);
    return [
      ...(required === undefined ? [] : checkFields(call, required, strict, at)),
      ...(schema === undefined ? [] : checkSchema(call, schema, at)),
      ...patterns
        .filter(({ pattern }) => matchesName(pattern, name))
        .flatMap(({ rule }) => checkRule(call, rule).map((path) => at('argument', path))),
    ];
  };
  return { check: (calls) => calls.flatMap(checkCall) };
}

function byName<T>(given: ReadonlyMap<string, T> | null): ReadonlyMap<string, T> {
  return new Map([...(given ?? [])].map(([tool, value]) => [normalName(tool), value]));
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

function checkSchema(
  call: FoundCall,
  check: SchemaCheck,
  at: (code: ToolProblem, path: string) => ToolViolation,
): ToolViolation[] {
  const { data, proto } = plainOf(argumentsOf(call));
  const wrong = proto ?? check(data);
  return wrong === null ? [] : [at('schema', `${call.argsPath}${wrong}`)];
}

function checkRule(call: FoundCall, rule: CompiledArgumentRule): string[] {
  // In a text that is no JSON nobody can say what stands where.
  if (rule.below && call.text !== undefined) return [call.argsPath];
  return rule.check(argumentsOf(call)).map((path) => `${call.argsPath}${path}`);
}

/** No arguments are an empty object. */
function argumentsOf({ args, text }: FoundCall): Tree {
  return args ?? text ?? { kind: 'object', entries: new Map(), start: 0, end: 0 };
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
