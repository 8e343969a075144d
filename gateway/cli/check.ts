/** `portcullis check TEXT|FILE|-`: the verdict that /validate gives on the text, without a server. */
import { readFileSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildEngine } from '../build.ts';
import { DEFAULT_NAME, loadConfig, policyOf } from '../config/load.ts';
import { readEnv } from '../env.ts';
import { deriveSecrets, loadSecretPair } from '../secrets.ts';
import type { Command } from './command.ts';
import { CommandError, onlyArgument, UsageError } from './command.ts';
import { print } from './output.ts';

const SOURCES = { user: 'user', retrieval: 'document', tool: 'tool' } as const;

/** Exit code 0 for pass, 1 for everything else. */
export const checkText: Command = async (argv) => {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: { json: { type: 'boolean' }, source: { type: 'string', default: 'user' }, tool: { type: 'string' } },
  });
  if (!Object.hasOwn(SOURCES, values.source)) throw new UsageError('--source is one of user, retrieval, tool');
  const env = readEnv();
  const config = loadConfig(env.configFile ?? undefined);
  const policy = policyOf(config, DEFAULT_NAME);
  if (policy === null) throw new CommandError('there is no default policy');
  const text = readText(onlyArgument(positionals, 'TEXT, FILE or -'), config.limits.textLeafBytesMax);
  const engine = buildEngine(config, deriveSecrets(env.secret ?? loadSecretPair(env.dataDir)));
  const role = SOURCES[values.source as keyof typeof SOURCES];
  const segment = { role, path: '/prompt', mime: 'text/plain', text, trusted: false };
  const { action, risk, findings, receipt, unavailable } = await engine.inspect([segment], {
    policy,
    tool: values.tool ?? null,
  });
  if (unavailable.length > 0) throw new CommandError(`a guard could not run: ${unavailable.join(', ')}`);
  if (values.json) print(JSON.stringify({ action, risk, findings, receipt }));
  else {
    print(`${action} (risk ${risk.toFixed(4)})`);
    for (const { ruleId, span, score } of findings) {
      const place = span === null ? '' : ` at ${span.start}-${span.end}`;
      print(`  ${ruleId}${place}, score ${score}`);
    }
  }
  return action === 'pass' ? 0 : 1;
};

/** One word with a slash in it or a file's ending. */
const LOOKS_LIKE_PATH = /^(?:\S*\/\S*|\S+\.[a-z]{1,5})$/i;

/** A path that exists is read, anything else is the text itself. */
function readText(argument: string, bytesMax: number): string {
  const file = argument === '-' ? 0 : argument;
  if (file !== 0 && statSync(file, { throwIfNoEntry: false })?.isFile() !== true) {
    // A mistyped file name must not pass as a harmless text.
    if (LOOKS_LIKE_PATH.test(argument))
      throw new CommandError(`there is no file ${argument}; use - to read text from stdin`);
    return argument;
  }
  const bytes = readFileSync(file);
  if (bytes.length > bytesMax) throw new CommandError(`the text is larger than ${bytesMax} bytes`);
  return bytes.toString('utf8');
}
