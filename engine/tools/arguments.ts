/** Rules about single arguments of tool calls. Patterns are RE2; hosts are compared as a URL parser reads them. */
import RE2 from 're2';
import type { ArgumentRule } from '../../config/schema.ts';
import { canonical, plainOf } from './plain.ts';
import { pointerKey, type Tree } from './tree.ts';

export interface CompiledArgumentRule {
  /** Name or pattern of the tools it applies to. */
  readonly tool: string;
  /** The value is not of the whole arguments but of a place in them. */
  readonly below: boolean;
  /** Pointers, below the arguments, of the values that do not fit. A place that is not there is none. */
  check(args: Tree): string[];
}

/** Places of one call that are reported for one rule. */
const PLACES_MAX = 64;

/** Throws for a pattern or a host that cannot be used; the message says which, since operators wrote it. */
export function compileArgumentRule(rule: ArgumentRule): CompiledArgumentRule {
  const segments = rule.argument
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
  const fits = conditions(rule);
  return {
    tool: rule.tool,
    below: segments.length > 0,
    check(args) {
      const wrong: string[] = [];
      for (const { node, path } of placesOf(args, segments)) {
        if (wrong.length >= PLACES_MAX) break;
        if (!fits(node)) wrong.push(path);
      }
      return wrong;
    },
  };
}

interface Place {
  readonly node: Tree;
  readonly path: string;
}

function placesOf(root: Tree, segments: readonly string[]): Place[] {
  let places: Place[] = [{ node: root, path: '' }];
  for (const segment of segments) {
    const next: Place[] = [];
    for (const { node, path } of places) {
      for (const [key, child] of childrenOf(node, segment))
        next.push({ node: child, path: `${path}/${pointerKey(key)}` });
    }
    places = next;
  }
  return places;
}

function childrenOf(node: Tree, segment: string): Iterable<readonly [string, Tree]> {
  if (node.kind === 'object') {
    if (segment === '*') return node.entries;
    const child = node.entries.get(segment);
    return child === undefined ? [] : [[segment, child]];
  }
  if (node.kind !== 'array') return [];
  if (segment === '*') return node.items.map((item, index) => [String(index), item] as const);
  const child = /^(?:0|[1-9]\d{0,9})$/.test(segment) ? node.items[Number(segment)] : undefined;
  return child === undefined ? [] : [[segment, child]];
}

type Condition = (node: Tree) => boolean;

/** All conditions of a rule. What a condition is not about, like a list where a text is expected, does not fit. */
function conditions(rule: ArgumentRule): Condition {
  const all: Condition[] = [];
  const { oneOf, matches, excludes, hosts, charsMax, minimum, maximum } = rule;
  const whole = rule.argument === '';
  const onText = (fits: (text: string) => boolean): void => {
    all.push((node) => {
      const text = textOf(node, whole);
      return text !== null && fits(text);
    });
  };
  if (oneOf !== undefined) {
    all.push((node) => node.kind !== 'object' && node.kind !== 'array' && oneOf.includes(node.value));
  }
  if (matches !== undefined) {
    const regex = new RE2(matches, 'u');
    onText((text) => regex.test(text));
  }
  if (excludes !== undefined) {
    const regex = new RE2(excludes, 'u');
    onText((text) => !regex.test(text));
  }
  if (hosts !== undefined) {
    const known = hosts.map(hostPattern);
    onText((text) => {
      const host = hostOf(text);
      return host !== null && known.some((pattern) => matchesHost(pattern, host));
    });
  }
  if (charsMax !== undefined) onText((text) => text.length <= charsMax);
  const onNumber = (fits: (value: number) => boolean): void => {
    all.push((node) => node.kind === 'number' && fits(node.value as number));
  };
  if (minimum !== undefined) onNumber((value) => value >= minimum);
  if (maximum !== undefined) onNumber((value) => value <= maximum);
  return (node) => all.every((fits) => fits(node));
}

/** Numbers and booleans read as JSON writes them; the arguments as a whole as compact JSON with sorted members. */
function textOf(node: Tree, whole: boolean): string | null {
  switch (node.kind) {
    case 'string':
      return node.value;
    case 'number':
    case 'boolean':
      return String(node.value);
    case 'null':
      return null;
    default:
      return whole ? canonical(plainOf(node).data, () => {}) : null;
  }
}

/** A host as listed, in the form a URL parser gives it. */
function hostPattern(listed: string): string {
  const below = listed.startsWith('*.');
  const host = authorityHost(below ? listed.slice(2) : listed);
  if (host === null) throw new Error(`"${listed}" is no host`);
  return below ? `*.${host}` : host;
}

function matchesHost(pattern: string, host: string): boolean {
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : host === pattern;
}

/**
 * The host of an http(s) URL or of an e-mail address; null for anything else, and for whatever two parsers could read
 * differently: blanks, control characters, backslashes, user names in URLs, a scheme without its slashes.
 */
function hostOf(text: string): string | null {
  // Linear: one class.
  if (/[\s\\\p{Cc}]/u.test(text)) return null;
  if (/^https?:\/\//i.test(text)) {
    // Linear: classes that exclude what follows them.
    const authority = /^https?:\/\/([^/?#]+)/i.exec(text)?.[1];
    if (authority === undefined || authority.includes('@') || !URL.canParse(text)) return null;
    return authorityHost(authority);
  }
  const at = text.indexOf('@');
  if (at < 1 || text.includes('@', at + 1) || /[,;:<>()[\]"/?#]/.test(text)) return null;
  return authorityHost(text.slice(at + 1));
}

/** Lower case, punycode, without port and closing dot. */
function authorityHost(authority: string): string | null {
  if (!/^[^\s/?#@\\]+$/.test(authority) || !URL.canParse(`http://${authority}/`)) return null;
  const { hostname } = new URL(`http://${authority}/`);
  const host = hostname.endsWith('.') ? hostname.slice(0, -1) : hostname;
  return host === '' ? null : host;
}
