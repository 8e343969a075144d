import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { controlTokensSchema } from '../../../../config/schema.ts';
import { compileControlTokens } from '../../../../engine/control/matcher.ts';

/** The shipped table, parsed by its schema. */
export const table = controlTokensSchema.parse(
  parse(readFileSync(new URL('../../../../config/control-tokens.yaml', import.meta.url), 'utf8')),
);

export const tokens = compileControlTokens(table);
