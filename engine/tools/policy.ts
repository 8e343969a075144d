/** The tool policy of a tenant, compiled once. */
import type { Limits, ToolPolicySpec } from '../../config/schema.ts';
import { compileArgumentRule } from './arguments.ts';
import { type ToolChecker, toolChecker } from './constraints.ts';
import { compileSchema, ToolSchemaError } from './jsonSchema.ts';
import { pointerKey } from './tree.ts';

/** True when no call could violate it; `strict` says something only where `required` does. */
export function statesNothing({ allowed, required, schemas, arguments: rules }: ToolPolicySpec): boolean {
  return (
    allowed === null && rules.length === 0 && Object.keys(required).length === 0 && Object.keys(schemas).length === 0
  );
}

const COMPILED = new WeakMap<ToolPolicySpec, ToolChecker>();

/** Compiled at its first use, which takes milliseconds. Throws for a policy in which `checkToolPolicy` finds a problem. */
export function toolPolicy(spec: ToolPolicySpec): ToolChecker {
  let checker = COMPILED.get(spec);
  if (checker === undefined) {
    checker = toolChecker({
      allowedTools: spec.allowed,
      toolFields: new Map(Object.entries(spec.required)),
      strict: spec.strict,
      // Sizes were checked with the configuration.
      schemas: new Map(
        Object.entries(spec.schemas).map(([tool, schema]) => [tool, compileSchema(schema, Number.MAX_SAFE_INTEGER)]),
      ),
      rules: spec.arguments.map(compileArgumentRule),
    });
    COMPILED.set(spec, checker);
  }
  return checker;
}

/** What cannot be used, one line each with its place below `tools`; empty when the policy can judge. */
export function checkToolPolicy(spec: ToolPolicySpec, limits: Pick<Limits, 'toolSchemaBytesMax'>): string[] {
  const problems: string[] = [];
  for (const [tool, schema] of Object.entries(spec.schemas)) {
    try {
      compileSchema(schema, limits.toolSchemaBytesMax);
    } catch (error) {
      if (!(error instanceof ToolSchemaError)) throw error;
      problems.push(`schemas/${pointerKey(tool)}: ${error.message}`);
    }
  }
  spec.arguments.forEach((rule, index) => {
    try {
      compileArgumentRule(rule);
    } catch (error) {
      problems.push(`arguments/${index}: ${error instanceof Error ? error.message : String(error)}`);
    }
  });
  return problems;
}
