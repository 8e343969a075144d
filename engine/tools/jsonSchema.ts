/**
 * JSON Schema for the arguments of tools. Schemas come from operators and from callers, arguments from a model, so
 * neither may cost more than its size: patterns are RE2, nothing is fetched, and one check has a budget of steps,
 * since references that fork make the work of a few lines exponential.
 */
import { createHash } from 'node:crypto';
import {
  _,
  Ajv,
  type CodeKeywordDefinition,
  type CodeOptions,
  type ErrorObject,
  type Options,
  type ValidateFunction,
} from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import RE2 from 're2';
import { canonical } from './plain.ts';
import { pointerKey } from './tree.ts';

/** Pointer of the first place that does not fit, or null. Throws when that cannot be decided. */
export type SchemaCheck = (data: unknown) => string | null;

/** A schema that cannot be used. The message quotes no value of it. */
export class ToolSchemaError extends Error {
  override readonly name = 'ToolSchemaError';
}

/** The check of a schema took more steps than any honest one. */
export class SchemaBudgetError extends Error {
  override readonly name = 'SchemaBudgetError';
}

/** Keywords looked at and characters compared in one check; a megabyte of arguments takes about a million. */
const STEPS_MAX = 8_000_000;
/** 16 characters are one step. */
const CHARS_PER_STEP_LOG2 = 4;

/** Checks are synchronous, so one counter serves all. */
let stepsLeft = 0;

function charge(steps: number): void {
  stepsLeft -= steps;
  if (stepsLeft < 0) throw new SchemaBudgetError('too many steps');
}

/** Runs before every keyword: the width of the keyword, and of the text it looks at. */
function chargeKeyword(width: number, data: unknown): void {
  charge(width + (typeof data === 'string' ? data.length >> CHARS_PER_STEP_LOG2 : 0));
}

/** Patterns and references of one schema. The validator names each, in time that grows with their square. */
const NAMED_MAX = 1024;

/** Counts what the validator names while it compiles one schema. */
function counter(): () => void {
  let left = NAMED_MAX;
  return () => {
    if (--left < 0) throw new ToolSchemaError(`holds more than ${NAMED_MAX} patterns and references`);
  };
}

/** Patterns as RE2: a hostile one cannot backtrack. */
function patternEngine(count: () => void): NonNullable<CodeOptions['regExp']> {
  const compile = (pattern: string) => {
    count();
    const regex = new RE2(pattern, 'u');
    const linear = {
      test: (text: string) => {
        charge(1 + (text.length >> CHARS_PER_STEP_LOG2));
        return regex.test(text);
      },
      // The validator tells patterns apart by their text.
      toString: () => `re2:${pattern}`,
    };
    return linear;
  };
  // Named only where the validator writes modules, which it does not here.
  return Object.assign(compile, { code: 'linear' });
}

const OPTIONS: Options = {
  strict: false,
  allErrors: false,
  ownProperties: true,
  validateFormats: false,
  // Against the meta-schema it is checked by an instance of its own, compiled once.
  meta: false,
  validateSchema: false,
  // A large definition referred to often would be copied as often.
  inlineRefs: false,
  messages: false,
  logger: false,
};

type Dialect = '2020-12' | 'draft-07';

/** Compiles. Throws `ToolSchemaError`. */
export function compileSchema(schema: unknown, bytesMax: number): SchemaCheck {
  return compileText(textOf(schema, bytesMax));
}

export interface CompiledSchema {
  readonly check: SchemaCheck;
  /** Of the schema as compact JSON. */
  readonly bytes: number;
}

/** Compiled schemas of callers are kept: so many, with so many bytes of text. */
const KEPT_MAX = 256;
const KEPT_BYTES_MAX = 2 * 1024 * 1024;

/** Schemas that come with calls, the least recently used forgotten first. */
export class SchemaCache {
  readonly #kept = new Map<string, CompiledSchema>();
  #bytes = 0;

  get size(): number {
    return this.#kept.size;
  }

  /** Throws `ToolSchemaError`. */
  compile(schema: unknown, bytesMax: number): CompiledSchema {
    const text = textOf(schema, bytesMax);
    const key = createHash('sha256').update(text).digest('base64');
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    const entry: CompiledSchema = known ?? { check: compileText(text), bytes: Buffer.byteLength(text, 'utf8') };
    this.#kept.set(key, entry);
    if (known === undefined) this.#bytes += entry.bytes;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#kept.size <= KEPT_MAX && this.#bytes <= KEPT_BYTES_MAX) break;
      this.#kept.delete(oldest);
      this.#bytes -= bytes;
    }
    return entry;
  }
}

function textOf(schema: unknown, bytesMax: number): string {
  if (typeof schema !== 'boolean' && (schema === null || typeof schema !== 'object' || Array.isArray(schema))) {
    throw new ToolSchemaError('expected a JSON Schema: an object, true or false');
  }
  let text: string;
  try {
    text = JSON.stringify(schema);
  } catch (error) {
    throw new ToolSchemaError('is nested too deeply or refers to itself', { cause: error });
  }
  if (Buffer.byteLength(text, 'utf8') > bytesMax) throw new ToolSchemaError(`is larger than ${bytesMax} bytes`);
  return text;
}

function compileText(text: string): SchemaCheck {
  // A copy with ordinary objects, which is what the validator is written for.
  const schema = JSON.parse(text) as boolean | Record<string, unknown>;
  const dialect = dialectOf(schema);
  let validate: ValidateFunction;
  try {
    if (typeof schema === 'object') delete schema.$schema;
    if (!metaOf(dialect).validateSchema(schema))
      throw new ToolSchemaError('does not fit the meta-schema of its dialect');
    // One instance each: what a schema names must not be known to another, nor replace what another knows.
    validate = validatorOf(dialect).compile(schema);
  } catch (error) {
    if (error instanceof ToolSchemaError) throw error;
    throw new ToolSchemaError(reason(error), { cause: error });
  }
  return (data) => {
    stepsLeft = STEPS_MAX;
    // Anything but `true` counts as a violation.
    if (validate(data) === true) return null;
    return pointerOf(validate.errors ?? []);
  };
}

function dialectOf(schema: boolean | Record<string, unknown>): Dialect {
  if (typeof schema === 'boolean') return '2020-12';
  // An asynchronous check answers later, and so not at all.
  if (Object.hasOwn(schema, '$async')) throw new ToolSchemaError('$async is not supported');
  if (!Object.hasOwn(schema, '$schema')) return '2020-12';
  const named = String(schema.$schema).replace(/#$/, '');
  if (named === 'https://json-schema.org/draft/2020-12/schema') return '2020-12';
  if (/^https?:\/\/json-schema\.org\/draft-07\/schema$/.test(named)) return 'draft-07';
  throw new ToolSchemaError('$schema names neither 2020-12 nor draft-07');
}

/** What went wrong, without a text of the schema. */
function reason(error: unknown): string {
  if (error instanceof RangeError) return 'is nested too deeply, or refers to nothing but itself';
  if (error instanceof Error && 'missingRef' in error) return 'refers to a schema that is not part of it';
  if (error instanceof SyntaxError) return 'holds a pattern that RE2 cannot match in linear time';
  return 'does not compile';
}

const META = new Map<Dialect, Ajv>();

function metaOf(dialect: Dialect): Ajv {
  let meta = META.get(dialect);
  if (meta === undefined) {
    const options: Options = { strict: false, validateFormats: false, messages: false, logger: false };
    meta = dialect === 'draft-07' ? new Ajv(options) : new Ajv2020(options);
    META.set(dialect, meta);
  }
  return meta;
}

function validatorOf(dialect: Dialect): Ajv {
  const count = counter();
  const options: Options = { ...OPTIONS, code: { regExp: patternEngine(count), optimize: false } };
  const ajv = dialect === 'draft-07' ? new Ajv(options) : new Ajv2020(options);
  const comparing = comparisons();
  // The shipped ones compare all pairs of items, call methods that the data may shadow, and are not charged for.
  for (const keyword of ['enum', 'const', 'uniqueItems']) ajv.removeKeyword(keyword);
  ajv.addKeyword(comparing('enum', { schemaType: 'array' }, sameAsOneOf));
  ajv.addKeyword(comparing('const', {}, (value) => sameAsOneOf([value])));
  ajv.addKeyword(
    comparing('uniqueItems', { type: 'array', schemaType: 'boolean' }, (unique) =>
      unique === true ? isUnique : () => true,
    ),
  );
  const rules = new Set([...ajv.RULES.rules.flatMap((group) => group.rules), ...ajv.RULES.post.rules]);
  for (const { definition } of rules) if ('code' in definition) charged(definition, count);
  return ajv;
}

type Comparing = (
  keyword: string,
  types: Pick<CodeKeywordDefinition, 'type' | 'schemaType'>,
  make: (value: unknown) => (data: unknown) => boolean,
) => CodeKeywordDefinition;

/** Keywords whose condition is a function made from their value. All functions share one name in the compiled code. */
function comparisons(): Comparing {
  const made: ((data: unknown) => boolean)[] = [];
  const run = (index: number, data: unknown): boolean => (made[index] as (data: unknown) => boolean)(data);
  return (keyword, types, make) => ({
    keyword,
    ...types,
    code(cxt) {
      const fits = cxt.gen.scopeValue('func', { ref: run });
      cxt.pass(_`${fits}(${made.push(make(cxt.schema)) - 1}, ${cxt.data})`);
    },
  });
}

function sameAsOneOf(values: unknown): (data: unknown) => boolean {
  const known = new Set((values as readonly unknown[]).map((value) => canonical(value, () => {})));
  return (data) => known.has(canonical(data, charge));
}

function isUnique(data: unknown): boolean {
  const items = data as readonly unknown[];
  return new Set(items.map((item) => canonical(item, charge))).size === items.length;
}

const REFERENCES = new Set(['$ref', '$dynamicRef', '$recursiveRef']);

/** Makes the code of a keyword charge for itself first. */
function charged(definition: CodeKeywordDefinition, count: () => void): void {
  const { code } = definition;
  definition.code = (cxt, ruleType) => {
    if (REFERENCES.has(cxt.keyword)) count();
    const meter = cxt.gen.scopeValue('func', { ref: chargeKeyword });
    cxt.gen.code(_`${meter}(${widthOf(cxt.schema)}, ${cxt.data})`);
    code(cxt, ruleType);
  };
}

function widthOf(schema: unknown): number {
  if (schema === null || typeof schema !== 'object') return 1;
  return 1 + (Array.isArray(schema) ? schema.length : Object.keys(schema).length);
}

/** The outermost error; what it names as missing or as too much is where it points. */
function pointerOf(errors: readonly ErrorObject[]): string {
  // The error of `if` only says which branch the one before it stands in.
  const error = errors.findLast(({ keyword }) => keyword !== 'if');
  if (error === undefined) return '';
  const params = error.params as Record<string, unknown>;
  const member =
    params.missingProperty ?? params.additionalProperty ?? params.unevaluatedProperty ?? params.propertyName;
  return typeof member === 'string' ? `${error.instancePath}/${pointerKey(member)}` : error.instancePath;
}
