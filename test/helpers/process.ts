/** The program as a user runs it: a child process, its output, its end. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { within } from './deadline.ts';

export const ROOT = join(import.meta.dirname, '..', '..');
const CLI = join(ROOT, 'deploy', 'portcullis.mjs');

export interface RunningServer {
  readonly url: string;
  readonly adminUrl: string;
  /** Everything printed so far. */
  output(): string;
  /** Sends SIGTERM and resolves with the exit code. */
  stop(): Promise<number | null>;
}

/** Starts `serve` on free ports and waits until it has said where. */
export async function startServer(env: Record<string, string>): Promise<RunningServer> {
  const child = spawn(process.execPath, [CLI, 'serve'], {
    cwd: ROOT,
    env: { ...process.env, PORT: '0', ADMIN_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
  });
  const match = await within(
    60_000,
    address(child, () => output),
    'the server to listen',
  );
  return {
    url: match[1] as string,
    adminUrl: `http://127.0.0.1:${match[2]}`,
    output: () => output,
    stop: () => {
      child.kill('SIGTERM');
      return within(30_000, ended(child), 'the server to stop');
    },
  };
}

function address(child: ChildProcess, output: () => string): Promise<RegExpMatchArray> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const match = output().match(/listens on (http:\S+) \(metrics on port (\d+)\)[\s\S]*"event":"listening"/);
      if (match !== null) resolve(match);
    };
    child.stdout?.on('data', look);
    child.once('exit', (code) => reject(new Error(`exit ${code}: ${output()}`)));
  });
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) resolve(child.exitCode);
    else child.once('exit', (code) => resolve(code));
  });
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a shell command in the repository. */
export function shell(command: string, env: Record<string, string> = {}): Promise<Finished> {
  return new Promise((resolve) => {
    const options = { cwd: ROOT, env: { ...process.env, ...env }, timeout: 60_000 };
    execFile('bash', ['-c', command], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr });
    });
  });
}
