/** `portcullis keys`: makes, lists and revokes API keys, also beside a running server. */
import { parseArgs } from 'node:util';
import { DEFAULT_NAME, loadConfig } from '../config/load.ts';
import { DEFAULT_USER } from '../keys.ts';
import type { Scope, TokenRecord } from '../store/port.ts';
import { CommandError, onlyArgument, UsageError } from './command.ts';
import { print, printTable } from './output.ts';
import { withStore } from './store.ts';

const SCOPES: readonly Scope[] = ['admin', 'proxy', 'validate', 'labeller'];
const DEFAULT_SCOPES = 'proxy,validate';
const ALL_TENANTS = '*';
const NAME_CHARS_MAX = 100;

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Ten years; longer is a typing error, and no expiry is the default. */
const LIFETIME_MS_MAX = 3_650 * 86_400_000;

/** Prints the value once; it is kept nowhere. */
export async function createKey(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      name: { type: 'string' },
      scopes: { type: 'string', default: DEFAULT_SCOPES },
      tenants: { type: 'string', default: DEFAULT_NAME },
      expires: { type: 'string' },
      user: { type: 'string', default: DEFAULT_USER },
      json: { type: 'boolean', default: false },
    },
  });
  const name = readName('--name', values.name);
  const userId = readName('--user', values.user);
  const scopes = readScopes(values.scopes);
  const expiresAt = values.expires === undefined ? null : Date.now() + readLifetime(values.expires);
  return withStore(async ({ env, keys }) => {
    const tenants = readTenants(values.tenants, Object.keys(loadConfig(env.configFile ?? undefined).tenants));
    const first = tenants[0];
    const defaultTenant = first === undefined || first === ALL_TENANTS ? DEFAULT_NAME : first;
    const { value, token } = await keys.createToken({ name, userId, scopes, defaultTenant, tenants, expiresAt });
    if (values.json) print(JSON.stringify({ value, ...shown(token) }));
    else {
      print(value);
      print(`id ${token.id}, scopes ${token.scopes.join(',')}, tenants ${token.tenants.join(',')}, ${expiry(token)}`);
      print('The key is shown this once.');
    }
    return 0;
  });
}

/** Prints every key without its value. */
export async function listKeys(argv: string[]): Promise<number> {
  const { values } = parseArgs({ args: argv, options: { json: { type: 'boolean', default: false } } });
  return withStore(async ({ store }) => {
    const tokens = await store.listTokens();
    if (values.json) print(JSON.stringify(tokens.map(shown)));
    else {
      printTable([
        ['ID', 'NAME', 'USER', 'SCOPES', 'TENANTS', 'STATE', 'EXPIRES'],
        ...tokens.map((token) => [
          token.id,
          token.name,
          token.userId,
          token.scopes.join(','),
          token.tenants.join(','),
          state(token),
          expiry(token),
        ]),
      ]);
    }
    return 0;
  });
}

/** A running server refuses the key within a second. */
export async function revokeKey(argv: string[]): Promise<number> {
  const { positionals } = parseArgs({ args: argv, allowPositionals: true, options: {} });
  const id = onlyArgument(positionals, 'key id');
  return withStore(async ({ store }) => {
    if (!(await store.revokeToken(id))) throw new CommandError('there is no key with this id; see `keys list`');
    print(`revoked ${id}`);
    return 0;
  });
}

function shown(token: TokenRecord): Record<string, unknown> {
  const time = (millis: number) => new Date(millis).toISOString();
  return {
    ...token,
    state: state(token),
    createdAt: time(token.createdAt),
    expiresAt: token.expiresAt === null ? null : time(token.expiresAt),
  };
}

function state(token: TokenRecord): string {
  return token.state === 'active' && token.expiresAt !== null && token.expiresAt <= Date.now()
    ? 'expired'
    : token.state;
}

function expiry(token: TokenRecord): string {
  return token.expiresAt === null ? 'never expires' : `expires ${new Date(token.expiresAt).toISOString()}`;
}

function readName(option: string, value: string | undefined): string {
  // Names reach terminals and logs, so control characters stay out.
  if (value !== undefined && value.length <= NAME_CHARS_MAX && /^[^\p{C}]+$/u.test(value)) return value;
  throw new UsageError(`${option}: expected 1 to ${NAME_CHARS_MAX} printable characters`);
}

function readList(text: string): string[] {
  return [...new Set(text.split(',').map((part) => part.trim()))].filter((part) => part !== '');
}

function readScopes(text: string): Scope[] {
  const names = readList(text);
  const scopes = SCOPES.filter((scope) => names.includes(scope));
  if (scopes.length > 0 && scopes.length === names.length) return scopes;
  throw new UsageError(`--scopes: expected a list of ${SCOPES.join(', ')}`);
}

function readTenants(text: string, configured: readonly string[]): string[] {
  const tenants = readList(text);
  if (tenants.length > 0 && tenants.every((tenant) => tenant === ALL_TENANTS || configured.includes(tenant))) {
    return tenants;
  }
  throw new UsageError(`--tenants: expected a list of ${configured.join(', ')}, or ${ALL_TENANTS} for all`);
}

function readLifetime(text: string): number {
  const [, amount, unit] = /^([1-9]\d{0,6})([mhd])$/.exec(text) ?? [];
  const millis = Number(amount) * (UNIT_MS[unit ?? ''] ?? Number.NaN);
  if (millis <= LIFETIME_MS_MAX) return millis;
  throw new UsageError('--expires: expected a time such as 90m, 12h or 30d, at most 3650d');
}
