/** Engines with one dead guard each, put together from the real parts. */
import type { GatewayConfig } from '../../../config/schema.ts';
import type { ControlStream, ControlTokens } from '../../../engine/control/matcher.ts';
import { createEngine, type Engine } from '../../../engine/index.ts';
import type { RuleSet } from '../../../engine/rules/compile.ts';
import type { Scanner } from '../../../engine/scanners/scanner.ts';
import type { Secrets } from '../../../gateway/secrets.ts';
import { parseTree } from '../../../gateway/wire/tree.ts';

const NO_RULES: RuleSet = { version: 'none', size: 0, scan: () => [] };

class Quiet implements ControlStream {
  safeEnd = 0;
  push(text: string): void {
    this.safeEnd += text.length;
  }
  flush(): void {}
  end(): void {}
  takeHits(): [] {
    return [];
  }
}

class Dead extends Quiet {
  override push(): void {
    throw new Error('the control-token guard is dead');
  }
}

const tokens = (open: () => ControlStream): ControlTokens => ({ open, openEscaped: open, findRoles: () => [] });

const deadScanner: Scanner = {
  name: 'injection.rules',
  guard: (policy) => policy.input.injection,
  scan: () => {
    throw new Error('the injection guard is dead');
  },
};

function engineOf(
  config: GatewayConfig,
  secrets: Secrets,
  control: ControlTokens,
  scanners: readonly Scanner[],
): Engine {
  return createEngine({
    rules: NO_RULES,
    control,
    limits: config.limits,
    parse: (text) => parseTree(text, config.limits.jsonDepthMax),
    fingerprintKey: secrets.key('fingerprint'),
    nowMicros: () => performance.now() * 1000,
    scanners,
  });
}

/** Its scanner of prompts throws. */
export function failingInput(config: GatewayConfig, secrets: Secrets): Engine {
  return engineOf(
    config,
    secrets,
    tokens(() => new Quiet()),
    [deadScanner],
  );
}

/** Its reader of control tokens in answers throws. */
export function failingControl(config: GatewayConfig, secrets: Secrets): Engine {
  return engineOf(
    config,
    secrets,
    tokens(() => new Dead()),
    [],
  );
}
