/** `deploy/setup.mjs` on a copy of this clone that shares its installed packages. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { setup } from '../../deploy/setup.mjs';

const ROOT = join(import.meta.dirname, '..', '..');
let clone: string;

interface Outcome {
  readonly code: number | null;
  readonly stderr: string;
  readonly millis: number;
}

function runSetup(mode = 'start'): Promise<Outcome> {
  const start = performance.now();
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ['deploy/setup.mjs', mode], { cwd: clone }, (_, __, stderr) => {
      resolve({ code: child.exitCode, stderr, millis: performance.now() - start });
    });
  });
}

const lock = () => join(clone, '.build', 'setup.lock');
const built = () => join(clone, '.build', 'config', 'schema.js');

beforeAll(() => setup({ mode: 'test' }), 120_000);
beforeEach(() => {
  clone = mkdtempSync(join(tmpdir(), 'portcullis-clone-'));
  for (const file of ['package.json', 'package-lock.json', 'tsconfig.json', 'deploy']) {
    cpSync(join(ROOT, file), join(clone, file), { recursive: true });
  }
  mkdirSync(join(clone, 'gateway'));
  mkdirSync(join(clone, 'engine'));
  cpSync(join(ROOT, 'config', 'schema.ts'), join(clone, 'config', 'schema.ts'));
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
});
afterEach(() => rmSync(clone, { recursive: true }));

describe('set-up', { timeout: 60_000 }, () => {
  it('builds once, and does nothing quickly after that', async () => {
    expect((await runSetup()).code).toBe(0);
    const before = statSync(built()).mtimeMs;
    const again = await runSetup();
    expect(again).toMatchObject({ code: 0, stderr: '' });
    // 110 ms on a quiet machine; tests share theirs.
    expect(again.millis).toBeLessThan(1_000);
    expect(statSync(built()).mtimeMs).toBe(before);
  });

  it('builds again when a source changed or appeared', async () => {
    await runSetup();
    writeFileSync(join(clone, 'engine', 'new.ts'), 'export const answer: number = 42;\n');
    expect((await runSetup('test')).code).toBe(0);
    expect(existsSync(join(clone, '.build', 'engine', 'new.js'))).toBe(true);
  });

  it('runs twice at once without harm and leaves no lock', async () => {
    const results = await Promise.all([runSetup(), runSetup('test'), runSetup()]);
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(readdirSync(join(clone, '.build')).filter((name) => name.includes('lock'))).toEqual([]);
  });

  it('takes over the lock of a process that is gone', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    mkdirSync(join(clone, '.build'));
    writeFileSync(lock(), JSON.stringify({ pid: child.pid, host: hostname(), started: '1' }));
    expect((await runSetup()).code).toBe(0);
    expect(existsSync(lock())).toBe(false);
  });

  it.skipIf(process.platform !== 'linux')('takes over when the process id was given to another process', async () => {
    mkdirSync(join(clone, '.build'));
    writeFileSync(lock(), JSON.stringify({ pid: process.pid, host: hostname(), started: '1' }));
    expect((await runSetup()).code).toBe(0);
  });

  it('waits for a set-up that is at work, and says so', async () => {
    mkdirSync(join(clone, '.build'));
    writeFileSync(lock(), JSON.stringify({ pid: 1, host: 'another machine', started: '1' }));
    setTimeout(() => rmSync(lock()), 1_500);
    const result = await runSetup();
    expect(result.code).toBe(0);
    expect(result.millis).toBeGreaterThan(1_400);
    expect(result.stderr).toContain('waiting for another set-up in this clone');
  });

  it('ends with one message and exit code 1 when it cannot go on', async () => {
    rmSync(join(clone, 'package-lock.json'));
    const { code, stderr } = await runSetup();
    expect([code, stderr]).toEqual([1, 'portcullis: package-lock.json is missing; clone again\n']);
    expect(existsSync(lock())).toBe(false);
    expect((await runSetup('nonsense')).stderr).toBe('portcullis: unknown mode nonsense; expected start or test\n');
  });

  it('says what does not compile', async () => {
    writeFileSync(join(clone, 'engine', 'new.ts'), 'export const = 1;\n');
    const { code, stderr } = await runSetup();
    expect(code).toBe(1);
    expect(stderr).toContain('the sources do not compile');
    expect(stderr).toContain('engine/new.ts');
  });
});
