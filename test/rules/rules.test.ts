/** Runs the examples of every rule file. */
import { describe, expect, test } from 'vitest';
import { gatewaySchema } from '../../config/schema.ts';
import { compileRules } from '../../engine/rules/compile.ts';
import { idsHitting, ruleProblems } from '../../engine/rules/examples.ts';
import { originalView } from '../../engine/views/view.ts';
import { loadRules } from '../../gateway/config/rules.ts';
import { readYaml } from '../../gateway/config/yaml.ts';

const { records, lexicon } = loadRules('config/rules');
const rules = compileRules(records, lexicon);
const { limits } = readYaml('config/gateway.yaml', gatewaySchema);

/** `override` alone is enough to escalate; see the bands in `config/gateway.yaml`. */
const ESCALATE = 0.35;

describe('rule files', () => {
  test('every example of every rule holds, on all views', () => {
    const { problems, examples } = ruleProblems(records, rules, limits);
    process.stdout.write(`ran ${examples} examples of ${records.length} rules\n`);
    expect(problems).toEqual([]);
  });

  test('every example holds on the original text alone', () => {
    const problems: string[] = [];
    for (const rule of records) {
      for (const { text, as, span } of rule.examples.hit) {
        const hits = rules
          .scan([originalView(text)], as ?? (rule.provenance[0] as 'user'), 3)
          .filter((hit) => hit.rule.id === rule.id);
        const wanted = span ?? null;
        const found = hits.some((hit) => wanted === null || text.slice(hit.span.start, hit.span.end) === wanted);
        if (!found) problems.push(`${rule.id}: ${text}`);
      }
    }
    expect(problems).toEqual([]);
  });

  test('each rule catches an example that no other rule catches', () => {
    const redundant = records.filter(
      (rule) => !rule.examples.hit.some((example) => [...idsHitting(rule, rules, example, limits)].join() === rule.id),
    );
    expect(redundant.map((rule) => rule.id)).toEqual([]);
  });

  test('removing a rule loses an example', () => {
    const [first, ...others] = records;
    if (first === undefined) throw new Error('no rules');
    const without = compileRules(others, lexicon);
    expect(ruleProblems([first], without, limits).problems).not.toEqual([]);
  });

  test('no near-miss is escalated by another safe rule', () => {
    const raised: string[] = [];
    for (const rule of records) {
      for (const { text, as } of rule.examples.miss) {
        for (const id of idsHitting(rule, rules, { text, as }, limits)) {
          const other = records.find((record) => record.id === id);
          if (other?.level === 1 && other.score >= ESCALATE) raised.push(`${id}: ${text}`);
        }
      }
    }
    expect(raised).toEqual([]);
  });

  test('every rule has at least one hit and one near-miss, and its id carries its family', () => {
    for (const rule of records) {
      expect(rule.examples.hit.length, rule.id).toBeGreaterThan(0);
      expect(rule.examples.miss.length, rule.id).toBeGreaterThan(0);
    }
  });
});
