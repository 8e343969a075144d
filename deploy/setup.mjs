/**
 * Makes a clone ready to run: packages, the native addons, the compiled sources. Runs before everything else, so it
 * uses Node alone. Adds and replaces, never empties: `npm start` and `npm test` may run in one clone at once.
 *
 * node deploy/setup.mjs [start|test]
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir, hostname, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const BUILD = join(ROOT, '.build');
const MODULES = join(ROOT, 'node_modules');
const INSTALL_STAMP = join(MODULES, '.portcullis', 'install');
const BUILD_STAMP = join(BUILD, 'stamp');
const LOCK = join(BUILD, 'setup.lock');

const NODE_FLOOR = [20, 19];
/** Addons that must load in this very Node. */
const ADDONS = ['re2', 'lmdb'];
const BUILD_TOOLS = ['g++', 'make', 'python3'];
/** A slow machine compiles re2 for ten minutes; beyond this something hangs. */
const INSTALL_MS_MAX = 40 * 60_000;
const LOCK_POLL_MS = 250;
const LOCK_TOUCH_MS = 5_000;
/** A lock of another machine (a shared folder) counts as left behind when nobody touched it for this long. */
const FOREIGN_LOCK_MS_MAX = 120_000;
const PROGRESS_MS = 20_000;
const OUTPUT_LINES_SHOWN = 30;
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** An outcome the user is told about in plain words; anything else is a bug and keeps its stack. */
class SetupError extends Error {}

/** Brings the clone up to date. Does nothing, quickly, when it is. Throws an error whose message says what to do. */
export async function setup({ mode }) {
  if (mode !== 'start' && mode !== 'test') throw new SetupError(`unknown mode ${mode}; expected start or test`);
  requireNode();
  if (isReady()) return;
  await withLock(async () => {
    if (!isInstalled()) await install();
    if (!isBuilt()) await build();
  });
}

function isReady() {
  return isInstalled() && isBuilt();
}

function isInstalled() {
  return read(INSTALL_STAMP) === installHash();
}

function isBuilt() {
  return read(BUILD_STAMP) === sourceHash();
}

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_FLOOR[0] || (major === NODE_FLOOR[0] && minor >= NODE_FLOOR[1])) return;
  throw new SetupError(`Node ${NODE_FLOOR.join('.')} or newer is needed; this is ${process.versions.node}`);
}

/** What the installed packages depend on. */
function installHash() {
  const lock = read(join(ROOT, 'package-lock.json')) ?? '';
  return hash([lock, process.versions.modules, `${process.platform}-${process.arch}`]);
}

/** Contents, not times: a checkout that changes nothing builds nothing. */
function sourceHash() {
  const parts = [read(INSTALL_STAMP) ?? ''];
  const files = ['tsconfig.json', 'deploy/tsconfig.build.json'];
  for (const folder of ['config', 'engine', 'gateway']) files.push(...sourcesUnder(folder));
  for (const file of files) parts.push(file, readFileSync(join(ROOT, file), 'utf8'));
  return hash(parts);
}

function sourcesUnder(folder) {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return sourcesUnder(path);
      return entry.name.endsWith('.ts') ? [path] : [];
    });
}

async function install() {
  if (read(join(ROOT, 'package-lock.json')) === null) throw new SetupError('package-lock.json is missing; clone again');
  say('installing packages. The first time, the native re2 module is compiled, which takes some minutes.');
  if (!addonsLoad()) provideBuildTools();
  const cache = writableCache();
  try {
    // Not `npm ci`: it empties node_modules under a running server. Without saving, the lockfile is read, not written.
    await npm(
      [
        'install',
        '--no-save',
        '--package-lock=true',
        '--include=dev',
        '--engine-strict=false',
        '--no-audit',
        '--no-fund',
      ],
      cache,
      'installing',
    );
    // Packages that stayed while Node changed, or that came without their install scripts.
    if (!addonsLoad()) {
      await npm(['rebuild', ...ADDONS, 'msgpackr-extract', '--ignore-scripts=false'], cache, 'compiling');
    }
  } finally {
    if (cache.temporary) rmSync(cache.path, { recursive: true, force: true });
  }
  const problem = addonProblem();
  if (problem !== '') throw new SetupError(`the native modules do not load in this Node:\n${problem}`);
  writeStamp(INSTALL_STAMP, installHash());
  say('packages are in place');
}

async function build() {
  const stamp = sourceHash();
  // Types are the business of `npm run check`; here the sources only lose them.
  const tsc = join(MODULES, 'typescript', 'bin', 'tsc');
  const result = await run(process.execPath, [tsc, '-p', join(ROOT, 'deploy', 'tsconfig.build.json'), '--noCheck'], {
    env: process.env,
    what: 'building',
  });
  if (result.code !== 0) throw new SetupError(`the sources do not compile:\n${result.tail}`);
  writeStamp(BUILD_STAMP, stamp);
}

async function npm(args, cache, what) {
  const env = { ...process.env, npm_config_cache: cache.path, npm_config_update_notifier: 'false' };
  if (cache.temporary) env.npm_config_devdir = join(cache.path, 'node-gyp');
  const headers = nodeDir();
  if (headers !== null) env.npm_config_nodedir = headers;
  const cli = process.env.npm_execpath ?? '';
  // Under `npm start`, npm says where it is; a shell would have to find it.
  const own = /npm-cli\.[cm]?js$/.test(cli) && existsSync(cli);
  const windows = process.platform === 'win32';
  const [command, first] = own ? [process.execPath, [cli]] : [windows ? 'npm.cmd' : 'npm', []];
  const result = await run(command, [...first, ...args], { env, what, shell: !own && windows });
  if (result.code === 0) return;
  const missing = missingTools();
  const hint =
    missing.length === 0
      ? ''
      : `\nThe native modules need ${missing.join(', ')}. Install ${missing.length > 1 ? 'them' : 'it'} (Debian, Ubuntu: apt-get install ${missing.join(' ')}) and run this again.`;
  throw new SetupError(`npm ${args[0]} failed:\n${result.tail}${hint}`);
}

/** Headers of the running Node, which node-gyp would otherwise have to download. */
function nodeDir() {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const text = read(join(prefix, 'include', 'node', 'node_version.h'));
  const part = (name) => text?.match(new RegExp(`#define NODE_${name}_VERSION (\\d+)`))?.[1];
  return `${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}` === process.versions.node ? prefix : null;
}

/** npm's own cache, or a temporary one where that cannot be written (read-only home). */
function writableCache() {
  const path = process.env.npm_config_cache || join(homedir(), '.npm');
  const probe = join(path, `.portcullis-${randomBytes(4).toString('hex')}`);
  try {
    // Not recursive: a home that does not exist is a reason for the temporary one.
    if (!existsSync(path)) mkdirSync(path);
    writeFileSync(probe, '');
    rmSync(probe);
    const content = join(path, '_cacache');
    if (existsSync(content)) accessSync(content, constants.W_OK);
    return { path, temporary: false };
  } catch {
    // Whatever the reason, a cache of our own works.
    return { path: mkdtempSync(join(tmpdir(), 'portcullis-npm-')), temporary: true };
  }
}

function addonsLoad() {
  return addonProblem() === '';
}

/** Loads the addons in a child: one built for another Node can end the process. */
function addonProblem() {
  const code = ADDONS.map((name) => `await import(${JSON.stringify(name)});`).join('');
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return result.status === 0 ? '' : lastLines(result.stderr || `ended by ${result.signal}`);
}

function missingTools() {
  const path = (process.env.PATH ?? '').split(delimiter);
  return BUILD_TOOLS.filter((tool) => !path.some((dir) => existsSync(join(dir, tool))));
}

/** As root on Debian installs what the native build needs; elsewhere says what that is. */
function provideBuildTools() {
  if (process.platform === 'win32') return;
  const missing = missingTools();
  if (missing.length === 0) return;
  const canInstall = process.getuid?.() === 0 && spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status === 0;
  if (!canInstall) {
    say(`${missing.join(', ')} not found. If no prebuilt re2 can be fetched, installation ends and they are needed.`);
    return;
  }
  say(`installing build tools: ${missing.join(', ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args) => spawnSync('apt-get', ['-q', '-y', ...args], { env, stdio: 'ignore' }).status === 0;
  if (apt('install', '--no-install-recommends', ...missing)) return;
  // A fresh image has no package lists yet.
  if (apt('update') && apt('install', '--no-install-recommends', ...missing)) return;
  say('apt-get could not install them; going on without');
}

/** Runs a command with its output kept for the case that it fails. */
function run(command, args, { env, what, shell = false }) {
  return new Promise((done) => {
    const started = Date.now();
    const child = spawn(command, args, { cwd: ROOT, env, shell, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (chunk) => {
      output = (output + chunk).slice(-64 * 1024);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const limit = setTimeout(() => child.kill('SIGKILL'), INSTALL_MS_MAX);
    const progress = setInterval(() => {
      say(`still ${what} (${Math.round((Date.now() - started) / 1000)} s)`);
    }, PROGRESS_MS);
    // Ended by hand, npm must not go on alone: the next set-up would meet it at work.
    const stop = (signal) => {
      child.kill(signal);
      process.exit(1);
    };
    for (const signal of STOP_SIGNALS) process.once(signal, stop);
    const end = (code) => {
      for (const signal of STOP_SIGNALS) process.off(signal, stop);
      clearTimeout(limit);
      clearInterval(progress);
      done({ code, tail: lastLines(output) });
    };
    child.on('error', (error) => {
      keep(`${command}: ${error.message}`);
      end(-1);
    });
    child.on('close', end);
  });
}

async function withLock(work) {
  mkdirSync(BUILD, { recursive: true });
  await takeLock();
  const touch = setInterval(() => {
    const now = new Date();
    if (existsSync(LOCK)) utimesSync(LOCK, now, now);
  }, LOCK_TOUCH_MS);
  try {
    await work();
  } finally {
    clearInterval(touch);
    rmSync(LOCK, { force: true });
  }
}

async function takeLock() {
  const own = join(BUILD, `setup.lock.${process.pid}`);
  writeFileSync(own, JSON.stringify({ pid: process.pid, host: hostname(), started: startTime(process.pid) }));
  try {
    let said = false;
    for (const end = Date.now() + INSTALL_MS_MAX; ; ) {
      // Linking a finished file is exclusive, and no reader can meet a half-written one.
      if (tryLink(own, LOCK)) return;
      const holder = read(LOCK);
      if (holder !== null && isLeftBehind(holder)) removeLock(holder);
      else if (!said) {
        say('waiting for another set-up in this clone to finish');
        said = true;
      }
      if (Date.now() > end) throw new SetupError(`another set-up does not finish; if none runs, remove ${LOCK}`);
      await new Promise((resume) => setTimeout(resume, LOCK_POLL_MS));
    }
  } finally {
    rmSync(own, { force: true });
  }
}

function isLeftBehind(holder) {
  let lock;
  try {
    lock = JSON.parse(holder);
  } catch {
    // Not ours to understand, so only its age counts.
    lock = { host: null };
  }
  if (lock.host !== hostname()) {
    const touched = statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    return Date.now() - touched > FOREIGN_LOCK_MS_MAX;
  }
  // A process of the same id that started at another time is another process.
  return !isAlive(lock.pid) || startTime(lock.pid) !== lock.started;
}

/** Takes the dead lock away; when a living one came in between, puts that one back. */
function removeLock(holder) {
  const aside = `${LOCK}.dead.${process.pid}`;
  try {
    renameSync(LOCK, aside);
  } catch {
    // Somebody else was faster.
    return;
  }
  if (read(aside) !== holder) tryLink(aside, LOCK);
  rmSync(aside, { force: true });
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Start time in the kernel's clock ticks, where the system tells it. */
function startTime(pid) {
  const stat = read(`/proc/${pid}/stat`);
  // The name in brackets may hold blanks, so fields are counted after it; field 22 overall.
  return stat === null ? '' : (stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '');
}

function tryLink(from, to) {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    // No hard links on this file system.
    return copyExclusive(from, to);
  }
}

function copyExclusive(from, to) {
  let handle;
  try {
    handle = openSync(to, 'wx');
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
  writeFileSync(handle, readFileSync(from));
  closeSync(handle);
  return true;
}

function writeStamp(path, content) {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, content);
  renameSync(draft, path);
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Missing and unreadable are the same here: not up to date.
    return null;
  }
}

function hash(parts) {
  const sum = createHash('sha256');
  for (const part of parts) sum.update(`${part.length}:${part}`);
  return sum.digest('hex');
}

function lastLines(text) {
  return text.trim().split('\n').slice(-OUTPUT_LINES_SHOWN).join('\n');
}

function say(text) {
  process.stderr.write(`portcullis: ${text}\n`);
}

/** Set-up as a command: one message and exit code 1 when it cannot be done. */
export async function setupOrExit(mode) {
  try {
    await setup({ mode });
  } catch (error) {
    say(error instanceof SetupError ? error.message : error.stack);
    process.exit(1);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  await setupOrExit(process.argv[2] ?? 'start');
}
