import { describe, expect, it } from 'vitest';
import type { Policy } from '../../../../config/schema.ts';
import { checkExpectations } from '../../../../engine/output/expectations.ts';
import { loadConfig } from '../../../../gateway/config/load.ts';

const base = loadConfig().policies.default as Policy;

function policyWith(failureMode: 'open' | 'closed', enabled = true): Policy {
  const { output } = base;
  const guard = { enabled, failureMode };
  return {
    ...base,
    output: { ...output, toolConstraints: { ...output.toolConstraints, ...guard }, mime: guard },
  };
}

const dead = (): never => {
  throw new Error('dead');
};
const expected = { mime: 'application/json', tools: { allowedTools: [], toolFields: null, strict: false } };
const check = (policy: Policy, asked = expected as Parameters<typeof checkExpectations>[0]['expected']) =>
  checkExpectations({ policy, expected: asked, text: '{}', findCalls: dead, parse: dead });

describe('a guard that fails', () => {
  it('blocks under closed and says that it could not run', () => {
    const verdict = check(policyWith('closed'));
    expect(verdict).toMatchObject({
      action: 'block',
      unavailable: true,
      states: { 'tool-policy': 'failed_closed', mime: 'failed_closed' },
    });
    expect(verdict.failures.map(({ guard }) => guard)).toEqual(['tool-policy', 'mime']);
  });

  it('passes under open and shows in the receipt', () => {
    expect(check(policyWith('open'))).toMatchObject({
      action: 'pass',
      unavailable: false,
      states: { 'tool-policy': 'failed_open', mime: 'failed_open' },
    });
  });

  it('does not run when it is off or nothing is expected', () => {
    const states = { 'tool-policy': 'not_run', mime: 'not_run' };
    expect(check(policyWith('closed', false))).toMatchObject({ action: 'pass', states, failures: [] });
    expect(check(policyWith('closed'), { mime: null, tools: null })).toMatchObject({ action: 'pass', states });
    expect(check(policyWith('closed'), { mime: 'image/png', tools: null })).toMatchObject({ action: 'pass', states });
  });
});
