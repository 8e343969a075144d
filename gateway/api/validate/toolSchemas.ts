/** JSON Schemas that come with a call, compiled. */
import type { Limits } from '../../../config/schema.ts';
import { SchemaCache, type SchemaCheck, ToolSchemaError } from '../../../engine/tools/jsonSchema.ts';
import { pointerKey } from '../../wire/json.ts';
import { invalid } from '../../wire/request.ts';

/** Compiling holds up every other call, so all schemas together may be so many times as large as one. */
const TOTAL_FACTOR = 4;

/** Clients send the same schemas with every call. Bounded; compiled schemas know nothing of each other. */
const CACHE = new SchemaCache();

/** Throws a 400 that names the first schema that cannot be used. */
export function compileToolSchemas(
  schemas: ReadonlyMap<string, unknown>,
  { toolSchemaBytesMax, toolSchemasMax }: Pick<Limits, 'toolSchemaBytesMax' | 'toolSchemasMax'>,
): ReadonlyMap<string, SchemaCheck> {
  const base = '/expect/toolSchemas';
  if (schemas.size > toolSchemasMax) throw invalid(base, `expected at most ${toolSchemasMax} schemas`);
  const bytesMax = toolSchemaBytesMax * TOTAL_FACTOR;
  let bytes = 0;
  const checks = new Map<string, SchemaCheck>();
  for (const [tool, schema] of schemas) {
    try {
      const compiled = CACHE.compile(schema, toolSchemaBytesMax);
      bytes += compiled.bytes;
      checks.set(tool, compiled.check);
    } catch (error) {
      if (!(error instanceof ToolSchemaError)) throw error;
      throw invalid(`${base}/${pointerKey(tool)}`, error.message);
    }
    if (bytes > bytesMax) throw invalid(base, `expected at most ${bytesMax} bytes of schemas`);
  }
  return checks;
}
