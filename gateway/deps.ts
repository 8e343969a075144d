import type { GatewayConfig } from '../config/schema.ts';
import type { Engine } from '../engine/index.ts';
import type { Canaries } from './canaries.ts';
import type { Kept } from './kept.ts';
import type { Keys } from './keys.ts';
import type { Log } from './telemetry/log.ts';
import type { Metrics } from './telemetry/metrics.ts';
import type { Providers } from './upstream/port.ts';

/** Everything a route needs, handed in: tests build it from real parts. */
export interface Deps {
  readonly config: GatewayConfig;
  readonly engine: Engine;
  readonly keys: Keys;
  readonly canaries: Canaries;
  readonly kept: Kept;
  readonly providers: Providers;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly lifecycle: Lifecycle;
}

/** What the probes and the concurrency bound look at. */
export interface Lifecycle {
  draining: boolean;
  inFlight: number;
}
