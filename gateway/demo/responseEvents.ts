/** A kept response as the events of its stream. */
import { argumentPieces } from './answers.ts';
import type { KeptResponse } from './memory.ts';

interface ResponseEvent {
  readonly type: string;
  readonly sequence_number: number;
}

type Unnumbered = Omit<ResponseEvent, 'sequence_number'> & Readonly<Record<string, unknown>>;

export function responseEvents({ response, words }: KeptResponse): ResponseEvent[] {
  const begun = { ...response, status: 'in_progress', output: [], usage: null };
  const events: Unnumbered[] = [
    { type: 'response.created', response: begun },
    { type: 'response.in_progress', response: begun },
    ...(response.output as Item[]).flatMap((item, index) => itemEvents(item, index, words)),
    { type: 'response.completed', response },
  ];
  return events.map(({ type, ...rest }, n) => ({ type, sequence_number: n, ...rest }));
}

interface Item {
  readonly id: string;
  readonly type: string;
  readonly name?: string;
  readonly arguments?: string;
  readonly content?: readonly { readonly text: string }[];
}

function itemEvents(item: Item, index: number, words: readonly string[]): Unnumbered[] {
  const at = { item_id: item.id, output_index: index };
  const around = (empty: object, inner: readonly Unnumbered[]): Unnumbered[] => [
    { type: 'response.output_item.added', output_index: index, item: { ...item, status: 'in_progress', ...empty } },
    ...inner,
    { type: 'response.output_item.done', output_index: index, item },
  ];
  if (item.arguments !== undefined) {
    const prefix = 'response.function_call_arguments';
    return around({ arguments: '' }, [
      ...argumentPieces(item.arguments).map((delta) => ({ type: `${prefix}.delta`, ...at, delta })),
      { type: `${prefix}.done`, ...at, arguments: item.arguments, name: item.name },
    ]);
  }
  const part = item.content?.[0];
  const place = { ...at, content_index: 0 };
  return around({ content: [] }, [
    { type: 'response.content_part.added', ...place, part: { ...part, text: '' } },
    ...words.map((delta) => ({ type: 'response.output_text.delta', ...place, delta, logprobs: [] })),
    { type: 'response.output_text.done', ...place, text: part?.text, logprobs: [] },
    { type: 'response.content_part.done', ...place, part },
  ]);
}
