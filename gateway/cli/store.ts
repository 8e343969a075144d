/** Opens the store that the server uses too, for one command. */
import { join } from 'node:path';
import { type Env, readEnv } from '../env.ts';
import { createKeys, type Keys } from '../keys.ts';
import { deriveSecrets, loadSecretPair } from '../secrets.ts';
import { openEmbedded } from '../store/embedded.ts';
import type { Store } from '../store/port.ts';
import { complain } from './output.ts';

export interface StoreContext {
  readonly env: Env;
  readonly store: Store;
  readonly keys: Keys;
}

/** Runs `work` with the store open and closes it afterwards. */
export async function withStore(work: (context: StoreContext) => Promise<number>): Promise<number> {
  const env = readEnv();
  const secrets = deriveSecrets(env.secret ?? loadSecretPair(env.dataDir));
  const store = openEmbedded(join(env.dataDir, 'store'), {
    onCorrupt: (table) => complain(`a damaged record in ${table} was skipped`),
  });
  try {
    return await work({ env, store, keys: createKeys({ store, secrets }) });
  } finally {
    await store.close();
  }
}
