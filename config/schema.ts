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

export const policySchema = z.strictObject({
  /** Rules of this level and below run. */
  level: z.int().min(1).max(3),
  bands: bandsSchema,
  /** Bands for prompts heading to the named downstream tool. */
  toolBands: z.record(z.string(), bandsSchema),
  onEscalate: z.enum(['forward', 'block']),
  sanitizeOnBlock: z.boolean(),
  validOnSanitize: z.boolean(),
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
  attachmentsMax: z.int().positive(),
  canaryTokensMax: z.int().positive().max(1024),
  jsonDepthMax: z.int().min(8).max(10_000),
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

export const gatewaySchema = z.strictObject({
  limits: limitsSchema,
  timeouts: timeoutsSchema,
  upstream: z.strictObject({
    connectionsMax: z.int().positive(),
    requestHeaders: z.array(z.string()),
    responseHeaders: z.array(z.string()),
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
export type FailureMode = z.infer<typeof failureModeSchema>;
export type CanaryPolicy = z.infer<typeof canaryPolicySchema>;
