/** A provider and a gateway in front of it for the tests of a file or `describe`: started, cleared and closed for them. */
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { type GatewayOptions, startGateway, type TestGateway } from './gateway.ts';
import { MockUpstream } from './mockUpstream.ts';

/** Where no address is given, it is that of the mock. */
export type RigOptions = Omit<GatewayOptions, 'upstream'> & Partial<Pick<GatewayOptions, 'upstream'>>;
export type RigOptionsOf = RigOptions | ((mock: MockUpstream) => RigOptions);

export interface Closable {
  close(): Promise<void>;
}

export interface RigProvider extends Closable {
  /** Called before each test. */
  clear(): void;
}

/** How its parts start. */
export interface RigParts<P extends RigProvider, G extends Closable, O> {
  readonly provider: () => Promise<P>;
  readonly gateway: (provider: P, options: O) => Promise<G>;
}

export interface Rig<P extends RigProvider = MockUpstream, G extends Closable = TestGateway, O = RigOptionsOf> {
  readonly mock: P;
  readonly gateway: G;
  /** All that run now, the main one first. */
  readonly gateways: readonly G[];
  /** One more gateway, closed after the test that starts it, or after all of them when none does. */
  start(options: O): Promise<G>;
}

/** Without a gateway: each test starts its own. */
export type MockRig = Omit<Rig, 'gateway'>;

export interface MockPair extends RigProvider {
  readonly first: MockUpstream;
  readonly second: MockUpstream;
}

export type PairRig = Rig<MockPair, TestGateway, (pair: MockPair) => GatewayOptions>;

/** Whether parts start once for all tests, or anew for each. */
export type RigLife = 'all' | 'each';

class Running<P extends RigProvider, G extends Closable, O> implements Rig<P, G, O> {
  readonly #parts: RigParts<P, G, O>;
  #mock: P | null = null;
  #gateway: G | null = null;
  /** Beside the main one; those of the present test behind those for all. */
  readonly #more: G[] = [];
  /** How many of `#more` there were when the present test began; null between tests. */
  #kept: number | null = null;

  constructor(parts: RigParts<P, G, O>) {
    this.#parts = parts;
  }

  get mock(): P {
    if (this.#mock === null) throw new Error('the mock of the rig has not started: read it in a hook or a test');
    return this.#mock;
  }

  get gateway(): G {
    if (this.#gateway === null) throw new Error('the gateway of the rig has not started: read it in a hook or a test');
    return this.#gateway;
  }

  get gateways(): readonly G[] {
    return this.#gateway === null ? this.#more : [this.#gateway, ...this.#more];
  }

  async start(options: O): Promise<G> {
    const gateway = await this.#parts.gateway(this.mock, options);
    this.#more.push(gateway);
    return gateway;
  }

  async openMock(): Promise<void> {
    this.#mock = await this.#parts.provider();
  }

  async open(options: O): Promise<void> {
    await this.openMock();
    this.#gateway = await this.#parts.gateway(this.mock, options);
  }

  enterTest(): void {
    this.#kept = this.#more.length;
    this.mock.clear();
  }

  async leaveTest(): Promise<void> {
    const own = this.#more.splice(this.#kept ?? 0);
    this.#kept = null;
    for (const gateway of own) await gateway.close();
  }

  /** Also after a start that failed half way. */
  async close(): Promise<void> {
    for (const gateway of this.#more.splice(0)) await gateway.close();
    await this.#gateway?.close();
    await this.#mock?.close();
    this.#gateway = null;
    this.#mock = null;
  }
}

/** A rig of other parts than a mock and a plain gateway. */
export function useRig<P extends RigProvider, G extends Closable, O>(
  parts: RigParts<P, G, O>,
  options: O,
  life: RigLife = 'all',
): Rig<P, G, O> {
  const rig = new Running(parts);
  register(rig, () => rig.open(options), life);
  return rig;
}

/** A mock with a gateway in front of it. */
export function useGateway(options: RigOptionsOf = {}, life: RigLife = 'all'): Rig {
  return useRig(PLAIN, options, life);
}

/** Two mocks with a gateway in front of them, which is told of the second by its options. */
export function useMockPair(options: (pair: MockPair) => GatewayOptions, life: RigLife = 'all'): PairRig {
  return useRig({ provider: startPair, gateway: (pair, of: typeof options) => startGateway(of(pair)) }, options, life);
}

export function useMock(): MockRig {
  const rig = new Running(PLAIN);
  register(rig, () => rig.openMock(), 'all');
  return rig;
}

/** The same for one test or a part of it. */
export async function withGateway(options: RigOptionsOf, act: (rig: Rig) => Promise<void>): Promise<void> {
  const rig = new Running(PLAIN);
  try {
    await rig.open(options);
    await act(rig);
  } finally {
    await rig.close();
  }
}

const PLAIN: RigParts<MockUpstream, TestGateway, RigOptionsOf> = {
  provider: () => MockUpstream.start(),
  gateway: (mock, options) =>
    startGateway({ upstream: mock.url, ...(typeof options === 'function' ? options(mock) : options) }),
};

async function startPair(): Promise<MockPair> {
  const [first, second] = await Promise.all([MockUpstream.start(), MockUpstream.start()]);
  return {
    first,
    second,
    clear: () => {
      first.clear();
      second.clear();
    },
    close: async () => {
      await Promise.all([first.close(), second.close()]);
    },
  };
}

// What follows a test runs in the reverse order of registration: the hooks of the file still find all gateways open.
function register(
  rig: Pick<Running<never, never, never>, 'enterTest' | 'leaveTest' | 'close'>,
  open: () => Promise<void>,
  life: RigLife,
): void {
  const [before, after] = life === 'all' ? [beforeAll, afterAll] : [beforeEach, afterEach];
  before(open);
  after(() => rig.close());
  beforeEach(() => rig.enterTest());
  afterEach(() => rig.leaveTest());
}
