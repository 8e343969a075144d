/** What a part of an answer says was read, beside what there is to read. */
import type { AnswerPart } from '../../../../gateway/wire/answer.ts';
import { eachString, parseJson } from '../../../../gateway/wire/json.ts';

export const parse = (value: unknown) => parseJson(JSON.stringify(value), 64);

/** Every string of a value, in order of their text. */
export function stringsOf(value: unknown): string[] {
  const all: string[] = [];
  eachString(parse(value), '', ({ value: text }) => all.push(text));
  return all.sort();
}

/** Every string that a part hands on, keys left aside, in order of their text. */
export function coveredBy(part: AnswerPart): string[] {
  const leaves = part.leaves.filter(({ name }) => !/^keys? /.test(name)).map(({ text }) => text);
  return [...leaves, ...part.pieces.map(({ leaf }) => leaf.value), ...part.echoes.map(({ value }) => value)].sort();
}

/** The text of each channel, pieces joined in order. */
export function channelsOf(parts: readonly AnswerPart[]): Record<string, string> {
  const channels = new Map<string, string>();
  for (const { pieces } of parts) {
    for (const { channel, leaf } of pieces) channels.set(channel, (channels.get(channel) ?? '') + leaf.value);
  }
  return Object.fromEntries(channels);
}
