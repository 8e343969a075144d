/** The environment as one typed object. A wrong variable stops the process with a message that shows no secret. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { parseSecretPair, type SecretPair } from './secrets.ts';
import { LOG_LEVELS, type LogLevel } from './telemetry/log.ts';
import { isRefusedAddress } from './upstream/address.ts';

/** Shorter keys can be guessed. */
const API_KEY_CHARS_MIN = 24;
const API_KEY_CHARS_MAX = 512;

/** Wrong environment; one line per variable. */
export class EnvError extends Error {
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'EnvError';
  }
}

export interface UpstreamEnv {
  /** Base URL without a trailing slash, for example `https://api.openai.com/v1`. */
  readonly url: string;
  readonly key: string | null;
  readonly model: string | null;
}

export interface Env {
  readonly port: number;
  readonly adminPort: number;
  readonly host: string;
  readonly adminHost: string;
  /** Path of the operator's YAML file. */
  readonly configFile: string | null;
  readonly dataDir: string;
  readonly apiKey: string | null;
  /** Null starts the demo provider. */
  readonly upstream: UpstreamEnv | null;
  /** Null keeps a secret in the data directory. */
  readonly secret: SecretPair | null;
  readonly logLevel: LogLevel;
}

const port = z
  .string()
  .regex(/^\d{1,5}$/)
  .transform(Number)
  .pipe(z.number().max(65_535));
const host = z.string().regex(/^[A-Za-z0-9.:_%-]{1,253}$/);
const path = z.string().transform((text) => resolve(text));
/** What an HTTP header can carry: printable ASCII without blanks. */
const headerValue = z.string().regex(/^[!-~]+$/);
/** Of a key for a provider. */
const PROVIDER_KEY_CHARS_MAX = 8192;

interface Variable {
  readonly schema: z.ZodType<unknown, string>;
  readonly expected: string;
  /** The value may be shown in a message. */
  readonly shown: boolean;
}

const VARIABLES = {
  PORT: { schema: port, expected: 'a port number from 0 to 65535', shown: true },
  ADMIN_PORT: { schema: port, expected: 'a port number from 0 to 65535', shown: true },
  HOST: { schema: host, expected: 'a host name or IP address', shown: true },
  ADMIN_HOST: { schema: host, expected: 'a host name or IP address', shown: true },
  PORTCULLIS_CONFIG: { schema: path, expected: 'the path of a YAML file', shown: true },
  PORTCULLIS_DATA_DIR: { schema: path, expected: 'the path of a directory', shown: true },
  PORTCULLIS_API_KEY: {
    schema: headerValue.min(API_KEY_CHARS_MIN).max(API_KEY_CHARS_MAX),
    expected: `${API_KEY_CHARS_MIN} to ${API_KEY_CHARS_MAX} printable ASCII characters without blanks`,
    shown: false,
  },
  PORTCULLIS_UPSTREAM_URL: {
    schema: z.string().transform(parseBaseUrl).pipe(z.string()),
    expected: 'an http or https URL without user, password, query and fragment, such as https://api.openai.com/v1',
    // A URL may carry a password by mistake, which is one of the reasons to refuse it.
    shown: false,
  },
  PORTCULLIS_UPSTREAM_KEY: {
    schema: headerValue.max(PROVIDER_KEY_CHARS_MAX),
    expected: 'printable ASCII characters without blanks',
    shown: false,
  },
  PORTCULLIS_UPSTREAM_MODEL: { schema: z.string().max(256), expected: 'a model name', shown: true },
  PORTCULLIS_SECRET: {
    schema: z
      .string()
      .transform(parseSecretPair)
      .pipe(z.custom<SecretPair>((value) => value !== null)),
    expected: '32 bytes in base64, or two of them as current,previous',
    shown: false,
  },
  LOG_LEVEL: { schema: z.enum(LOG_LEVELS), expected: `one of ${LOG_LEVELS.join(', ')}`, shown: true },
} satisfies Record<string, Variable>;

type Values = { [K in keyof typeof VARIABLES]?: z.output<(typeof VARIABLES)[K]['schema']> };

/** Whether a header can carry this key to a provider. */
export function isProviderKey(text: string): boolean {
  return headerValue.max(PROVIDER_KEY_CHARS_MAX).safeParse(text).success;
}

/** Reads and validates everything at once, so that one start shows all mistakes. Throws `EnvError`. */
export function readEnv(
  source: Readonly<Record<string, string | undefined>> = process.env,
  execArgv: readonly string[] = process.execArgv,
): Env {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, variable] of Object.entries<Variable>(VARIABLES)) {
    // Templates often leave a variable empty where it is not wanted.
    const text = source[name]?.trim();
    if (text === undefined || text === '') continue;
    const result = variable.schema.safeParse(text);
    if (result.success) values[name] = result.data;
    else problems.push(problem(name, variable, text));
  }
  const env = values as Values;
  for (const name of ['PORTCULLIS_UPSTREAM_KEY', 'PORTCULLIS_UPSTREAM_MODEL'] as const) {
    if (env[name] !== undefined && !source.PORTCULLIS_UPSTREAM_URL?.trim()) {
      problems.push(`${name}: has no effect without PORTCULLIS_UPSTREAM_URL; expected both or neither`);
    }
  }
  problems.push(...parserProblems(source.NODE_OPTIONS ?? '', execArgv));
  if (problems.length > 0) throw new EnvError(problems);
  return assemble(env);
}

function assemble(env: Values): Env {
  const url = env.PORTCULLIS_UPSTREAM_URL;
  return {
    port: env.PORT ?? 8787,
    adminPort: env.ADMIN_PORT ?? 9464,
    host: env.HOST ?? '127.0.0.1',
    adminHost: env.ADMIN_HOST ?? '127.0.0.1',
    configFile: env.PORTCULLIS_CONFIG ?? null,
    dataDir: env.PORTCULLIS_DATA_DIR ?? resolve('.portcullis'),
    apiKey: env.PORTCULLIS_API_KEY ?? null,
    upstream:
      url === undefined
        ? null
        : { url, key: env.PORTCULLIS_UPSTREAM_KEY ?? null, model: env.PORTCULLIS_UPSTREAM_MODEL ?? null },
    secret: env.PORTCULLIS_SECRET ?? null,
    logLevel: env.LOG_LEVEL ?? 'info',
  };
}

function problem(name: string, variable: Variable, text: string): string {
  const found = variable.shown ? JSON.stringify(text.slice(0, 80)) : `a value of ${text.length} characters`;
  return `${name}: found ${found}; expected ${variable.expected}`;
}

/** A lenient parser lets requests be smuggled past the guards. */
function parserProblems(nodeOptions: string, execArgv: readonly string[]): string[] {
  const flag = '--insecure-http-parser';
  const problems: string[] = [];
  // Node accepts underscores for dashes in its options.
  const has = (text: string) => text.replaceAll('_', '-').includes(flag);
  if (has(nodeOptions)) problems.push(`NODE_OPTIONS: found ${flag}; expected Node's strict HTTP parser`);
  if (execArgv.some(has)) problems.push(`node: found ${flag}; expected Node's strict HTTP parser`);
  return problems;
}

function parseBaseUrl(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return null;
  if (isRefusedAddress(url.hostname)) return null;
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return null;
  return url.href.replace(/\/+$/, '');
}
