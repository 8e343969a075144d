import { describe, expect, it } from 'vitest';
import type { Policy } from '../../../config/schema.ts';
import { GUARDS, type GuardDeclaration, guardProblems } from '../../../engine/guards.ts';
import { loadConfig } from '../../../gateway/config/load.ts';

const config = loadConfig();
const policy = config.policies.default as Policy;
const canary = GUARDS.find(({ id }) => id === 'canary') as GuardDeclaration;

describe('guards at the start', () => {
  it('cover every surface under the shipped policy', () => {
    expect(guardProblems(policy, config.limits)).toEqual([]);
  });

  it('name the surface that one which blocks cannot cover', () => {
    const blind = { ...canary, places: canary.places.filter((place) => place !== 'responses') };
    expect(guardProblems(policy, config.limits, [blind])).toEqual([
      'output.canary: canary blocks and cannot read answers on responses; expected it off or open',
    ]);
  });

  it.each([
    ['is off', { enabled: false, failureMode: 'closed', action: 'block' }],
    ['fails open', { enabled: true, failureMode: 'open', action: 'block' }],
    ['only observes', { enabled: true, failureMode: 'closed', action: 'observe' }],
  ] as const)('say nothing of one that %s', (_, setting) => {
    const blind = { ...canary, places: [] };
    const relaxed = { ...policy, output: { ...policy.output, canary: setting } };
    expect(guardProblems(relaxed, config.limits, [blind])).toEqual([]);
  });

  it('need room for what they hold of a stream', () => {
    expect(guardProblems(policy, { holdRawCharsMax: 127 })).toEqual([
      'output.controlTokens: control-tokens has to hold 128 characters of a stream, and limits.holdRawCharsMax is 127; expected at least 128',
    ]);
    expect(guardProblems(policy, { holdRawCharsMax: 128 })).toEqual([]);
  });

  it('report under the names that receipts use', () => {
    expect(new Set(GUARDS.map(({ id }) => id))).toEqual(
      new Set(['injection.rules', 'hidden-text', 'control-tokens', 'canary', 'tool-policy', 'mime']),
    );
  });
});
