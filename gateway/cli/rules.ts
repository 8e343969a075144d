/** `portcullis rules test|list`: the rule corpus against its own examples. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compileRules } from '../../engine/rules/compile.ts';
import { ruleProblems } from '../../engine/rules/examples.ts';
import { configDir, loadConfig } from '../config/load.ts';
import { loadRules } from '../config/rules.ts';
import type { Command } from './command.ts';
import { complain, print } from './output.ts';

const rulesDir = (): string => join(configDir(), 'rules');

/** Runs every example. Exit code 1 when one does not hold. */
export const testRules: Command = async (argv) => {
  parseArgs({ args: argv, options: {} });
  const { records, lexicon } = loadRules(rulesDir());
  const { problems, examples } = ruleProblems(records, compileRules(records, lexicon), loadConfig().limits);
  for (const problem of problems) complain(problem);
  print(`${records.length} rules, ${examples} examples, ${problems.length} problems`);
  return problems.length === 0 ? 0 : 1;
};

/** One line per rule. */
export const listRules: Command = async (argv) => {
  parseArgs({ args: argv, options: {} });
  for (const rule of loadRules(rulesDir()).records) {
    print(`${rule.id}  level ${rule.level}  score ${rule.score}  ${rule.provenance.join(',')}  ${rule.title}`);
  }
  return 0;
};
