/** Strings in which a provider repeats the prompt, on their way back to the client that wrote it. */
import type { OutputSession } from '../../engine/stream/session.ts';
import { type JsonString, replaceString, type Splice } from '../wire/json.ts';

export interface EchoFormat {
  /** The client's own words for a text in which the provider repeats the prompt. */
  readonly restore: (text: string) => string;
  /** True for what the client itself sent as a trusted text: whatever it holds is no news to it. */
  readonly isOwn?: (text: string) => boolean;
}

/** Reads every echo as the client will see it, and says where that differs from what the provider sent. */
export function restoreEchoes(session: OutputSession, echoes: readonly JsonString[], format: EchoFormat): Splice[] {
  return echoes.flatMap((leaf) => {
    const text = format.restore(leaf.value);
    if (format.isOwn?.(text) !== true) session.pushLeaf('echo', text);
    return text === leaf.value ? [] : [replaceString(leaf, text)];
  });
}
