/**
 * One schema per file kind. Every configuration type in the project is inferred from here,
 * and every message a wrong file produces starts here.
 */
import { z } from 'zod';

const bytes = z.int().positive();
const millis = z.int().positive();
const unit = z.number().min(0).max(1);
const identifier = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'expected a lower-case identifier');

export const failureModeSchema = z.enum(['closed', 'open']);
export const canaryPolicySchema = z.enum(['block', 'sanitize', 'observe']);

const bandsSchema = z
  .strictObject({ escalate: unit, sanitize: unit, block: unit })
  .refine((b) => b.escalate <= b.sanitize && b.sanitize <= b.block, {
    message: 'expected escalate <= sanitize <= block',
  });

/** A guard that was configured and did not decide ends as its failure mode says. */
const guardSchema = z.strictObject({
  enabled: z.boolean(),
  failureMode: failureModeSchema,
});

/** First segments below /v1 that are inspected, or behind which inspected endpoints stand. None is relayed unread. */
export const NEVER_RELAYED: readonly string[] = [
  'chat',
  'responses',
  'completions',
  'embeddings',
  'models',
  'moderations',
  'messages',
  'deployments',
  'engines',
  'openai',
  'v1',
];

/** What an argument of a tool call may be. */
const argumentRuleSchema = z
  .strictObject({
    /** Tool names it applies to; a `*` stands for any characters. */
    tool: z.string().min(1),
    /** JSON pointer below the arguments; a segment `*` is every member or item. Empty: the arguments as a whole. */
    argument: z.string().regex(/^(?:\/[^/]*)*$/, 'expected a JSON pointer'),
    /** The value is one of these. */
    oneOf: z.array(z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
    /** RE2 patterns: the text must, or must not, contain a match. */
    matches: z.string().min(1).optional(),
    excludes: z.string().min(1).optional(),
    /** The text is a URL, or an e-mail address, of one of these hosts; `*.example.com` is any host below. */
    hosts: z.array(z.string().min(1)).optional(),
    charsMax: z.int().positive().optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
  })
  .refine((rule) => Object.keys(rule).length > 2, { message: 'expected at least one condition' });

/** Which tools an answer may call, and how. */
const toolsSchema = z.strictObject({
  allowed: z.array(z.string().min(1)).nullable(),
  required: z.record(z.string(), z.array(z.string().min(1))),
  strict: z.boolean(),
  schemas: z.record(z.string(), z.union([z.boolean(), z.record(z.string(), z.unknown())])),
  arguments: z.array(argumentRuleSchema),
});

export const policySchema = z.strictObject({
  /** Rules of this level and below run. */
  level: z.int().min(1).max(3),
  bands: bandsSchema,
  /** Bands for prompts heading to the named downstream tool. */
  toolBands: z.record(z.string(), bandsSchema),
  onEscalate: z.enum(['forward', 'block']),
  sanitizeOnBlock: z.boolean(),
  validOnSanitize: z.boolean(),
  relay: z.record(
    z
      .string()
      .regex(/^[a-z][a-z0-9_-]*$/, 'expected the first path segment below /v1, such as audio')
      .refine((name) => !NEVER_RELAYED.includes(name), { message: 'is inspected and cannot be relayed unread' }),
    z.literal('not-inspected'),
  ),
  tools: toolsSchema,
  canary: z.strictObject({
    mode: z.enum(['auto', 'asked', 'off']),
    scope: z.enum(['tenant', 'request']),
    bucketHours: z
      .int()
      .min(1)
      .max(24 * 31),
    ttlHours: z
      .int()
      .min(1)
      .max(24 * 365),
    liveTokensMax: z.int().min(1).max(1024),
  }),
  input: z.strictObject({
    injection: guardSchema,
    hidden: guardSchema,
    controlTokens: guardSchema,
  }),
  output: z.strictObject({
    canary: guardSchema.extend({ action: canaryPolicySchema }),
    controlTokens: guardSchema.extend({ action: z.enum(['sanitize', 'block', 'observe']) }),
    toolConstraints: guardSchema.extend({ action: z.enum(['block', 'sanitize']) }),
    mime: guardSchema,
  }),
});

export const limitsSchema = z.strictObject({
  chatBodyBytesMax: bytes,
  validateBodyBytesMax: bytes,
  textLeafBytesMax: bytes,
  segmentsMax: z.int().positive(),
  attachmentsMax: z.int().positive(),
  canaryTokensMax: z.int().positive().max(1024),
  jsonDepthMax: z.int().min(8).max(10_000),
  jsonNodesMax: z.int().min(1_000),
  decodeDepthMax: z.int().min(0).max(3),
  viewUnitsPerInputUnitMax: z.int().min(1).max(32),
  sseEventBytesMax: bytes,
  sseHeldBytesMax: bytes,
  toolCallBytesMax: bytes,
  outputBodyBytesMax: bytes,
  holdRawCharsMax: z.int().min(64),
  lateWindowCharsMax: z.int().min(256),
  outputChannelsMax: z.int().min(8),
  concurrentRequestsMax: z.int().positive(),
  relayBodyBytesMax: bytes,
  historyCharsMax: z.int().min(0),
  toolSchemaBytesMax: bytes,
  toolSchemasMax: z.int().positive(),
});

export const timeoutsSchema = z.strictObject({
  clientHeaderMs: millis,
  clientBodyMs: millis,
  clientWriteMs: millis,
  upstreamConnectMs: millis,
  upstreamHeaderMs: millis,
  upstreamIdleMs: millis,
  upstreamTotalMs: millis,
  drainMs: millis,
});

export const PROVIDER_KINDS = ['openai', 'azure', 'anthropic', 'openai-compatible', 'demo'] as const;
/** What a request asks of a provider. */
export const SURFACES = [
  'chat',
  'responses',
  'completions',
  'embeddings',
  'models',
  'moderations',
  'messages',
  'relay',
] as const;

const providerSchema = z.strictObject({
  kind: z.enum(PROVIDER_KINDS),
  /** Base URL; `openai` and `anthropic` have one of their own. */
  url: z.string().min(1).max(2048).optional(),
  /** Name of the environment variable that holds the key. */
  keyEnv: z
    .string()
    .regex(/^[A-Z_][A-Z0-9_]*$/, 'expected the name of an environment variable')
    .optional(),
  /** `key` sends the gateway's key, `passthrough` the caller's. */
  auth: z.enum(['key', 'passthrough']).optional(),
  headers: z
    .record(
      z.string().regex(/^[a-z0-9-]+$/, 'expected a lower-case header name'),
      z.string().regex(/^[!-~](?:[ -~]{0,1022}[!-~])?$/, 'expected at most 1024 printable ASCII characters'),
    )
    .optional(),
  /** Used where a call names none. */
  model: z.string().min(1).max(256).optional(),
  /** Azure only: `api-version` of the deployment paths; without it the v1 paths are used. */
  apiVersion: z
    .string()
    .regex(/^[\w.-]{1,64}$/, 'expected a version such as 2024-10-21')
    .optional(),
});

const targetSchema = z.strictObject({
  provider: identifier,
  /** Replaces the model that the call names. */
  model: z.string().min(1).max(256).optional(),
});

const routeSchema = targetSchema.extend({
  /** Model names; a `*` stands for any characters. Without it, every model. */
  models: z.array(z.string().min(1)).optional(),
  surfaces: z.array(z.enum(SURFACES)).optional(),
  /** Tried in turn when the provider took nothing. */
  fallback: z.array(targetSchema).optional(),
});

export const gatewaySchema = z.strictObject({
  limits: limitsSchema,
  timeouts: timeoutsSchema,
  upstream: z.strictObject({
    connectionsMax: z.int().positive(),
    requestHeaders: z.array(z.string()),
    responseHeaders: z.array(z.string()),
    attemptsMax: z.int().min(1).max(8),
    fallbackStatuses: z.array(z.union([z.literal(429), z.literal(502), z.literal(503), z.literal(529)])),
    breaker: z.strictObject({ failuresMax: z.int().positive(), openMs: millis }),
    keptHours: z
      .int()
      .min(1)
      .max(24 * 365),
  }),
  providers: z.record(
    identifier.refine((name) => !['v1', 'deployments', 'openai', 'responses', 'models', 'moderations'].includes(name), {
      message: 'is part of the Azure-style paths; expected another name',
    }),
    providerSchema,
  ),
  routing: z.strictObject({
    default: identifier.nullable(),
    routes: z.array(routeSchema),
  }),
  responses: z.strictObject({
    blockStatus: z.union([z.literal(400), z.literal(403)]),
    midStreamBlock: z.enum(['error', 'finish']),
    streamReceipt: z.boolean(),
    keepAliveMs: millis,
    holdFlushMs: millis,
  }),
  telemetry: z.strictObject({
    toolLabels: z.array(identifier),
  }),
  tenants: z.record(identifier, z.strictObject({ policy: identifier })),
  policies: z.record(identifier, policySchema),
});

const provenanceSchema = z.enum(['user', 'document', 'tool']);

/** One rule with its own examples; `config/rules/<family>/<id>.yaml`. */
export const ruleSchema = z.strictObject({
  /** Permanent; never reused. */
  id: identifier,
  /** The folder it lies in. Fusion takes the best score per family. */
  family: identifier,
  title: z.string().min(8),
  status: z.enum(['stable', 'experimental']),
  /** 1 = safe default; higher is stricter and noisier. */
  level: z.int().min(1).max(3),
  /** Weight in fusion, 0 to 1. */
  score: unit,
  /** A hard rule sets this action whatever the risk is. */
  action: z.enum(['escalate', 'sanitize', 'block']).optional(),
  /** The texts it reads. */
  provenance: z.array(provenanceSchema).min(1),
  /** RE2 syntax, matched case-insensitively on the views; `{{name}}` inserts a lexicon entry, a blank is any white space. */
  patterns: z.array(z.string().min(3)).min(1),
  /** A match that begins inside a match of one of these is a mention, not an attempt, and is dropped. */
  except: z.array(z.string().min(3)).optional(),
  examples: z.strictObject({
    hit: z
      .array(z.strictObject({ text: z.string(), as: provenanceSchema.optional(), span: z.string().optional() }))
      .min(1),
    miss: z.array(z.strictObject({ text: z.string(), as: provenanceSchema.optional(), why: z.string().min(4) })).min(1),
  }),
  falsePositives: z.array(z.string()),
});

/** `config/rules/lexicon.yaml`: alternatives that rules share by name. */
export const lexiconSchema = z.record(z.string().regex(/^[a-z][a-z0-9_]*$/), z.array(z.string().min(1)).min(1));

/** `config/control-tokens.yaml`: literal control tokens of model families. */
export const controlTokensSchema = z.strictObject({
  families: z.array(
    z.strictObject({
      id: identifier,
      /** Unambiguous literals: neutralised wherever they stand. */
      a: z.array(z.string().min(2)),
      /** Ambiguous literals: only paired, at a line start, next to a role word, or in tool and retrieval text. */
      b: z.array(z.string().min(2)),
      /** Scored, never rewritten. */
      c: z.array(z.string().min(2)),
    }),
  ),
});

export type Policy = z.infer<typeof policySchema>;
export type Bands = z.infer<typeof bandsSchema>;
export type Limits = z.infer<typeof limitsSchema>;
export type Timeouts = z.infer<typeof timeoutsSchema>;
export type GatewayConfig = z.infer<typeof gatewaySchema>;
export type RuleRecord = z.infer<typeof ruleSchema>;
export type Lexicon = z.infer<typeof lexiconSchema>;
export type ControlTokenTable = z.infer<typeof controlTokensSchema>;
export type ToolPolicySpec = z.infer<typeof toolsSchema>;
export type ArgumentRule = z.infer<typeof argumentRuleSchema>;
export type ProviderConfig = z.infer<typeof providerSchema>;
export type ProviderKind = (typeof PROVIDER_KINDS)[number];
export type SurfaceId = (typeof SURFACES)[number];
export type RouteConfig = z.infer<typeof routeSchema>;
export type TargetConfig = z.infer<typeof targetSchema>;
export type FailureMode = z.infer<typeof failureModeSchema>;
export type CanaryPolicy = z.infer<typeof canaryPolicySchema>;
