/** The real engine on the shipped configuration, rules and tables. */
import { randomBytes } from 'node:crypto';
import type { GatewayConfig, Policy } from '../../config/schema.ts';
import { compileNeedles, type NeedleSet } from '../../engine/canary/compile.ts';
import type { Engine } from '../../engine/index.ts';
import type { OutputSession } from '../../engine/stream/session.ts';
import { buildEngine } from '../../gateway/build.ts';
import { loadConfig, policyOf } from '../../gateway/config/load.ts';
import { deriveSecrets } from '../../gateway/secrets.ts';

export interface TestEngine {
  readonly config: GatewayConfig;
  readonly policy: Policy;
  readonly engine: Engine;
  open(token: string | null, policy?: Policy): OutputSession;
}

/** Builds once; rules compile for some hundred milliseconds. */
export function testEngine(): TestEngine {
  const config = loadConfig();
  const policy = policyOf(config, 'default') as Policy;
  const engine = buildEngine(config, deriveSecrets({ current: randomBytes(32), previous: null }));
  const sets = new Map<string, NeedleSet>();
  const needles = (token: string): NeedleSet => {
    const set = sets.get(token) ?? compileNeedles([{ id: 'canary', value: token }], 'full');
    sets.set(token, set);
    return set;
  };
  return {
    config,
    policy,
    engine,
    open: (token, own = policy) =>
      engine.openOutput({ policy: own, sets: token === null ? [] : [needles(token)], foreign: null, evicted: 0 }),
  };
}

/** A policy with parts of its output section replaced. */
export function withOutput(policy: Policy, output: Partial<Policy['output']>): Policy {
  return { ...policy, output: { ...policy.output, ...output } };
}
