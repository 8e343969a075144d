import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import type { Policy } from '../../../../config/schema.ts';
import { testEngine, withOutput } from '../../../helpers/engine.ts';

const { open, config } = testEngine();
const token = randomBytes(16).toString('hex');
const policy = config.policies.default as Policy;
const cutting = withOutput(policy, { canary: { ...policy.output.canary, action: 'sanitize' } });

it('cuts a canary out of a text where the policy says so', () => {
  const session = open(token, cutting);
  const text = `it is ${token}.`;
  session.push('0/content', 'text', text);
  expect(session.end().action).toBe('sanitize');
  expect(session.rewrite('0/content', 0, text.length, text)).toBe('it is [redacted].');
});

it('blocks for one in a string that nobody rewrites, whatever the policy says', () => {
  const session = open(token, cutting);
  session.pushLeaf('/url', `https://example.com/${token}`);
  expect(session.end().action).toBe('block');
});

it('blocks for one in pieces of three, each the value of one name after the other', () => {
  const session = open(token);
  for (const piece of token.match(/.{1,3}/g) as string[]) session.pushLeaf('/obfuscation', piece);
  expect(session.blocked).toBe(true);
});

it('does not take the values of different names for one text', () => {
  const session = open(token);
  (token.match(/.{1,3}/g) as string[]).forEach((piece, index) => {
    session.pushLeaf(`/x/${index}`, piece);
  });
  expect(session.end().action).toBe('pass');
});
