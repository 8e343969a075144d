import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MODEL_ROUTES } from '../../../../gateway/modelRoutes.ts';
import { createMetrics, METRIC_NAMES, type Metrics } from '../../../../gateway/telemetry/metrics.ts';

let metrics: Metrics;
beforeEach(() => {
  metrics = createMetrics();
});
afterEach(() => metrics.close());

async function lines(name: string): Promise<string[]> {
  return (await metrics.render()).split('\n').filter((line) => line.startsWith(name));
}

describe('metrics', () => {
  it('name the downstream tools that the configuration lists, and no other', async () => {
    metrics.close();
    metrics = createMetrics(METRIC_NAMES, ['shell']);
    metrics.action('input', 'pass', 'shell');
    metrics.action('input', 'pass', randomBytes(4).toString('hex'));
    expect(await lines('portcullis_actions')).toEqual([
      'portcullis_actions_total{direction="input",action="pass",tool="shell"} 1',
      'portcullis_actions_total{direction="input",action="pass",tool="other"} 1',
    ]);
  });

  it('counts requests, guard outcomes and actions by label', async () => {
    metrics.request({ route: '/v1/chat/completions', method: 'POST', status: 200, stream: true });
    metrics.guard('canary', 'output', 'hit');
    metrics.action('input', 'block');
    metrics.upstreamError('upstream_timeout');
    expect(await lines('portcullis_requests_total')).toEqual([
      'portcullis_requests_total{route="/v1/chat/completions",method="POST",status="200",stream="true"} 1',
    ]);
    expect(await lines('portcullis_guard')).toEqual([
      'portcullis_guard_outcomes_total{guard="canary",direction="output",outcome="hit"} 1',
    ]);
    expect(await lines('portcullis_actions')).toEqual([
      'portcullis_actions_total{direction="input",action="block",tool="none"} 1',
    ]);
    expect(await lines('portcullis_upstream')).toEqual(['portcullis_upstream_errors_total{code="upstream_timeout"} 1']);
  });

  it('moves gauges both ways', async () => {
    metrics.requestStarted();
    metrics.requestStarted();
    metrics.requestEnded();
    metrics.streamOpened();
    metrics.canariesEvicted(3);
    metrics.foreignCanaryHit();
    metrics.logDropped();
    expect(await lines('portcullis_in_flight')).toEqual(['portcullis_in_flight_requests 1']);
    expect(await lines('portcullis_open')).toEqual(['portcullis_open_streams 1']);
    expect(await lines('portcullis_canaries')).toEqual(['portcullis_canaries_evicted 3']);
    expect(await lines('portcullis_foreign')).toEqual(['portcullis_foreign_canary_hits_total 1']);
    expect(await lines('portcullis_logs')).toEqual(['portcullis_logs_dropped_total 1']);
  });

  it('observes times and held characters, and ignores what is not a number', async () => {
    metrics.addedLatency(0.0004);
    metrics.addedLatency(Number.NaN);
    metrics.timeToFirstByte(-1);
    metrics.heldChars(2);
    expect(await lines('portcullis_added_latency_seconds_count')).toEqual(['portcullis_added_latency_seconds_count 1']);
    expect(await lines('portcullis_time_to_first_byte_seconds_count')).toEqual([
      'portcullis_time_to_first_byte_seconds_count 0',
    ]);
    expect(await lines('portcullis_held_chars_bucket{le="2"}')).toEqual(['portcullis_held_chars_bucket{le="2"} 1']);
  });

  it('shows how long the event loop was blocked since the last scrape', async () => {
    await metrics.render();
    const end = performance.now() + 200;
    while (performance.now() < end);
    await new Promise((resume) => setTimeout(resume, 50));
    const [, , max] = await lines('portcullis_event_loop_lag_seconds');
    expect(Number(max?.split(' ')[1])).toBeGreaterThan(0.15);
    await new Promise((resume) => setTimeout(resume, 50));
    const [, , later] = await lines('portcullis_event_loop_lag_seconds');
    expect(Number(later?.split(' ')[1])).toBeLessThan(Number(max?.split(' ')[1]));
  });

  it('keeps registries apart', async () => {
    const other = createMetrics();
    other.requestStarted();
    other.close();
    expect(await lines('portcullis_in_flight')).toEqual(['portcullis_in_flight_requests 0']);
  });
});

describe('metrics.privacy', () => {
  it('turns every unknown label into `other`', async () => {
    const mark = randomBytes(8).toString('hex');
    // biome-ignore lint/suspicious/noExplicitAny: the point is what the types would not allow
    const hostile = metrics as any;
    hostile.request({ route: `/${mark}`, method: mark, status: mark, stream: mark });
    hostile.guard(mark, mark, mark);
    hostile.action(mark, mark);
    hostile.upstreamError(mark);
    for (let status = 0; status < 2_000; status++) metrics.request({ route: `/${status}`, status, stream: false });
    expect(await metrics.render()).not.toContain(mark);
    expect((await lines('portcullis_requests_total')).length).toBeLessThanOrEqual(502);
  });
});

it('knows the label of every model route, and none of them names a provider or a model', () => {
  for (const { label } of MODEL_ROUTES) expect(METRIC_NAMES.routes).toContain(label);
});
