/**
 * The `portcullis` command. Each command is a module that is loaded when it is asked for, so that `keys list` does
 * not pay for the engine.
 */
import { type Command, CommandError, UsageError } from './cli/command.ts';
import { complain, print } from './cli/output.ts';
import { ConfigError } from './config/yaml.ts';
import { DataDirError } from './dataDir.ts';
import { EnvError } from './env.ts';

interface Entry {
  readonly words: string;
  readonly usage: string;
  readonly load: () => Promise<Command>;
}

const COMMANDS: readonly Entry[] = [
  { words: 'serve', usage: 'serve', load: async () => serveCommand },
  {
    words: 'check',
    usage: 'check TEXT|FILE|- [--source user|retrieval|tool] [--tool NAME] [--json]',
    load: async () => (await import('./cli/check.ts')).checkText,
  },
  {
    words: 'keys create',
    usage: 'keys create --name NAME [--scopes LIST] [--tenants LIST] [--expires 30d] [--user USER] [--json]',
    load: async () => (await import('./cli/keys.ts')).createKey,
  },
  {
    words: 'keys list',
    usage: 'keys list [--json]',
    load: async () => (await import('./cli/keys.ts')).listKeys,
  },
  {
    words: 'keys revoke',
    usage: 'keys revoke ID',
    load: async () => (await import('./cli/keys.ts')).revokeKey,
  },
  { words: 'users lock', usage: 'users lock USER', load: async () => (await import('./cli/users.ts')).lockUser },
  { words: 'users unlock', usage: 'users unlock USER', load: async () => (await import('./cli/users.ts')).unlockUser },
  {
    words: 'users deactivate',
    usage: 'users deactivate USER',
    load: async () => (await import('./cli/users.ts')).deactivateUser,
  },
  {
    words: 'config check',
    usage: 'config check [FILE]',
    load: async () => (await import('./cli/config.ts')).checkConfig,
  },
  { words: 'rules test', usage: 'rules test', load: async () => (await import('./cli/rules.ts')).testRules },
  { words: 'rules list', usage: 'rules list', load: async () => (await import('./cli/rules.ts')).listRules },
];

/** Runs one command and returns the exit code: 0 done, 1 refused or failed, 2 not understood. */
export async function main(argv: readonly string[]): Promise<number> {
  const entry = COMMANDS.find(({ words }) => words.split(' ').every((word, index) => argv[index] === word));
  if (entry === undefined) return withoutCommand(argv);
  try {
    const command = await entry.load();
    return await command(argv.slice(entry.words.split(' ').length));
  } catch (error) {
    return failed(error, entry);
  }
}

function withoutCommand(argv: readonly string[]): number {
  if (argv.length === 1 && ['help', '--help', '-h'].includes(argv[0] as string)) {
    print(usage());
    return 0;
  }
  complain(usage());
  return 2;
}

function usage(): string {
  return ['Usage:', ...COMMANDS.map((entry) => `  portcullis ${entry.usage}`)].join('\n');
}

function failed(error: unknown, entry: Entry): number {
  if (error instanceof UsageError || isArgumentError(error)) {
    complain(`portcullis: ${error.message}\nUsage: portcullis ${entry.usage}`);
    return 2;
  }
  if (
    error instanceof CommandError ||
    error instanceof ConfigError ||
    error instanceof EnvError ||
    error instanceof DataDirError
  ) {
    complain(`portcullis: ${error.message.replaceAll('\n', '\nportcullis: ')}`);
    return 1;
  }
  throw error;
}

/** What `parseArgs` throws for unknown options and missing values. */
function isArgumentError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_');
}

async function serveCommand(argv: string[]): Promise<number> {
  if (argv.length > 0) throw new UsageError('serve takes no arguments; settings come from the environment');
  const { serve } = await import('./serve.ts');
  await serve();
  return 0;
}
