/** Reads the rule files. What a rule means is the engine's; here a file must fit its schema, its name and its folder. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Lexicon, lexiconSchema, type RuleRecord, ruleSchema } from '../../config/schema.ts';
import { ConfigError, readYaml } from './yaml.ts';

const LEXICON_FILE = 'lexicon.yaml';

/** Reads `lexicon.yaml` and every `<family>/<id>.yaml` of `dir`, in a fixed order. Throws `ConfigError`. */
export function loadRules(dir: string): { records: RuleRecord[]; lexicon: Lexicon } {
  const lexicon = readYaml(join(dir, LEXICON_FILE), lexiconSchema);
  const files = new Map<string, string>();
  const records: RuleRecord[] = [];
  for (const family of foldersOf(dir)) {
    for (const name of readdirSync(join(dir, family)).sort()) {
      const file = join(dir, family, name);
      const rule = readYaml(file, ruleSchema);
      const first = files.get(rule.id);
      if (first !== undefined) throw new ConfigError(file, [`id: ${rule.id} is taken by ${first}`]);
      if (name !== `${rule.id}.yaml`)
        throw new ConfigError(file, [`id: found ${rule.id}; expected ${basename(file, '.yaml')}`]);
      if (rule.family !== family) throw new ConfigError(file, [`family: found ${rule.family}; expected ${family}`]);
      files.set(rule.id, file);
      records.push(rule);
    }
  }
  return { records, lexicon };
}

function foldersOf(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}
