/** `portcullis config check`: validates a configuration file as a start would. */
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load.ts';
import { readEnv } from '../env.ts';
import { UsageError } from './command.ts';
import { print } from './output.ts';

/** Without a file, checks the one that a start would use. */
export async function checkConfig(argv: string[]): Promise<number> {
  const { positionals } = parseArgs({ args: argv, allowPositionals: true, options: {} });
  if (positionals.length > 1) throw new UsageError('expected at most one file');
  const file = positionals[0] ?? readEnv().configFile ?? undefined;
  const config = loadConfig(file);
  const count = (table: object, name: string) => `${Object.keys(table).length} ${name}`;
  print(`${file ?? 'defaults'}: ok, ${count(config.tenants, 'tenants')}, ${count(config.policies, 'policies')}`);
  return 0;
}
