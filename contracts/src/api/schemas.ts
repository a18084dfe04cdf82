/** Documents of the API as schemas: the one description for servers, app and OpenAPI. Times are Unix milliseconds. */
import { Type, type Static, type TSchema } from 'typebox';
import { severities, suppressionReasons } from '../alerts/events.js';
import { roles } from '../auth/roles.js';
import { maintenanceSchema } from './grid-record-schema.js';
import { grantSchema } from './people-schema.js';
import { siteWordsSchema } from '../site/site.js';
import { granularities } from '../history/resolution.js';
import { gridNeeds } from './words.js';

const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const literals = <T extends string>(values: readonly T[]) => Type.Unsafe<T>(Type.Enum([...values]));
const time = (description: string) => Type.Number({ description: `${description}, Unix milliseconds` });

export const problemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String(),
    detail: Type.String(),
    next: Type.String({ description: 'what to do next' }),
    correlation_id: Type.String(),
  },
  { description: 'Problem document (RFC 9457)' },
);
export type Problem = Static<typeof problemSchema>;

const actor = Type.Object({ user_id: Type.String(), name: Type.String() });

export const loginRequestSchema = Type.Object({
  username: Type.String({ minLength: 1, maxLength: 128 }),
  password: Type.String({ minLength: 1, maxLength: 1024 }),
});

export const userSchema = Type.Object({
  user_id: Type.String(),
  username: Type.String(),
  display_name: Type.String(),
  role: nullable(literals(roles)),
  grants: Type.Array(grantSchema),
  /** Absent from answers of older servers. */
  password_due: Type.Optional(Type.Boolean({ description: 'came with a one-time word: must choose a password first' })),
});

export const loginResponseSchema = Type.Object({
  token: Type.String({ description: 'send as Authorization: Bearer <token>' }),
  token_type: Type.Literal('Bearer'),
  expires_in_s: Type.Integer(),
  user: userSchema,
});
export type LoginResponse = Static<typeof loginResponseSchema>;

const powerState = literals(['powered', 'off', 'partly', 'unknown']);

export const gridGatewaySchema = Type.Object({
  gateway_id: Type.String(),
  version: nullable(Type.String()),
  clock_trust: nullable(Type.String()),
  told_ms: nullable(time('when it told the above and below')),
  disk_used_pct: nullable(Type.Number()),
  card_life_used_pct: nullable(Type.Number({ description: 'where its card tells' })),
  backlog_frames: Type.Integer({ description: 'frames of its log that are not here, as far as it told of them' }),
  backlog_age_s: nullable(
    Type.Number({ description: 'how long ago the last sample was measured before which none is missing' }),
  ),
  complete_until_ms: nullable(time('up to here nothing that it wrote down is missing')),
  differing_days: Type.Integer({ description: 'last days of which it counts other samples than are here' }),
});

export const gridStateSchema = Type.Object({
  grid_id: Type.String(),
  name: Type.String(),
  organisation_id: nullable(Type.String()),
  zone: Type.String(),
  power: powerState,
  /** False when the gateway has not reported for too long: neither healthy nor off. */
  reachable: Type.Boolean(),
  last_reported_ms: nullable(time('newest sample received')),
  battery_soc_pct: nullable(Type.Number()),
  open_alerts: Type.Integer(),
  worst_severity: nullable(literals(severities)),
  worst_message: nullable(Type.String()),
  /** For its words in the reader's language. Absent from answers of older servers. */
  worst_rule_id: Type.Optional(nullable(Type.String({ description: 'the rule that raised the worst alert' }))),
  worst_since_ms: nullable(time('since when the worst alert is open')),
  worst_acknowledged: Type.Boolean(),
  /** A paused alert is the worst one only while no other is as pressing. Absent from answers of older servers. */
  worst_paused_until_ms: Type.Optional(nullable(time('until when the worst alert is paused; null when it is not'))),
  state: Type.String({ description: 'the state in one line' }),
  /** Absent from answers of older servers. */
  needs: Type.Optional(Type.Array(literals(gridNeeds), { description: 'why it wants attention; empty: it does not' })),
  gateway: Type.Optional(
    Type.Object(gridGatewaySchema.properties, { description: 'at the cloud: what is known of its gateway' }),
  ),
});
export type GridState = Static<typeof gridStateSchema>;

export const figureSchema = Type.Object({
  value: nullable(Type.Number()),
  unit: Type.String(),
  label: Type.String(),
  time_ms: nullable(time('when it was measured')),
  age_s: nullable(Type.Number()),
  quality: Type.String({ description: 'good, or the reason it is uncertain or bad' }),
  freshness: literals(['live', 'late', 'stale', 'unknown']),
  period_s: Type.Number({ description: 'how often its source reports' }),
  sources: Type.Array(Type.Object({ device_id: Type.String(), metric: Type.String() })),
  fallback: Type.Boolean({ description: 'the second choice of the wiring is shown' }),
});
export type FigureView = Static<typeof figureSchema>;

export const verdictSchema = Type.Object({
  power: powerState,
  battery_soc_pct: nullable(Type.Number()),
  empty_at_ms: nullable(
    time(
      'when the battery reaches its floor: as forecast from the site’s own days, else at the present discharge while the battery carries the load',
    ),
  ),
  charging: nullable(Type.Boolean()),
  at_this_load_ms: Type.Optional(
    nullable(
      Type.Number({
        description:
          'how long the energy above the floor carries the present load without sun, milliseconds; null when unknown',
      }),
    ),
  ),
  forecast_lasts: Type.Optional(
    Type.Boolean({ description: 'a fresh forecast says that the floor is not reached within two days' }),
  ),
  open_alerts: Type.Integer(),
  worst_severity: nullable(literals(severities)),
});

export const todaySchema = Type.Object({
  from_ms: time('start of the local day'),
  generation_kwh: nullable(Type.Number()),
  consumption_kwh: nullable(Type.Number()),
  battery_charge_kwh: nullable(Type.Number()),
  battery_discharge_kwh: nullable(Type.Number()),
  without_power_min: nullable(Type.Number()),
  completeness_pct: nullable(Type.Number({ description: 'share of the day so far that was measured' })),
});

export const summarySchema = Type.Object({
  grid_id: Type.String(),
  name: Type.String(),
  zone: Type.String(),
  now_ms: time('the server’s clock'),
  source: Type.Object({
    kind: literals(['gateway', 'cloud']),
    id: Type.String(),
    clock_trust: Type.String(),
    last_reported_ms: nullable(time('newest sample this server has')),
  }),
  figures: Type.Record(Type.String(), figureSchema),
  verdict: verdictSchema,
  today: todaySchema,
  devices: Type.Object({ seen: Type.Integer(), total: Type.Integer() }),
  maintenance: Type.Array(maintenanceSchema, { description: 'planned work that goes on or begins within a day' }),
  plant: Type.Object({
    pv_kwp: nullable(Type.Number()),
    battery_kwh: nullable(Type.Number()),
    battery_floor_pct: Type.Number(),
    has_genset: Type.Boolean(),
    has_mains: Type.Boolean(),
  }),
  limits: Type.Record(
    Type.String(),
    Type.Object({ low: Type.Optional(Type.Number()), high: Type.Optional(Type.Number()) }),
    { description: 'normal band per figure' },
  ),
  /** Absent where the site words nothing itself, and from answers of older servers. */
  words: Type.Optional(siteWordsSchema),
});
export type Summary = Static<typeof summarySchema>;

export const alertSchema = Type.Object({
  alert_id: Type.String(),
  id: Type.String({ description: 'the same as alert_id' }),
  grid_id: Type.String(),
  rule_id: Type.String(),
  type: Type.String(),
  severity: literals(severities),
  message: Type.String(),
  what: Type.String(),
  why: Type.String(),
  steps: Type.Array(Type.String()),
  recommended_action: Type.String({ description: 'the steps in one text' }),
  how_long: Type.Optional(Type.String({ description: 'how long there is to do it; left out where nobody said' })),
  said: Type.Optional(Type.String({ description: "the device's own words for its fault; left out where it has none" })),
  device_id: nullable(Type.String()),
  device_name: nullable(Type.String()),
  metric: nullable(Type.String()),
  value: nullable(Type.Number()),
  limit: nullable(Type.Number()),
  unit: nullable(Type.String()),
  status: literals(['active', 'resolved']),
  acknowledged: Type.Boolean(),
  acknowledged_by: nullable(actor),
  acknowledged_at_ms: nullable(Type.Number()),
  seen_after_clearing: Type.Boolean(),
  raised_at_ms: Type.Number(),
  cleared_at_ms: nullable(Type.Number()),
  assignee: nullable(actor),
  shelved_until_ms: nullable(Type.Number({ description: 'end of the pause that is in force' })),
  shelved_reason: nullable(Type.String()),
  suppressed_by: nullable(
    Type.String({
      description: 'what explains it and keeps it from waking anybody: an alert above it, or planned work',
    }),
  ),
  suppressed_because: nullable(literals(suppressionReasons)),
  last_known_since_ms: nullable(time('since when its sensor is silent, so that it stays as last known')),
  notes: Type.Array(Type.Object({ event_id: Type.String(), at_ms: Type.Number(), actor, text: Type.String() })),
  timeline: Type.Array(
    Type.Object({
      event_id: Type.String(),
      kind: Type.String(),
      at_ms: Type.Number(),
      actor: nullable(actor),
      note: nullable(Type.String()),
      about: nullable(Type.String({ description: 'whom it was given to, the new severity, what keeps it back' })),
      until_ms: nullable(time('end of a pause')),
      origin: Type.Object({ kind: literals(['gateway', 'cloud']), id: Type.String() }),
    }),
  ),
});
export type AlertView = Static<typeof alertSchema>;

export const alertPageSchema = Type.Object({
  alerts: Type.Array(alertSchema),
  next_cursor: nullable(Type.String({ description: 'give it back as `cursor` for the next page' })),
  open: Type.Integer({ description: 'active alerts of the grid' }),
  unacknowledged: Type.Integer({ description: 'active and not acknowledged' }),
});
export type AlertPage = Static<typeof alertPageSchema>;

/** `act_id` is the id born on the phone, so that the same act sent twice has effect once. */
const actFields = {
  act_id: Type.Optional(Type.String({ pattern: '^[0-9A-HJKMNP-TV-Z]{26}$' })),
  occurred_at_ms: Type.Optional(Type.Number({ minimum: 0 })),
};
export const acknowledgeRequestSchema = Type.Object({
  ...actFields,
  note: Type.Optional(Type.String({ maxLength: 4000 })),
});
export const assignRequestSchema = Type.Object({
  ...actFields,
  assignee: Type.Union([
    Type.Literal('me'),
    Type.Null(),
    Type.Object({
      name: Type.String({ minLength: 1, maxLength: 200 }),
      user_id: Type.Optional(Type.String({ maxLength: 128 })),
    }),
  ]),
  replaces: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
      maxItems: 200,
      description: 'earlier assignments (event ids) that were known; all that the server knows when left out',
    }),
  ),
});
export const shelveRequestSchema = Type.Object({
  ...actFields,
  reason: Type.String({ minLength: 1, maxLength: 400 }),
  duration_s: Type.Number({
    minimum: 60,
    maximum: 86_400,
    description: 'at most a day; then it speaks again by itself',
  }),
});
export const unshelveRequestSchema = Type.Object({ ...actFields });
export const noteRequestSchema = Type.Object({ ...actFields, note: Type.String({ minLength: 1, maxLength: 4000 }) });

export const historySeriesSchema = Type.Object({
  metric: Type.String(),
  unit: Type.String(),
  times_ms: Type.Array(Type.Number(), { description: 'start of each window, or time of each raw sample' }),
  mean: Type.Array(nullable(Type.Number()), { description: 'mean of the window, or the raw value' }),
  min: Type.Array(nullable(Type.Number())),
  max: Type.Array(nullable(Type.Number())),
  last: Type.Array(nullable(Type.Number())),
  count: Type.Array(Type.Integer(), {
    description: 'usable samples of each window; against `expected` its completeness',
  }),
  expected: nullable(Type.Integer({ description: 'samples a whole window holds; null for raw' })),
  gaps: Type.Array(Type.Object({ from_ms: Type.Number(), to_ms: Type.Number() }), {
    description: 'stretches up to now without data, in order',
  }),
  completeness_pct: Type.Number({ description: 'share of the asked windows up to now that hold data' }),
});
export const historySchema = Type.Object({
  grid_id: Type.String(),
  from_ms: Type.Number(),
  to_ms: Type.Number(),
  zone: Type.String(),
  granularity: literals(granularities),
  step_ms: nullable(
    Type.Number({
      description: 'width of a window, several of the granularity where `points` folds them; null for raw',
    }),
  ),
  not_kept: Type.Optional(
    Type.Object(
      { granularity: literals(granularities), since_ms: time('since when it is kept') },
      { description: 'what was wanted, where it is no longer kept: the answer is from the finest that is' },
    ),
  ),
  metric: Type.String({ description: 'as asked' }),
  series: Type.Array(historySeriesSchema),
});
export type History = Static<typeof historySchema>;

export const deviceLinkSchema = Type.Object(
  {
    line: Type.String({ description: 'what it is asked over: a serial port, or host and port' }),
    latency_ms: nullable(Type.Number({ description: 'smoothed time to its answer; null before the first' })),
    error_rate: nullable(
      Type.Number({
        description: 'part of its last 64 questions that had no good answer, 0 to 1; null before the first',
        minimum: 0,
        maximum: 1,
      }),
    ),
    trouble: nullable(Type.String({ description: 'why it gave nothing when last asked, in plain words' })),
  },
  { description: 'how a device that is asked answers; left out for one that reports by itself, and at the cloud' },
);
/** How a device that is asked answers. */
export type DeviceLink = Static<typeof deviceLinkSchema>;

export const deviceSchema = Type.Object({
  device_id: Type.String(),
  name: Type.String(),
  kind: Type.String(),
  protocol: Type.String(),
  location: nullable(Type.String()),
  link_state: literals(['connected', 'late', 'stale', 'offline', 'never_seen']),
  last_seen_ms: nullable(Type.Number()),
  link: Type.Optional(deviceLinkSchema),
  period_s: Type.Number(),
  expected: Type.Boolean(),
  metrics: Type.Array(
    Type.Object({
      metric: Type.String(),
      unit: Type.String(),
      value: nullable(Type.Number()),
      time_ms: Type.Number(),
      quality: Type.String(),
    }),
  ),
});
export type DeviceView = Static<typeof deviceSchema>;

const numberRanges = (description: string) =>
  Type.Array(Type.Array(Type.Integer(), { minItems: 2, maxItems: 2, description: 'first and last, both included' }), {
    description: `${description}; the newest 200 ranges`,
  });

/** What is proven of one epoch of a gateway's log. */
export const logProofSchema = Type.Object({
  epoch: Type.String(),
  newest_number: Type.Integer({ description: 'newest number the gateway told of, or that came' }),
  explained_up_to: Type.Integer({ description: 'up to here every number is here, given up or refused; 0 for none' }),
  missing: numberRanges('not here and not explained: on the way, or to be sent again'),
  missing_count: Type.Integer(),
  given_up: numberRanges('the gateway had to delete them before they were here'),
  given_up_count: Type.Integer(),
  refused: Type.Array(
    Type.Object({
      number: Type.Integer(),
      stage: literals(['frame', 'conflict', 'projection']),
      reason: Type.String(),
    }),
    {
      description:
        'came, but cannot be used; frame: its bytes, conflict: a second content, projection: its samples; the newest 200',
    },
  ),
  refused_count: Type.Integer(),
});
export type LogProof = Static<typeof logProofSchema>;

/** What the gateway says that it holds of a day, compared with what is here. */
export const manifestProofSchema = Type.Object({
  state: literals(['equal', 'differs', 'waiting']),
  told_until_number: Type.Integer({ description: 'frames of the log up to this number were counted' }),
  samples: Type.Integer({ description: 'samples the gateway counted' }),
  samples_here: Type.Integer(),
  differing_count: Type.Integer({ description: 'series whose count or hash is another' }),
  differing: Type.Array(
    Type.Object({ device_id: Type.String(), metric: Type.String(), told: Type.Integer(), here: Type.Integer() }),
    { description: 'the first 20 of them' },
  ),
});
export type ManifestProof = Static<typeof manifestProofSchema>;

/** What can be said of one day, by the times that the frames around a hole carry. */
export const dayProofSchema = Type.Object({
  day: Type.String({ description: 'YYYY-MM-DD in the zone of the grid' }),
  from_ms: time('start'),
  to_ms: time('end'),
  frames: Type.Integer({ description: 'good frames here whose newest sample is of this day' }),
  state: Type.Unsafe<'proven' | 'missing' | 'given_up' | 'refused' | 'open' | 'empty'>(
    Type.Enum(['proven', 'missing', 'given_up', 'refused', 'open', 'empty'], {
      description:
        'the worst that holds; open: nothing of a later day is here yet, so more may come; empty: the log holds nothing of it',
    }),
  ),
  missing: Type.Integer({ description: 'missing numbers that may be of this day' }),
  given_up: Type.Integer({ description: 'given up numbers that may be of this day' }),
  refused: Type.Integer({ description: 'refused numbers that may be of this day' }),
  manifest: Type.Optional(manifestProofSchema),
});
export type DayProof = Static<typeof dayProofSchema>;

export const completenessSchema = Type.Object({
  grid_id: Type.String(),
  side: literals(['gateway', 'cloud']),
  until_ms: time('samples measured before this are counted'),
  complete_until_number: nullable(Type.Integer({ description: 'last log number below which none is missing here' })),
  epoch: nullable(Type.String()),
  series: Type.Array(
    Type.Object({
      device_id: Type.String(),
      metric: Type.String(),
      count: Type.Integer(),
      hash: Type.String({ description: '16 hexadecimal digits, see contracts/src/codec/series-hash.ts' }),
    }),
  ),
  kept: Type.Optional(
    Type.Array(
      Type.Object({
        granularity: literals(granularities),
        since_ms: nullable(Type.Number({ description: 'Unix ms; null: for ever' })),
      }),
      { description: 'how far back each granularity is kept here; what went stays proven' },
    ),
  ),
  logs: Type.Optional(
    Type.Array(logProofSchema, { description: 'at the cloud: epochs of the gateway’s log, oldest first' }),
  ),
  days: Type.Optional(
    Type.Array(dayProofSchema, { description: 'at the cloud: the day asked for, or the last seven' }),
  ),
});
export type Completeness = Static<typeof completenessSchema>;

export const clockOfferSchema = Type.Object(
  {
    phone_time_ms: Type.Number({
      description: 'the phone’s clock when it is sent, Unix ms',
      minimum: 0,
      maximum: 8.64e15,
    }),
  },
  { additionalProperties: false },
);
export const clockAnswerSchema = Type.Object({
  taken: Type.Boolean(),
  reason: nullable(Type.String({ description: 'why it was not taken' })),
  correction_ms: nullable(Type.Number({ description: 'what was added to the clock' })),
  now_ms: time('the server’s clock'),
  clock_trust: Type.String(),
});
export type ClockAnswer = Static<typeof clockAnswerSchema>;

export const healthSchema = Type.Object({
  status: literals(['ok', 'degraded', 'down']),
  kind: literals(['gateway', 'cloud']),
  id: Type.String(),
  version: Type.String(),
  uptime_s: Type.Number(),
  now_ms: Type.Number(),
  clock_trust: Type.String(),
  checks: Type.Array(Type.Object({ name: Type.String(), ok: Type.Boolean(), detail: Type.String() })),
});
export type Health = Static<typeof healthSchema>;

export const discoverySchema = Type.Object({
  kind: literals(['gateway', 'cloud']),
  server_id: Type.String(),
  grid_id: nullable(Type.String()),
  api_version: Type.Integer(),
  build: Type.String(),
  now_ms: Type.Number(),
  clock_trust: Type.String(),
  login: Type.Array(Type.String()),
});
export type Discovery = Static<typeof discoverySchema>;
