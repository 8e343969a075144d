/** Builds the running configuration: the shipped defaults, with the operator's file merged over them. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type GatewayConfig, gatewaySchema, type Policy } from '../../config/schema.ts';
import { guardProblems } from '../../engine/guards.ts';
import { checkToolPolicy } from '../../engine/tools/policy.ts';
import { providerConfigProblems } from './providers.ts';
import { ConfigError, check, readYaml } from './yaml.ts';

/** The tenant and the policy that always exist. */
export const DEFAULT_NAME = 'default';

/** A parsed file nested deeper than this is not a configuration; the schema itself has 5 levels. */
const DEPTH_MAX = 32;

type Tree = Record<string, unknown>;

/** The folder of shipped configuration; the same from the sources and from `.build/`, which holds no YAML. */
export function configDir(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(dir, 'config');
    if (existsSync(join(candidate, 'gateway.yaml'))) return candidate;
    const parent = dirname(dir);
    if (parent === dir) throw new Error('config/gateway.yaml is missing from the installation');
    dir = parent;
  }
}

/** Path of the file with every key and its default. */
export function defaultsFile(): string {
  return join(configDir(), 'gateway.yaml');
}

/**
 * The configuration of `path` over the defaults; the defaults alone without a path.
 * Throws `ConfigError` naming the file, the path in it, what was found and what was expected.
 */
export function loadConfig(path?: string): GatewayConfig {
  const defaults = readTree(defaultsFile());
  const file = path ?? defaultsFile();
  const merged = path === undefined ? defaults : merge(defaults, readTree(path));
  inheritPolicies(merged);
  const config = check(file, merged, gatewaySchema);
  const problems = crossProblems(config);
  if (problems.length > 0) throw new ConfigError(file, problems);
  return config;
}

/** The policy a tenant runs under, null when there is no such tenant. */
export function policyOf(config: GatewayConfig, tenant: string): Policy | null {
  // Own properties only: a caller may name a tenant `constructor`.
  if (!Object.hasOwn(config.tenants, tenant)) return null;
  const name = config.tenants[tenant]?.policy ?? DEFAULT_NAME;
  return Object.hasOwn(config.policies, name) ? (config.policies[name] ?? null) : null;
}

function readTree(file: string): Tree {
  const data: unknown = readYaml(file, z.unknown());
  // An empty file, or one that is all comments, changes nothing.
  if (data === null || data === undefined) return {};
  const problems: string[] = [];
  findForbidden(data, [], problems);
  if (problems.length > 0) throw new ConfigError(file, problems);
  return check(file, data, z.record(z.string(), z.unknown()));
}

/** `__proto__` would be lost or obeyed by a merge, so it is refused before anything is copied. */
function findForbidden(value: unknown, path: readonly string[], problems: string[]): void {
  if (value === null || typeof value !== 'object') return;
  if (path.length > DEPTH_MAX) {
    problems.push(`${path.slice(0, 4).join('.')}…: nested deeper than ${DEPTH_MAX} levels; expected a configuration`);
    return;
  }
  for (const [key, child] of Object.entries(value)) {
    const here = [...path, key];
    if (key === '__proto__') problems.push(`${here.join('.')}: unknown key; expected one of the documented keys`);
    else findForbidden(child, here, problems);
  }
}

/** Maps merge key by key; everything else replaces. Neither argument is changed. */
function merge(base: Tree, over: Tree): Tree {
  const result: Tree = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = Object.hasOwn(base, key) ? base[key] : undefined;
    result[key] = isTree(before) && isTree(value) ? merge(before, value) : value;
  }
  return result;
}

/** A policy names only what differs from `default`. */
function inheritPolicies(tree: Tree): void {
  if (!isTree(tree.policies)) return;
  const base = tree.policies[DEFAULT_NAME];
  if (!isTree(base)) return;
  const policies: Tree = {};
  for (const [name, value] of Object.entries(tree.policies))
    policies[name] = isTree(value) ? merge(base, value) : value;
  tree.policies = policies;
}

function isTree(value: unknown): value is Tree {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function crossProblems(config: GatewayConfig): string[] {
  const problems: string[] = [];
  const names = Object.keys(config.policies);
  if (!Object.hasOwn(config.policies, DEFAULT_NAME))
    problems.push('policies.default: found nothing; expected a policy');
  if (!Object.hasOwn(config.tenants, DEFAULT_NAME)) problems.push('tenants.default: found nothing; expected a tenant');
  for (const [tenant, { policy }] of Object.entries(config.tenants)) {
    if (Object.hasOwn(config.policies, policy)) continue;
    problems.push(`tenants.${tenant}.policy: found "${policy}"; expected one of the policies ${names.join(', ')}`);
  }
  for (const [name, policy] of Object.entries(config.policies)) {
    for (const problem of checkToolPolicy(policy.tools, config.limits)) {
      problems.push(`policies.${name}.tools: ${problem}`);
    }
    for (const problem of guardProblems(policy, config.limits)) problems.push(`policies.${name}.${problem}`);
  }
  problems.push(...providerConfigProblems(config));
  return problems;
}
