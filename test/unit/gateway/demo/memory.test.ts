import { expect, it } from 'vitest';
import { type KeptResponse, RESPONSES_MAX, ResponseMemory } from '../../../../gateway/demo/memory.ts';

function kept(id: string, chars = 10): KeptResponse {
  return { response: { id }, words: [], input: [], turns: [], chars };
}

it('forgets the oldest above its number', () => {
  const memory = new ResponseMemory();
  for (let i = 0; i <= RESPONSES_MAX; i += 1) memory.keep(kept(`r${i}`));
  expect(memory.get('r0')).toBeUndefined();
  expect(memory.get('r1')).toBeDefined();
  expect(memory.get(`r${RESPONSES_MAX}`)).toBeDefined();
});

it('forgets as many of the oldest as a large one needs, and never keeps one above the bound', () => {
  const memory = new ResponseMemory();
  const mebi = 1024 * 1024;
  for (const id of ['a', 'b', 'c']) memory.keep(kept(id, mebi));
  memory.keep(kept('large', 3 * mebi));
  expect(['a', 'b', 'c', 'large'].filter((id) => memory.get(id) !== undefined)).toEqual(['c', 'large']);
  memory.keep(kept('too large', 4 * mebi + 1));
  expect(memory.get('too large')).toBeUndefined();
  expect(memory.get('c')).toBeDefined();
});

it('has room again for what was deleted', () => {
  const memory = new ResponseMemory();
  const half = 2 * 1024 * 1024;
  memory.keep(kept('a', half));
  memory.keep(kept('b', half));
  memory.delete('b');
  memory.delete('b');
  memory.keep(kept('c', half));
  expect(memory.get('a')).toBeDefined();
});
