/** `portcullis users`: stops the keys of a user, for a while (lock) or for good (deactivate). */
import { parseArgs } from 'node:util';
import type { UserRecord } from '../store/port.ts';
import { CommandError, onlyArgument } from './command.ts';
import { print } from './output.ts';
import { withStore } from './store.ts';

type Change = Partial<Pick<UserRecord, 'state' | 'locked'>>;

async function changeUser(argv: string[], change: Change, done: string): Promise<number> {
  const { positionals } = parseArgs({ args: argv, allowPositionals: true, options: {} });
  const id = onlyArgument(positionals, 'user');
  return withStore(async ({ store }) => {
    const user = await store.changeUser(id, change);
    if (user === null) throw new CommandError('there is no such user; users appear with their first key');
    print(`${done} ${user.id}`);
    return 0;
  });
}

export const lockUser = (argv: string[]) => changeUser(argv, { locked: true }, 'locked');
export const unlockUser = (argv: string[]) => changeUser(argv, { locked: false }, 'unlocked');
export const deactivateUser = (argv: string[]) => changeUser(argv, { state: 'inactive' }, 'deactivated');
