/**
 * Structured logs, one JSON object per line on stdout. What may be logged is a closed list of fields: text of
 * prompts, answers, keys and canaries has no field to travel in.
 */
import type { Writable } from 'node:stream';
import { pino } from 'pino';
import { boundedSink } from './stdout.ts';

/** Levels in rising order of severity. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** Characters of one string value; longer ones are cut. */
const VALUE_CHARS_MAX = 200;

const STRING_FIELDS = [
  'requestId',
  'telemetryId',
  'tenant',
  'tokenId',
  'userId',
  'method',
  'route',
  'action',
  'code',
  'provider',
  'guard',
  'direction',
  'outcome',
  'file',
  'problem',
  'host',
  'version',
  'reason',
  'receipt',
  'errorName',
  'errorCode',
  'signal',
] as const;

const NUMBER_FIELDS = [
  'status',
  'upstreamStatus',
  'durationMs',
  'upstreamMs',
  'engineMicros',
  'risk',
  'port',
  'count',
  'bytes',
  'inputTokens',
  'outputTokens',
] as const;

const BOOLEAN_FIELDS = ['stream', 'degraded', 'usageEstimated'] as const;

/** Every field a log line may have beside `level`, `time` and `event`. */
export type LogFields = {
  readonly [K in (typeof STRING_FIELDS)[number]]?: string | undefined;
} & { readonly [K in (typeof NUMBER_FIELDS)[number]]?: number | undefined } & {
  readonly [K in (typeof BOOLEAN_FIELDS)[number]]?: boolean | undefined;
};

const KINDS: ReadonlyMap<string, 'string' | 'number' | 'boolean'> = new Map<string, 'string' | 'number' | 'boolean'>([
  ...STRING_FIELDS.map((name) => [name, 'string'] as const),
  ...NUMBER_FIELDS.map((name) => [name, 'number'] as const),
  ...BOOLEAN_FIELDS.map((name) => [name, 'boolean'] as const),
]);

export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** What was lost so far: whole lines to a slow or closed reader, fields that are not on the list. */
  readonly dropped: { readonly lines: number; readonly fields: number };
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Default stdout. */
  readonly destination?: Writable;
  /** Called for each lost line or field. */
  readonly onDrop?: (what: 'line' | 'field') => void;
}

/** Makes the process's log. Logging never throws and never waits. */
export function createLog({ level, destination = process.stdout, onDrop = () => {} }: LogOptions): Log {
  const dropped = { lines: 0, fields: 0 };
  const sink = boundedSink(destination, () => {
    dropped.lines++;
    onDrop('line');
  });
  const dropField = () => {
    dropped.fields++;
    onDrop('field');
  };
  const logger = pino(
    {
      level,
      base: null,
      messageKey: 'event',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    sink,
  );
  const method = (name: 'debug' | 'info' | 'warn' | 'error') => (event: string, fields?: LogFields) => {
    if (logger.isLevelEnabled(name)) logger[name](allowed(fields, dropField), plain(event));
  };
  return { debug: method('debug'), info: method('info'), warn: method('warn'), error: method('error'), dropped };
}

/** What may be logged about a thrown value. Its message may quote a request, so only class and system code remain. */
export function errorFields(error: unknown): LogFields {
  if (!(error instanceof Error)) return { errorName: typeof error };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return { errorName: error.name, errorCode: code };
}

/** The type already forbids other fields; a cast or a spread object can still bring them, so this decides. */
function allowed(fields: LogFields | undefined, dropField: () => void): Record<string, string | number | boolean> {
  const result: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(fields ?? {}) as [string, unknown][]) {
    if (value === undefined) continue;
    if (typeof value === 'string' && KINDS.get(name) === 'string') result[name] = plain(value);
    else if (typeof value === 'number' && KINDS.get(name) === 'number' && Number.isFinite(value)) result[name] = value;
    else if (typeof value === 'boolean' && KINDS.get(name) === 'boolean') result[name] = value;
    else dropField();
  }
  return result;
}

/** One printable line: no control characters, no terminal escapes, no direction overrides, a bounded length. */
function plain(value: string): string {
  const cut = value.length > VALUE_CHARS_MAX ? `${value.slice(0, VALUE_CHARS_MAX)}…` : value;
  return (
    cut
      // Linear: no quantifier overlaps another. CSI and OSC sequences first, so their parameters go as well.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
      .replace(/\u001b\[[0-9;?]{0,32}[@-~]|\u001b\][^\u0007\u001b]{0,200}(?:\u0007|\u001b\\)?/g, '')
      .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '')
  );
}
