/** The data directory and the private files in it. Files appear whole or not at all, also for other processes. */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** The data directory cannot be used; the message names it. */
export class DataDirError extends Error {
  constructor(message: string, options: ErrorOptions) {
    super(message, options);
    this.name = 'DataDirError';
  }
}

/** Creates the directory for the owner alone. An existing one is left as the operator made it. */
export function ensurePrivateDir(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new DataDirError(`${dir}: cannot be used as a directory`, { cause });
  }
}

/**
 * Creates `path` (mode 0600) with `content` unless it exists, and returns what the file holds afterwards.
 * Of several processes exactly one gets `created: true`; all get the same content.
 */
export function createPrivateFile(path: string, content: string): { created: boolean; content: string } {
  const present = readPrivateFile(path);
  if (present !== null) return { created: false, content: present };
  // Linking a finished file is exclusive like O_EXCL, and no reader can meet a half-written one.
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  const handle = openSync(draft, 'wx', 0o600);
  try {
    writeSync(handle, content);
    fsyncSync(handle);
    linkSync(draft, path);
    return { created: true, content };
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    return { created: false, content: readFileSync(path, 'utf8') };
  } finally {
    closeSync(handle);
    rmSync(draft, { force: true });
  }
}

/** The content, or null when there is no such file. */
export function readPrivateFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}

/** True when `error` is a system error with this code, such as `ENOENT`. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
