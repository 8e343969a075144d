/** A process whose log nobody reads keeps working. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { setup } from '../../deploy/setup.mjs';

const module = pathToFileURL(join(import.meta.dirname, '..', '..', '.build', 'gateway', 'telemetry', 'log.js')).href;

/** Logs 20 MB in 100 turns of the event loop, then tells on stderr what was lost and the longest turn. */
const CHILD = `
  import { createLog } from '${module}';
  const log = createLog({ level: 'info' });
  let last = Date.now(), slowest = 0;
  for (let turn = 0; turn < 100; turn++) {
    for (let line = 0; line < 1000; line++) log.info('event', { reason: 'x'.repeat(150) });
    await new Promise((resume) => setTimeout(resume, 1));
    slowest = Math.max(slowest, Date.now() - last);
    last = Date.now();
  }
  process.stderr.write(JSON.stringify({ lost: log.dropped.lines, slowest }), () => process.exit(0));
`;

interface Report {
  readonly lost: number;
  readonly slowest: number;
}

async function runChild(reader: (child: ReturnType<typeof spawn>) => void): Promise<{ code: number; report: Report }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stderr?.on('data', (chunk) => {
    text += String(chunk);
  });
  reader(child);
  const [code] = (await once(child, 'exit')) as [number];
  return { code, report: JSON.parse(text) as Report };
}

beforeAll(() => setup({ mode: 'test' }), 120_000);

describe('the log.limits', { timeout: 30_000 }, () => {
  it('goes on when stdout is closed', async () => {
    const { code, report } = await runChild((child) => child.stdout?.destroy());
    expect(code).toBe(0);
    expect(report.lost).toBeGreaterThan(90_000);
  });

  it('goes on when stdout is blocked, and never waits for it', async () => {
    const { code, report } = await runChild((child) => child.stdout?.pause());
    expect(code).toBe(0);
    expect(report.lost).toBeGreaterThan(50_000);
    expect(report.slowest).toBeLessThan(2_000);
  });
});
