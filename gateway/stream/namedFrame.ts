/** Frames of formats whose events have names. */
import { reframe } from './sse.ts';

/** An event of our own, with the `event:` line that clients of such formats tell events apart by. */
export function namedFrame(event: string, data: unknown): Buffer {
  return reframe(JSON.stringify(data), event);
}
