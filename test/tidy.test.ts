/** House rules that the compiler and the linter do not know. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');

const TOP_LEVEL = [
  '.biome.json',
  '.ci',
  '.gitattributes',
  '.gitignore',
  '.npmrc',
  'CHANGELOG.md',
  'LICENSE',
  'README.md',
  'config',
  'deploy',
  'docker-compose.yml',
  'engine',
  'gateway',
  'package-lock.json',
  'package.json',
  'test',
  'tsconfig.json',
];

/** Modules that nothing reaches yet. Must shrink to nothing; an entry that is reached fails the run. */
const NOT_YET_REACHED: readonly string[] = [];

/** What the engine must not know: the outside world, and the libraries that talk to it. */
const ENGINE_FORBIDDEN = ['hono', '@hono/node-server', 'undici', 'ioredis', 'pino', 'prom-client', 'lmdb', 'yaml'];
const ENGINE_BUILTINS = ['node:buffer', 'node:crypto', 'node:string_decoder', 'node:util', 'node:zlib'];

const LINES_MAX = 400;

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], { cwd: ROOT, encoding: 'utf8' })
  .split('\0')
  .filter((file) => file !== '' && existsSync(join(ROOT, file)))
  .sort();
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const isCode = (file: string) => /\.(ts|mjs)$/.test(file);
const inside = (...folders: string[]) =>
  files.filter((file) => folders.some((folder) => file.startsWith(`${folder}/`)));
const product = inside('gateway', 'engine', 'config').filter(isCode);
const tests = inside('test').filter(isCode);
const code = [...product, ...tests, ...inside('deploy').filter(isCode)];

/** This file spells out what it forbids. */
const SELF = 'test/tidy.test.ts';

interface Import {
  readonly from: string;
  /** A repository path, or the name of a package or builtin. */
  readonly to: string;
}

function importsOf(file: string): Import[] {
  const found = read(file).matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'/g,
  );
  return [...found].map(([, a, b, c]) => {
    const name = (a ?? b ?? c) as string;
    return { from: file, to: name.startsWith('.') ? normalize(join(dirname(file), name)) : name };
  });
}

const imports = new Map(code.map((file) => [file, importsOf(file)]));
const importsUnder = (folder: string) =>
  product.filter((file) => file.startsWith(folder)).flatMap((file) => imports.get(file) ?? []);

/** `file:line` of every line of code that matches; comments count only when `comments` is set. */
function offences(list: readonly string[], pattern: RegExp, comments = false): string[] {
  return list
    .filter((file) => file !== SELF)
    .flatMap((file) =>
      read(file)
        .split('\n')
        .flatMap((line, index) => {
          const text = comments ? line : line.replace(/(^|\s)(\/\/|\*|\/\*).*$/, '');
          return pattern.test(text) ? [`${file}:${index + 1}`] : [];
        }),
    );
}

describe('imports', () => {
  it('point from gateway to engine to config/schema, never back', () => {
    const wrong = [
      ...importsUnder('engine/').filter(({ to }) => to.startsWith('gateway/')),
      ...importsUnder('engine/').filter(({ to }) => to.startsWith('config/') && to !== 'config/schema.ts'),
      ...importsUnder('gateway/').filter(({ to }) => to.startsWith('config/') && to !== 'config/schema.ts'),
      ...importsUnder('config/').filter(({ to }) => to !== 'zod'),
      ...importsUnder('').filter(({ to }) => to.startsWith('test/') || to.startsWith('deploy/')),
    ];
    expect(wrong).toEqual([]);
  });

  it('keep the engine away from files, network, clock and processes', () => {
    const builtins = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));
    const wrong = importsUnder('engine/').filter(
      ({ to }) =>
        ENGINE_FORBIDDEN.some((name) => to === name || to.startsWith(`${name}/`)) ||
        (builtins.has(to) && !ENGINE_BUILTINS.includes(to)),
    );
    expect(wrong).toEqual([]);
    expect(offences(inside('engine').filter(isCode), /\bDate\.now\(|\bnew Date\(\)|\bprocess\.env\b/)).toEqual([]);
  });

  it('name packages that package.json lists, for the product among its dependencies', () => {
    const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, string>>;
    const listed = new Set(Object.keys(manifest.dependencies ?? {}));
    const all = new Set([...listed, ...Object.keys(manifest.devDependencies ?? {})]);
    const packageOf = (to: string) => to.split('/', to.startsWith('@') ? 2 : 1).join('/');
    const wrong = code.flatMap((file) =>
      (imports.get(file) ?? []).filter(({ to }) => {
        if (/^(node:|\$\{)/.test(to) || /^(gateway|engine|config|deploy|test|\.build)\//.test(to)) return false;
        return !(product.includes(file) ? listed : all).has(packageOf(to));
      }),
    );
    expect(wrong).toEqual([]);
  });

  it('reach every module from gateway/cli.ts', () => {
    const reached = new Set<string>();
    const visit = (file: string) => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const { to } of imports.get(file) ?? []) if (imports.has(to)) visit(to);
    };
    visit('gateway/cli.ts');
    // Worker files are named by URL, not imported.
    for (const file of [...reached]) {
      for (const [, name] of read(file).matchAll(/new URL\('(\.[^']+\.ts)', import\.meta\.url\)/g)) {
        visit(normalize(join(dirname(file), name as string)));
      }
    }
    const dead = inside('gateway', 'engine').filter((file) => isCode(file) && !reached.has(file));
    expect(dead).toEqual([...NOT_YET_REACHED]);
  });
});

describe('code', () => {
  it('has no `any`', () => {
    const pattern = /(:\s*any\b|\bas\s+any\b|<any\b|\bany\[\]|,\s*any>)/;
    expect(offences(product, pattern)).toEqual([]);
  });

  it('has no empty catch', () => {
    const wrong = code.filter((file) => file !== SELF && /catch\s*(\([^)]*\))?\s*\{\s*\}/.test(read(file)));
    expect(wrong).toEqual([]);
  });

  it('leaves nothing for later', () => {
    expect(offences(code, /\b(TODO|FIXME|XXX|HACK)\b/, true)).toEqual([]);
  });

  it(`has no file over ${LINES_MAX} lines`, () => {
    const long = product.map((file) => ({ file, lines: read(file).split('\n').length }));
    expect(long.filter(({ lines }) => lines > LINES_MAX + 1)).toEqual([]);
  });

  it('writes to the terminal only where the command line does', () => {
    const quiet = product.filter((file) => file !== 'gateway/cli/output.ts');
    expect(offences(quiet, /\bconsole\.|process\.std(out|err)\.write/)).toEqual([]);
  });

  it('disables no test', () => {
    expect(offences(tests, /\b(it|test|describe)(\.\w+)*\.(only|skip|todo|fails)\b/)).toEqual([]);
  });
});

describe('the repository', () => {
  it('has only the known entries at the top', () => {
    const top = new Set(files.map((file) => file.split('/')[0] as string));
    expect([...top].filter((entry) => !TOP_LEVEL.includes(entry))).toEqual([]);
  });

  it('names no path of a machine', () => {
    const text = files.filter((file) => /\.(ts|mjs|json|ya?ml|md|sh)$/.test(file) && file !== 'package-lock.json');
    expect(offences(text, /(^|[\s'"`(=])\/(work|root|home|Users)\//, true)).toEqual([]);
  });

  it('locks packages without naming a registry', () => {
    const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, { resolved?: string }> };
    const named = Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined);
    expect(named.map(([name]) => name)).toEqual([]);
  });

  it('lets .ci/run do what npm test does and nothing else', () => {
    const commands = read('.ci/run')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('set ') && !line.startsWith('cd '));
    expect(commands).toEqual(['npm test']);
  });
});
