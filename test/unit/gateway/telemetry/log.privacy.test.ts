import { randomBytes } from 'node:crypto';
import { PassThrough, Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createLog, errorFields, type LogFields } from '../../../../gateway/telemetry/log.ts';

const mark = randomBytes(8).toString('hex');

function capture() {
  const stream = new PassThrough();
  const text = () => String(stream.read() ?? '');
  return { stream, text };
}

describe('the log', () => {
  it('writes one JSON object per line with the event and the fields', () => {
    const { stream, text } = capture();
    const log = createLog({ level: 'info', destination: stream });
    log.debug('unseen');
    log.info('request answered', { requestId: 'r1', status: 200, stream: true, tenant: undefined });
    const { time, ...line } = JSON.parse(text()) as Record<string, unknown>;
    expect(line).toEqual({ level: 'info', event: 'request answered', requestId: 'r1', status: 200, stream: true });
    expect(String(time)).toMatch(/^\d{4}-.*Z$/);
  });

  it('drops and counts every field that is not on the list, whatever it holds', () => {
    const { stream, text } = capture();
    const log = createLog({ level: 'debug', destination: stream });
    const hostile = {
      prompt: mark,
      headers: { authorization: mark },
      body: [mark],
      err: new Error(mark),
      msg: mark,
      event: mark,
      level: mark,
      time: mark,
      status: mark,
      requestId: { toString: () => mark, toJSON: () => mark },
      route: [mark],
      __proto__x: mark,
      durationMs: Number.NaN,
      ok: mark,
    } as unknown as LogFields;
    for (const name of ['debug', 'info', 'warn', 'error'] as const) log[name]('event', hostile);
    const out = text();
    expect(out.trim().split('\n')).toHaveLength(4);
    expect(out).not.toContain(mark);
    expect(log.dropped).toEqual({ lines: 0, fields: 4 * 14 });
  });

  it('keeps of an error its class and system code, never its message', () => {
    const { stream, text } = capture();
    const log = createLog({ level: 'info', destination: stream });
    const error = Object.assign(new TypeError(`bad value ${mark}`), { code: 'ECONNRESET' });
    log.error('failed', errorFields(error));
    log.error('failed', errorFields(mark));
    const out = text();
    expect(out).not.toContain(mark);
    expect(out).toContain('"errorName":"TypeError","errorCode":"ECONNRESET"');
  });

  it('cuts long values and removes line breaks, terminal escapes and direction overrides', () => {
    const { stream, text } = capture();
    const log = createLog({ level: 'info', destination: stream });
    log.info('a\nb\u001b[31mc', {
      reason: '\u001b]8;;https://x.example\u0007l\u001b[0mi\r\nnk\u202e\u2028\ud800\u0000\u009b',
      problem: 'x'.repeat(10_000),
    });
    const line = JSON.parse(text()) as Record<string, string>;
    expect(line.event).toBe('abc');
    expect(line.reason).toBe('link');
    expect(line.problem).toBe(`${'x'.repeat(200)}…`);
  });
});

describe('the log.limits', () => {
  it('drops and counts lines once a reader that takes nothing has 4 MiB waiting', () => {
    const stuck = new Writable({ write() {} });
    const drops: string[] = [];
    const log = createLog({ level: 'info', destination: stuck, onDrop: (what) => drops.push(what) });
    for (let count = 0; count < 50_000; count++) log.info('event', { reason: 'x'.repeat(150) });
    expect(stuck.writableLength).toBeLessThan(4 * 1024 * 1024 + 1000);
    expect(log.dropped.lines).toBeGreaterThan(10_000);
    expect(drops.length).toBe(log.dropped.lines);
  });

  it('survives a destination that throws and one that was destroyed', () => {
    const full = new Writable({
      write() {
        throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      },
    });
    const log = createLog({ level: 'info', destination: full });
    log.info('event');
    full.destroy();
    log.info('event');
    expect(log.dropped.lines).toBe(2);
  });
});
