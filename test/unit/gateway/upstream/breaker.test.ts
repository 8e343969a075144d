import { beforeEach, describe, expect, it } from 'vitest';
import { Breaker, type Permit } from '../../../../gateway/upstream/breaker.ts';

let clock: number;
let changes: boolean[];
let breaker: Breaker;
beforeEach(() => {
  clock = 0;
  changes = [];
  breaker = new Breaker({ failuresMax: 3, openMs: 1000, now: () => clock, onChange: (open) => changes.push(open) });
});

function enter(): Permit {
  const permit = breaker.enter();
  if (permit === null) throw new Error('expected a permit');
  return permit;
}

function open(): void {
  for (let failure = 0; failure < 3; failure += 1) enter().failed();
}

describe('a breaker', () => {
  it('opens after so many failures in a row, and no sooner', () => {
    enter().failed();
    enter().failed();
    expect([breaker.enter() === null, changes]).toEqual([false, []]);
    enter().failed();
    expect([breaker.enter(), breaker.waitMs, changes]).toEqual([null, 1000, [true]]);
  });

  it('counts anew after a success, not after an attempt that taught nothing', () => {
    enter().failed();
    enter().failed();
    enter().succeeded();
    enter().failed();
    enter().failed();
    expect(changes).toEqual([]);
    enter().released();
    enter().failed();
    expect(changes).toEqual([true]);
  });

  it('does not take the head of an answer for a success', () => {
    for (let round = 0; round < 3; round += 1) {
      const permit = enter();
      permit.answered();
      permit.failed();
    }
    expect(changes).toEqual([true]);
  });

  it('lets one trial through after its time, and closes when it is answered', () => {
    open();
    clock = 999;
    expect(breaker.enter()).toBeNull();
    clock = 1000;
    const trial = enter();
    expect(breaker.enter()).toBeNull();
    trial.answered();
    expect([breaker.enter() === null, changes]).toEqual([false, [true, false]]);
  });

  it('opens again for the whole time when the trial fails', () => {
    open();
    clock = 1500;
    enter().failed();
    expect([breaker.enter(), breaker.waitMs]).toEqual([null, 1000]);
    clock = 2500;
    expect(breaker.enter()).not.toBeNull();
  });

  it('counts what becomes of a trial after its head', () => {
    open();
    clock = 1000;
    const trial = enter();
    trial.answered();
    trial.failed();
    enter().failed();
    enter().failed();
    expect(changes).toEqual([true, false, true]);
  });

  it('makes the next attempt the trial when one was aborted', () => {
    open();
    clock = 1000;
    enter().released();
    expect(breaker.enter()).not.toBeNull();
    expect(breaker.enter()).toBeNull();
  });

  it('ignores what began before it changed', () => {
    const [late, early] = [enter(), enter()];
    open();
    late.succeeded();
    expect(breaker.enter()).toBeNull();
    clock = 1000;
    enter().succeeded();
    early.failed();
    enter().failed();
    enter().failed();
    expect(changes).toEqual([true, false]);
  });

  it('counts the first end of an attempt only', () => {
    const permit = enter();
    for (let time = 0; time < 5; time += 1) permit.failed();
    permit.succeeded();
    enter().failed();
    expect(changes).toEqual([]);
    enter().failed();
    expect(changes).toEqual([true]);
  });
});
