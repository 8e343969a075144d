/** Reads a YAML file against its schema. A wrong file is reported with path, what was found and what was expected. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { z } from 'zod';

/** A file that does not fit its schema; the message has one line per problem. */
export class ConfigError extends Error {
  constructor(file: string, problems: readonly string[]) {
    super(problems.map((problem) => `${file}: ${problem}`).join('\n'));
    this.name = 'ConfigError';
  }
}

/** Reads and validates one file. Throws `ConfigError`. */
export function readYaml<S extends z.ZodType>(file: string, schema: S): z.infer<S> {
  let data: unknown;
  try {
    data = parse(readFileSync(file, 'utf8'), { prettyErrors: true });
  } catch (error) {
    const message = error instanceof Error ? (error.message.split('\n')[0] as string) : String(error);
    throw new ConfigError(file, [`cannot be read as YAML: ${message}`]);
  }
  return check(file, data, schema);
}

/** Validates data that came from `file`. Throws `ConfigError`. */
export function check<S extends z.ZodType>(file: string, data: unknown, schema: S): z.infer<S> {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  throw new ConfigError(
    file,
    result.error.issues.map((issue) => describe(issue, data)),
  );
}

function describe(issue: z.core.$ZodIssue, data: unknown): string {
  const path = issue.path.length === 0 ? '(whole file)' : issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    return `${path}: unknown key ${issue.keys.join(', ')}; expected one of the documented keys`;
  }
  return `${path}: found ${show(valueAt(data, issue.path))}; expected ${expectation(issue)}`;
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  let value = data;
  for (const key of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

/** Configuration may hold keys, so long values are named by type and length, not shown. */
function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (value !== null && typeof value === 'object') return 'a map';
  const text = JSON.stringify(value);
  return text.length <= 24 ? text : `a ${typeof value} of ${text.length} characters`;
}

/** Zod's own texts say "Invalid input: expected x, received y"; ours say what is expected. */
function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_union':
      return issue.errors
        .flat()
        .map((option) => expectation(option))
        .join(' or ');
    case 'invalid_key':
      return `a key that fits: ${issue.issues.map((inner) => expectation(inner)).join(', ')}`;
    case 'too_small':
      return `${issue.origin} of at least ${issue.minimum}`;
    case 'too_big':
      return `${issue.origin} of at most ${issue.maximum}`;
    default:
      return issue.message.replace(/^(?:Invalid (?:input|option): )?expected /, '').replace(/, received .*$/, '');
  }
}
