/** Whatever a request target is made of: what is relayed unread has one meaning only. */
import { expect, it } from 'vitest';
import { relayTarget } from '../../gateway/api/model/relayTarget.ts';
import { seeded } from '../helpers/random.ts';

const RUNS = 50_000;
const PIECES = [
  ...[
    '/',
    '//',
    '.',
    '..',
    '%2e',
    '%c0%ae%c0%ae',
    '%2E%2e',
    '%2f',
    '%5c',
    '\\',
    '%00',
    '%0a',
    '%25',
    '%',
    '%4',
    ';',
    '%3b',
    '?',
    '#',
    '%3f',
    '%23',
  ],
  ...[
    '/v1',
    '/openai',
    '/v1/audio',
    '/audio',
    '/speech',
    '/chat/completions',
    'x',
    '%61',
    'A',
    '-',
    '@',
    ' ',
    'é',
    '\u0000',
    '%20',
  ],
];
const random = seeded('relay targets');

it('has no path that a normalising or decoding server would read as another', () => {
  let relayed = 0;
  for (let run = 0; run < RUNS; run += 1) {
    const start = random.pick(['/v1/audio', '/openai/v1/audio', '/openai/default', '/v1', '']);
    const url = start + Array.from({ length: random.int(5) }, () => random.pick(PIECES)).join('');
    const target = relayTarget(url);
    if (target === null) continue;
    relayed += 1;
    const { path, query, segment } = target;
    expect(url.endsWith(path + query)).toBe(true);
    const parsed = new URL(`http://provider.test/v1${path}${query}`);
    expect([url, parsed.pathname, parsed.search, parsed.hash]).toEqual([
      url,
      `/v1${path}`,
      query === '?' ? '' : query,
      '',
    ]);
    const decoded = decodeURIComponent(path).split('/');
    expect([url, decoded.length, decoded[1]]).toEqual([url, path.split('/').length, segment]);
    expect(decoded.slice(1).some((part) => part === '' || part === '.' || part === '..')).toBe(false);
    expect(/[\\;?#%]/.test(decoded.join('/'))).toBe(false);
  }
  expect(relayed).toBeGreaterThan(RUNS / 100);
});
