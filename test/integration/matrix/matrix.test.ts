/**
 * Every guard that acts on answers, on every endpoint, whole and streamed, with the leak in every place: each cell is
 * blocked or sanitised, or says why it is not there. Prints the table.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayConfig } from '../../../config/schema.ts';
import { within } from '../../helpers/deadline.ts';
import { type TestGateway, withPolicy } from '../../helpers/gateway.ts';
import { type Reply, responseObject } from '../../helpers/mockUpstream.ts';
import { useMock } from '../../helpers/rig.ts';
import { type Answer, canaryOf, pause, until, WAIT_MS } from '../chat/support.ts';
import { isBlocked, isWhole, received, runsOf } from './judge.ts';
import { type Filled, isAbsent, MODES, type Mode, POSITIONS, type PositionName, type Reading } from './positions.ts';
import { RESPONSE_ID } from './responses.ts';
import { type MatrixSurface, RESPONSES_BODY, SURFACES, SYSTEM } from './surfaces.ts';
import { TOOL_CELLS, TOOL_POLICY, TOOL_POSITIONS } from './tools.ts';

type Outcome = 'blocked' | 'sanitised' | 'restored' | 'replaced' | 'canary only';
type Guard = 'canary' | 'control-tokens' | 'tool-policy';

interface Column {
  readonly name: string;
  readonly guard: Guard;
  readonly config: (config: GatewayConfig) => GatewayConfig;
  /** The text that must not come through; null for the canary of the request. */
  readonly secret: string | null;
  /** What stands in its place. */
  readonly mark: string;
  readonly expected: Readonly<Record<Reading, Outcome>>;
}

const CONTROL = '<|im_start|>';
const CONTROL_MARK = '‹|im_start|›';
const REDACTED = '[redacted]';
/** Control tokens are rewritten where a text is shown or run; elsewhere nothing is, and only canaries are looked for. */
const UNSHOWN = { spelled: 'canary only', leaf: 'canary only', echo: 'restored', dropped: 'replaced' } as const;
const CANARY = { echo: 'restored', dropped: 'replaced' } as const;

const COLUMNS: readonly Column[] = [
  {
    name: 'canary: block',
    guard: 'canary',
    config: (same) => same,
    secret: null,
    mark: REDACTED,
    expected: { ...CANARY, shown: 'blocked', spelled: 'blocked', leaf: 'blocked' },
  },
  {
    name: 'canary: sanitize',
    guard: 'canary',
    config: withPolicy((policy) => ({
      ...policy,
      output: { ...policy.output, canary: { ...policy.output.canary, action: 'sanitize' } },
    })),
    secret: null,
    mark: REDACTED,
    // What cannot be rewritten cannot leave.
    expected: { ...CANARY, shown: 'sanitised', spelled: 'sanitised', leaf: 'blocked' },
  },
  {
    name: 'control: sanitize',
    guard: 'control-tokens',
    config: (same) => same,
    secret: CONTROL,
    mark: CONTROL_MARK,
    expected: { ...UNSHOWN, shown: 'sanitised' },
  },
  {
    name: 'control: block',
    guard: 'control-tokens',
    config: withPolicy((policy) => ({
      ...policy,
      output: { ...policy.output, controlTokens: { ...policy.output.controlTokens, action: 'block' } },
    })),
    secret: CONTROL,
    mark: CONTROL_MARK,
    expected: { ...UNSHOWN, shown: 'blocked' },
  },
];
const TOOL_COLUMN: Column = {
  name: 'tool policy: block',
  guard: 'tool-policy',
  config: withPolicy((policy) => ({ ...policy, tools: TOOL_POLICY })),
  secret: 'forbidden_tool',
  mark: '',
  expected: { ...CANARY, shown: 'blocked', spelled: 'blocked', leaf: 'blocked' },
};

interface Running {
  readonly gateway: TestGateway;
  /** As the provider got it, canary included. */
  readonly systemText: string;
}

const rig = useMock();
const running = new Map<string, Running>();
/** What each cell came to, or why there is none, by its key. */
const cells = new Map<string, string>();
const keyOf = (column: string, surface: string, mode: Mode, position: string) =>
  [column, surface, mode, position].join(' | ');

beforeAll(async () => {
  for (const column of [...COLUMNS, TOOL_COLUMN]) {
    // Below a path of its own, where the mock has no answers that this test did not choose.
    const gateway = await rig.start({ upstream: `${rig.mock.origin}/p/v1`, config: column.config });
    running.set(column.name, { gateway, systemText: await store(gateway) });
  }
  // The gateway's copy of the tenant's live canaries is at most a second old.
  await pause(1_100);
});
afterAll(() => {
  process.stdout.write(`${table()}\n`);
});

/** Has the provider keep a response. Resolves with the instructions that it was given. */
async function store(gateway: TestGateway): Promise<string> {
  rig.mock.reply({ json: responseObject({ id: RESPONSE_ID, output: ['Well.'] }) });
  const response = await within(WAIT_MS, gateway.post('/v1/responses', RESPONSES_BODY), 'a stored response');
  expect(response.status).toBe(200);
  await response.arrayBuffer();
  return rig.mock.last.systemText;
}

async function send({ gateway }: Running, surface: MatrixSurface, mode: Mode): Promise<Answer> {
  const { method, path, body } = surface;
  const sent = body === null ? null : { ...body, ...(mode === 'stream' && { stream: true }) };
  const request = fetch(gateway.url + path(mode), {
    method,
    headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' },
    ...(sent !== null && { body: JSON.stringify(sent) }),
  });
  const response = await within(WAIT_MS, request, 'the head of the answer');
  const text = await within(WAIT_MS, response.text(), 'the whole answer');
  return { status: response.status, headers: response.headers, text };
}

/** Stays open behind its last event, so that only the gateway can have ended it. */
function leftOpen(reply: Reply): Reply {
  if (reply.stream === undefined) return reply;
  const { stream } = reply;
  return { ...reply, stream: { ...stream, cut: { afterEvents: stream.events.length, how: 'silence' } } };
}

async function outcomes({ gateway }: Running, guard: Guard): Promise<Record<string, number>> {
  const lines = (await gateway.deps.metrics.render()).matchAll(
    /^portcullis_guard_outcomes_total\{guard="([^"]+)",direction="output",outcome="([^"]+)"\} (\d+)$/gm,
  );
  const own = [...lines].filter(([, name]) => name === guard);
  return Object.fromEntries(own.map(([, , outcome, count]) => [outcome as string, Number(count)]));
}

/** Runs one cell and says what came of it. */
async function run(column: Column, surface: MatrixSurface, mode: Mode, { reads, reply }: Filled): Promise<string> {
  const its = running.get(column.name) as Running;
  const expected = column.expected[reads];
  if (surface.consumes) await store(its.gateway);
  const before = await outcomes(its, column.guard);
  let token = canaryOf(its.systemText);
  let harmless = '';
  rig.mock.next((request) => {
    const systemText = request.systemText.includes(SYSTEM) ? request.systemText : its.systemText;
    token = canaryOf(systemText);
    harmless = JSON.stringify(reply({ secret: 'nothing', systemText: SYSTEM }));
    const answer = reply({ secret: column.secret ?? token, systemText });
    return expected === 'blocked' ? leftOpen(answer) : answer;
  });
  const answer = await send(its, surface, mode);
  const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream') === true;

  expect(runsOf(token, received(answer, isStream), harmless)).toEqual([]);
  const outcome = outcomeOf(column, surface, mode, answer, received(answer, isStream));
  if (outcome === 'blocked' && mode === 'stream' && reply({ secret: '', systemText: '' }).stream !== undefined) {
    await within(WAIT_MS, rig.mock.last.over, 'the end of the provider call');
    expect(rig.mock.last.aborted).toBe(true);
  }
  const acted = outcome === 'blocked' || outcome === 'sanitised';
  const counted = acted ? 'hit' : 'clean';
  const after = { ...before, [counted]: (before[counted] ?? 0) + 1 };
  await until('one outcome is counted', async () => total(await outcomes(its, column.guard)) > total(before));
  expect(await outcomes(its, column.guard)).toEqual(after);
  return outcome;
}

const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0);

function outcomeOf(
  { secret, mark }: Column,
  { ending }: MatrixSurface,
  mode: Mode,
  answer: Answer,
  said: string,
): string {
  if (isBlocked(answer, mode, ending)) return secret !== null && said.includes(secret) ? 'blocked late' : 'blocked';
  if (answer.status === 502) return 'replaced';
  if (!isWhole(answer, mode, ending)) return `not ended: ${answer.status} ${answer.text.slice(-200)}`;
  if (secret !== null && said.includes(secret)) return 'canary only';
  if (said.includes(mark)) return 'sanitised';
  // Log-probabilities that spell what is cut go as a whole.
  if (/"logprobs": ?null/.test(answer.text) && secret === null) return 'sanitised';
  return said.includes(SYSTEM) ? 'restored' : `lost: ${answer.status} ${answer.text.slice(0, 200)}`;
}

describe.each(COLUMNS)('$name', (column) => {
  describe.each(SURFACES)('$name', (surface) => {
    for (const mode of MODES) {
      for (const position of POSITIONS) cell(column, surface, mode, position);
    }
  });
});

function cell(column: Column, surface: MatrixSurface, mode: Mode, position: PositionName): void {
  const key = keyOf(column.name, surface.name, mode, position);
  const filled = surface.positions[position][mode];
  if (isAbsent(filled)) {
    cells.set(key, `— ${filled.absent}`);
    return;
  }
  it(`${mode}, ${position}`, async () => {
    cells.set(key, 'FAILED');
    const outcome = await run(column, surface, mode, filled);
    cells.set(key, outcome);
    expect(outcome).toBe(column.expected[filled.reads]);
  });
}

describe(TOOL_COLUMN.name, () => {
  for (const surface of SURFACES) {
    for (const mode of MODES) {
      for (const position of TOOL_POSITIONS) {
        const filled = TOOL_CELLS[surface.name]?.[position]?.[mode];
        const key = keyOf(TOOL_COLUMN.name, surface.name, mode, position);
        if (filled === undefined || isAbsent(filled)) {
          cells.set(key, `— ${filled?.absent ?? 'answers with no tool calls'}`);
          continue;
        }
        it(`${surface.name}, ${mode}, ${position}`, async () => {
          cells.set(key, 'FAILED');
          const outcome = await run(TOOL_COLUMN, surface, mode, filled);
          cells.set(key, outcome);
          expect(outcome).toBe('blocked');
        });
      }
    }
  }
});

it('no cell is skipped: each was run, or has a reason', () => {
  const expected = SURFACES.flatMap(({ name }) =>
    MODES.flatMap((mode) => [
      ...COLUMNS.flatMap((column) => POSITIONS.map((position) => keyOf(column.name, name, mode, position))),
      ...TOOL_POSITIONS.map((position) => keyOf(TOOL_COLUMN.name, name, mode, position)),
    ]),
  );
  expect([...cells.keys()].sort()).toEqual(expected.sort());
  const outcomes = ['blocked', 'sanitised', 'restored', 'replaced', 'canary only'];
  expect([...cells].filter(([, value]) => !outcomes.includes(value) && !/^— ./.test(value))).toEqual([]);
  // Canaries are read everywhere: there is no place of which the table could say that they are not.
  expect([...cells].filter(([key, value]) => key.startsWith('canary') && value === 'canary only')).toEqual([]);
});

function table(): string {
  const lines: string[] = [];
  for (const surface of SURFACES) {
    for (const mode of MODES) lines.push('', ...rows(surface.name, mode, COLUMNS, POSITIONS));
  }
  for (const surface of SURFACES) {
    for (const mode of MODES) lines.push('', ...rows(surface.name, mode, [TOOL_COLUMN], TOOL_POSITIONS));
  }
  lines.push('');
  lines.push('restored: the prompt, repeated by the provider, comes back in the words of the client.');
  lines.push('replaced: by an error of the gateway, which repeats nothing.');
  lines.push('canary only: never rewritten there, so it is read for canaries only, and a control token passes.');
  return lines.join('\n');
}

/** One row for each position that was run; the others under the reason that they share. */
function rows(surface: string, mode: Mode, columns: readonly Column[], positions: readonly string[]): string[] {
  const row = (first: string, values: readonly string[]) =>
    [first.padEnd(38), ...values.map((value) => value.padEnd(18))].join(' ').trimEnd();
  const reasons = new Map<string, string[]>();
  const lines: string[] = [
    row(
      `${surface}, ${mode}`,
      columns.map(({ name }) => name),
    ),
  ];
  for (const position of positions) {
    const values = columns.map(({ name }) => cells.get(keyOf(name, surface, mode, position)) ?? 'MISSING');
    const [first = ''] = values;
    if (first.startsWith('—')) reasons.set(first, [...(reasons.get(first) ?? []), position]);
    else lines.push(row(position, values));
  }
  const all = (list: readonly string[]) => (list.length === positions.length ? 'everywhere' : list.join('; '));
  for (const [reason, list] of reasons) lines.push(`${reason}: ${all(list)}`);
  return lines;
}
