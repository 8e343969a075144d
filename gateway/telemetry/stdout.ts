/**
 * The log's way out. A reader that is slow or gone must never slow or stop requests, so lines wait in a bounded
 * buffer and are dropped and counted beyond it.
 */
import type { Writable } from 'node:stream';

/** Bytes of log waiting for a slow reader; some ten thousand lines. */
const PENDING_BYTES_MAX = 4 * 1024 * 1024;

export interface LineSink {
  write(line: string): void;
}

/** Wraps a stream such as stdout; `onDrop` is called once per lost line. Never throws. */
export function boundedSink(stream: Writable, onDrop: () => void): LineSink {
  let closed = false;
  // Without a listener, EPIPE from a closed pipe would end the process.
  stream.on('error', onDrop);
  stream.on('close', () => {
    closed = true;
  });
  return {
    write(line) {
      if (closed || stream.destroyed || !stream.writable || stream.writableLength > PENDING_BYTES_MAX) return onDrop();
      try {
        stream.write(line);
      } catch {
        // A synchronous stream (file, terminal) reports a full disk here.
        onDrop();
      }
    },
  };
}
