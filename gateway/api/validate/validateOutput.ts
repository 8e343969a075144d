/** POST /validate_output: a model's answer, before anyone reads or runs it. */
import type { CanaryPolicy, Policy } from '../../../config/schema.ts';
import type { NeedleSet } from '../../../engine/canary/compile.ts';
import { policyVersion } from '../../../engine/index.ts';
import type { ToolExpectations } from '../../../engine/tools/constraints.ts';
import type { Action } from '../../../engine/types.ts';
import type { Handler } from '../../app.ts';
import type { Deps } from '../../deps.ts';
import { GatewayError } from '../../errors.ts';
import type { Caller } from '../../http/auth.ts';
import type { Exchange } from '../../http/exchange.ts';
import { countOutput } from '../../telemetry/guards.ts';
import { eachString, type JsonNode, type JsonObject, member } from '../../wire/json.ts';
import { invalid } from '../../wire/request.ts';
import { type CleanOutput, cleanOutput } from './cleanOutput.ts';
import { receiptView } from './coverage.ts';
import { type Examined, type ExamineRequest, examine } from './examine.ts';
import { outputFindings } from './findings.ts';
import { openCall } from './open.ts';
import type { OutputDocument } from './outputText.ts';
import {
  checkCanary,
  checkTextSize,
  countUnknown,
  parseBody,
  type ValidateOutputBody,
  validateOutputSchema,
} from './request.ts';
import { answerHeaders } from './respond.ts';
import { compileToolSchemas } from './toolSchemas.ts';

/** Answers one call. Throws `GatewayError`. */
export const validateOutput: Handler = async (deps, exchange) => {
  const { caller, root, source } = await openCall(deps, exchange);
  // The answer itself is read where it stands; it needs no plain copy.
  const body = parseBody(validateOutputSchema, root, ['token', 'output', 'toolCalls']);
  const unknownFields = countUnknown(root, validateOutputSchema);
  if (unknownFields > 0) deps.log.debug('unknown_fields', { requestId: exchange.requestId, count: unknownFields });
  const document = readDocument(root, source, deps);
  const given = givenTokens(body, deps);
  const tools = toolsOf(body, deps);
  const request = await examineRequest(deps, caller, body, given, tools);
  const first = examine(request, document);
  Object.assign(first.verdict.receipt.scanners, first.expectations.states);
  const clean = first.action === 'sanitize' ? cleanOutput(request, first) : null;
  // An answer that cannot be cleaned is not given out.
  const action: Action = first.action === 'sanitize' && clean === null ? 'block' : first.action;
  count(deps, exchange, first, action);
  if (body.relatesTo !== null) {
    deps.log.info('relates', { requestId: exchange.requestId, telemetryId: body.relatesTo, action });
  }
  exchange.action = action;
  if (first.unavailable) throw new GatewayError('guardrail_unavailable');
  const known = [...given, ...request.sets.flatMap((set) => set.tokens.map(({ value }) => value))];
  const answer = JSON.stringify({
    valid: action === 'pass',
    action,
    findings: outputFindings(first, namedTools(caller.policy, tools), known),
    coverage: {
      ...(Object.values(first.verdict.receipt.scanners).includes('failed_open') && { degraded: true }),
      receipt: receiptView(first.verdict.receipt, policyVersion(caller.policy)),
    },
    telemetryId: exchange.requestId,
    rulesVersion: first.verdict.receipt.rulesVersion,
    policyVersion: policyVersion(caller.policy),
  });
  const receipt = { ...first.verdict.receipt, policyVersion: policyVersion(caller.policy) };
  exchange.json(
    200,
    withClean(answer, action === 'sanitize' ? clean : null, document),
    answerHeaders(exchange, action, receipt),
  );
};

/** The texts of the answer. Throws 400 for other shapes and 413 for a text over its limit. */
function readDocument(root: JsonObject, source: string, { config }: Deps): OutputDocument {
  const output = member(root, 'output');
  if (output === null || (output.kind !== 'string' && output.kind !== 'array')) {
    throw invalid('/output', 'expected a string or a list of content parts');
  }
  if (output.kind === 'array') {
    output.items.forEach((item, index) => {
      if (item.kind !== 'string' && item.kind !== 'object')
        throw invalid(`/output/${index}`, 'expected a content part');
    });
  }
  const calls = member(root, 'toolCalls');
  const toolCalls = calls?.kind === 'null' ? null : calls;
  if (toolCalls !== null) {
    if (toolCalls.kind !== 'array') throw invalid('/toolCalls', 'expected a list of tool calls');
    toolCalls.items.forEach((item, index) => {
      if (item.kind !== 'object') throw invalid(`/toolCalls/${index}`, 'expected a tool call object');
    });
  }
  const check = (node: JsonNode, path: string): void =>
    eachString(node, path, (leaf, pointer) => checkTextSize(leaf.value, pointer, config.limits));
  check(output, '/output');
  if (toolCalls !== null) check(toolCalls, '/toolCalls');
  return { source, output, toolCalls, removed: new Set() };
}

/** The caller's own canaries, without blanks and repetitions. */
function givenTokens(body: ValidateOutputBody, { config }: Deps): string[] {
  const tokens = new Set<string>();
  const add = (value: string | null, pointer: string): void => {
    const token = checkCanary(value, pointer);
    if (token !== null) tokens.add(token);
  };
  body.canaryTokens?.forEach((value, index) => {
    add(value, `/canaryTokens/${index}`);
  });
  add(body.canaryToken, '/canaryToken');
  const { canaryTokensMax } = config.limits;
  if (tokens.size > canaryTokensMax) throw invalid('/canaryTokens', `expected at most ${canaryTokensMax} canaries`);
  return [...tokens];
}

function toolsOf({ expect }: ValidateOutputBody, { config }: Deps): ToolExpectations | null {
  if (expect === null) return null;
  const { allowedTools, toolFields, toolSchemas } = expect;
  if (allowedTools === null && toolFields === null && toolSchemas === null) return null;
  return {
    allowedTools,
    toolFields,
    strict: expect.strict === true,
    ...(toolSchemas !== null && { schemas: compileToolSchemas(toolSchemas, config.limits) }),
  };
}

function namedTools({ tools: policy }: Policy, tools: ToolExpectations | null): string[] {
  return [
    ...(policy.allowed ?? []),
    ...Object.keys(policy.required),
    ...Object.keys(policy.schemas),
    ...policy.arguments.map(({ tool }) => tool),
    ...(tools?.allowedTools ?? []),
    ...(tools?.toolFields?.keys() ?? []),
    ...(tools?.schemas?.keys() ?? []),
  ];
}

/**
 * Canaries to look for: the caller's, and the tenant's live ones unless the caller gave a list. Those of other tenants
 * are always watched for, whatever the caller says.
 */
async function examineRequest(
  deps: Deps,
  { tenant, policy }: Caller,
  body: ValidateOutputBody,
  given: readonly string[],
  tools: ToolExpectations | null,
): Promise<ExamineRequest> {
  const own = deps.canaries.own(given);
  const live = body.canaryTokens === null ? await deps.canaries.live(tenant, policy, true) : null;
  const sets: NeedleSet[] = [...own, ...(live === null ? [] : [live.set])];
  return {
    deps,
    policy: withCanaryAction(policy, body.canaryPolicy),
    expected: { mime: body.expect?.mime ?? null, tools },
    sets: sets.filter((set) => set.tokens.length > 0),
    foreign: await deps.canaries.foreign(tenant),
    evicted: live?.evicted ?? 0,
  };
}

function withCanaryAction(policy: Policy, action: CanaryPolicy | null): Policy {
  const { output } = policy;
  if (action === null || action === output.canary.action) return policy;
  return { ...policy, output: { ...output, canary: { ...output.canary, action } } };
}

function count(deps: Deps, exchange: Exchange, { verdict, expectations }: Examined, action: Action): void {
  const hit = new Set<string>();
  if (expectations.violations.length > 0) hit.add('tool-policy');
  if (expectations.mime !== null) hit.add('mime');
  const failures = [...verdict.failures, ...expectations.failures];
  countOutput(deps, exchange.requestId, { ...verdict, action, failures }, hit);
}

/** Puts the cleaned texts in as the JSON they are, so that no number or key of the caller's is rewritten. */
function withClean(answer: string, clean: CleanOutput | null, { toolCalls }: OutputDocument): string {
  if (clean === null) return answer;
  const calls = toolCalls === null || clean.toolCalls === null ? '' : `,"sanitizedToolCalls":${clean.toolCalls}`;
  return `${answer.slice(0, -1)},"sanitizedOutput":${clean.output}${calls}}`;
}
