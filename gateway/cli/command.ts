/** What a command of the command line is. */

/** Runs with the arguments after its name; returns the exit code. */
export type Command = (argv: string[]) => Promise<number>;

/** Wrong arguments: the message and the usage go to stderr, the exit code is 2. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** A command that was understood and cannot be done: the message goes to stderr, the exit code is 1. */
export class CommandError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CommandError';
  }
}

/** The only positional argument. Throws `UsageError`. */
export function onlyArgument(positionals: readonly string[], name: string): string {
  const [value] = positionals;
  if (value === undefined || positionals.length > 1) throw new UsageError(`expected one ${name}`);
  return value;
}
