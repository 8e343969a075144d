/**
 * Direct, pipe and gateway against one mock provider in one interleaved run. CPU per request is the number to trust:
 * neighbours on the machine move requests per second, not CPU. Prints ratios with their spread and writes JSON.
 *
 * node test/bench/run.mjs [--rounds 5] [--seconds 2]
 */
import { fork, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';

const ROOT = join(import.meta.dirname, '..', '..');
const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '2' } },
});
const ROUNDS = Number(values.rounds);
const MILLIS = Number(values.seconds) * 1000;
const CONNECTIONS = 32;
const CHUNKS = 101;
const KEY = `bench-${Math.random().toString(36).slice(2)}-${Math.random().toString(36).slice(2)}`;
const QUESTION = 'Our harbour master keeps a log of arrivals and wants a short summary for the weekly meeting. '.repeat(
  20,
);
const SYSTEM = 'You are the assistant of a small harbour office. Answer briefly and politely.';
const body = (stream) =>
  JSON.stringify({
    model: 'bench',
    stream,
    messages: [
      { role: 'system', content: SYSTEM },
      { role: 'user', content: QUESTION },
    ],
  });

const children = [];
const dataDir = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));

function forked(file, ...args) {
  const child = fork(join(import.meta.dirname, file), args);
  children.push(child);
  return new Promise((resolve) => child.once('message', ({ port }) => resolve(`http://127.0.0.1:${port}`)));
}

function gateway(upstream) {
  const child = spawn(process.execPath, [join(ROOT, 'deploy', 'portcullis.mjs'), 'serve'], {
    env: {
      ...process.env,
      PORT: '0',
      ADMIN_PORT: '0',
      PORTCULLIS_DATA_DIR: dataDir,
      PORTCULLIS_API_KEY: KEY,
      PORTCULLIS_UPSTREAM_URL: `${upstream}/v1`,
      LOG_LEVEL: 'silent',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return new Promise((resolve) => {
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
      const match = output.match(/listens on (http:\S+) \(metrics on port (\d+)\)/);
      if (match !== null) resolve({ url: match[1], admin: `http://127.0.0.1:${match[2]}` });
    });
  });
}

/** Microseconds of CPU that a process has used so far. */
async function cpu(target) {
  if (target.cpuUrl === undefined) return 0;
  const text = await (await fetch(target.cpuUrl)).text();
  if (target.name === 'pipe') return Number(text);
  const seconds = (name) => Number(text.match(new RegExp(`^${name} (\\S+)`, 'm'))?.[1]);
  return (seconds('process_cpu_user_seconds_total') + seconds('process_cpu_system_seconds_total')) * 1e6;
}

async function round(target, stream) {
  const payload = body(stream);
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
  let done = 0;
  const before = await cpu(target);
  const end = performance.now() + MILLIS;
  const worker = async () => {
    while (performance.now() < end) {
      const answer = await target.pool.request({
        method: 'POST',
        path: '/v1/chat/completions',
        headers,
        body: payload,
      });
      if (answer.statusCode !== 200)
        throw new Error(`${target.name}: ${answer.statusCode} ${await answer.body.text()}`);
      await answer.body.dump({ limit: 1 << 30 });
      done++;
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  const seconds = (performance.now() - started) / 1000;
  return { perSecond: done / seconds, cpuMicros: ((await cpu(target)) - before) / done };
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const spread = (list) => `${Math.min(...list).toFixed(2)}-${Math.max(...list).toFixed(2)}`;

async function main() {
  const mock = await forked('mock.mjs');
  const pipe = await forked('pipe.mjs', mock);
  const { url, admin } = await gateway(mock);
  const targets = [
    { name: 'direct', url: mock },
    { name: 'pipe', url: pipe, cpuUrl: `${pipe}/cpu` },
    { name: 'gateway', url, cpuUrl: `${admin}/metrics` },
  ].map((target) => ({ ...target, pool: new Pool(target.url, { connections: CONNECTIONS }) }));
  const results = {};
  for (const stream of [false, true]) {
    const rounds = [];
    for (const target of targets) await round(target, stream);
    for (let i = 0; i < ROUNDS; i++) {
      const row = {};
      for (const target of targets) row[target.name] = await round(target, stream);
      rounds.push(row);
    }
    results[stream ? 'stream' : 'whole'] = summarise(rounds, stream);
  }
  const report = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, rounds: ROUNDS, ...results };
  writeFileSync(join(ROOT, '.build', 'bench.json'), `${JSON.stringify(report, null, 2)}\n`);
  for (const target of targets) await target.pool.close();
}

function summarise(rounds, stream) {
  const kind = stream ? 'streamed answers (100 chunks)' : 'whole answers (2 KB prompt, 1 KB answer)';
  process.stdout.write(`\n${kind}, ${CONNECTIONS} connections, ${rounds.length} interleaved rounds\n`);
  const summary = {};
  for (const name of Object.keys(rounds[0])) {
    const perSecond = rounds.map((row) => row[name].perSecond);
    const cpuMicros = rounds.map((row) => row[name].cpuMicros);
    const toPipe = rounds.map((row) => row[name].perSecond / row.pipe.perSecond);
    const cpuToPipe = rounds.map((row) => row[name].cpuMicros / row.pipe.cpuMicros);
    summary[name] = {
      perSecond: median(perSecond),
      cpuMicros: median(cpuMicros),
      toPipe: median(toPipe),
      cpuToPipe: median(cpuToPipe),
    };
    const perChunk = stream ? `, ${(median(cpuMicros) / CHUNKS).toFixed(1)} us CPU/chunk` : '';
    process.stdout.write(
      `  ${name.padEnd(8)} ${median(perSecond).toFixed(0).padStart(6)}/s  ${median(cpuMicros).toFixed(0).padStart(6)} us CPU${perChunk}  ` +
        `${median(toPipe).toFixed(2)}x pipe (${spread(toPipe)}), CPU ${median(cpuToPipe).toFixed(2)}x (${spread(cpuToPipe)})\n`,
    );
  }
  return summary;
}

try {
  await main();
} finally {
  for (const child of children) child.kill();
  rmSync(dataDir, { recursive: true, force: true });
}
