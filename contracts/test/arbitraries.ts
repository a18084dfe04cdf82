/** Arbitrary documents of the contract, as a gateway may produce them. */
import fc from 'fast-check';
import {
  clockTrusts,
  metricIds,
  metricPrecision,
  quantise,
  severities,
  suppressionReasons,
  type AlertEvent,
  type Frame,
  type Sample,
  type UnknownAlertEvent,
} from '@villagrid/contracts';

export const identifier = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,10}$/);

/** Known metrics with and without component, and some that are not catalogued. */
export const metric = fc.oneof(
  fc.constantFrom<string>(...metricIds),
  fc.constantFrom<string>(...metricIds).map((id) => `${id}.l2`),
  fc.stringMatching(/^[a-z][a-z0-9_]{0,12}(\.[a-z0-9][a-z0-9_-]{0,5})?$/),
);

/** Values of a metric at its resolution: small, negative, none, and as large as intake lets through (below 1e12). */
export const valueOf = (metricId: string): fc.Arbitrary<number | null> =>
  fc
    .option(
      fc.oneof(
        fc.double({ min: -100, max: 1000, noNaN: true }),
        fc.double({ min: -999_999_999_999, max: 999_999_999_999, noNaN: true }),
        fc.constantFrom(0, 0.5, -0.5, 999_999_999_999, -999_999_999_999),
      ),
      { nil: null },
    )
    .map((value) => (value === null ? null : quantise(value, metricPrecision(metricId))));

/** Any time the codec takes, mostly near ours. */
export const timeMs = fc.oneof(
  fc.integer({ min: 1_700_000_000_000, max: 1_800_000_000_000 }),
  fc.integer({ min: 0, max: 2 ** 51 - 1 }),
);

export const sample: fc.Arbitrary<Sample> = fc.record({ deviceId: identifier, metric }).chain((series) =>
  fc.record({
    deviceId: fc.constant(series.deviceId),
    metric: fc.constant(series.metric),
    timeMs,
    value: valueOf(series.metric),
    quality: fc.integer({ min: 0, max: 255 }),
  }),
);

const actor = fc.record({ user_id: fc.string({ maxLength: 5 }), name: fc.string({ unit: 'grapheme', maxLength: 8 }) });
const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const eventId = fc.stringMatching(/^[0-9A-F]{4}$/);

/** Events of one alert; times are few, so that they often tie. */
export const alertEvent: fc.Arbitrary<AlertEvent> = fc
  .record({
    id: eventId,
    at_ms: fc.integer({ min: 0, max: 20 }),
    origin: fc.record({ kind: fc.constantFrom('gateway', 'cloud'), id: identifier }),
    body: fc.oneof(
      fc.record({
        kind: fc.constant('raised'),
        subject: fc.record({
          rule_id: identifier,
          type: identifier,
          severity: fc.constantFrom(...severities),
          message: text,
          what: text,
          why: text,
          steps: fc.array(text, { maxLength: 2 }),
          device_id: fc.option(identifier),
          device_name: fc.option(text),
          metric: fc.option(metric),
          value: fc.option(fc.integer()),
          limit: fc.option(fc.integer()),
          unit: fc.option(text),
        }),
      }),
      fc.record({ kind: fc.constant('severity_changed'), severity: fc.constantFrom(...severities) }),
      fc.record({ kind: fc.constant('cleared'), value: fc.option(fc.integer()) }),
      fc.record({ kind: fc.constant('acknowledged'), actor, note: fc.option(text) }),
      fc.record({ kind: fc.constant('noted'), actor, note: text }),
      fc.record({
        kind: fc.constant('assigned'),
        actor,
        assignee: fc.option(actor),
        replaces: fc.array(eventId, { maxLength: 2 }),
      }),
      fc.record({ kind: fc.constant('shelved'), actor, reason: text, duration_ms: fc.integer({ min: 0, max: 1e9 }) }),
      fc.record({ kind: fc.constant('unshelved'), actor, shelve_event_id: eventId }),
      fc.record({
        kind: fc.constant('suppressed'),
        parent_id: identifier,
        because: fc.constantFrom(...suppressionReasons),
      }),
      fc.record({ kind: fc.constant('released'), suppress_event_id: eventId, told: fc.boolean() }),
      fc.record({ kind: fc.constant('last_known') }),
      fc.record({ kind: fc.constant('heard_again'), mark_event_id: eventId }),
    ),
  })
  .map(({ body, ...base }) => ({ ...base, alert_id: 'A', grid_id: 'alpha', ...body }) as AlertEvent);

/** Events of kinds that only a newer program has. */
export const unknownAlertEvent = fc
  .record({
    kind: fc.oneof(
      fc.constantFrom('escalated', 'snoozed_v2', '', 'toString', '__proto__'),
      fc.stringMatching(/^x_[a-z]{1,8}$/),
    ),
    more: fc.jsonValue(),
    at_ms: fc.jsonValue(),
  })
  // As it is after a journey as JSON, in which -0 is 0.
  .map((event) => JSON.parse(JSON.stringify(event)) as UnknownAlertEvent);

export const frame: fc.Arbitrary<Frame> = fc.record({
  boot: fc.string({ minLength: 1, maxLength: 8 }),
  monotonicMs: fc.integer({ min: 0, max: 1e12 }),
  wallMs: timeMs,
  trust: fc.constantFrom(...clockTrusts),
  samples: fc.oneof(
    fc.array(sample, { maxLength: 30 }),
    // Few series with many samples each, as a backlog gives.
    fc
      .record({ deviceId: identifier, metric })
      .chain((series) =>
        fc
          .array(sample.map((one) => ({ ...one, ...series, value: null as number | null })))
          .chain((all) =>
            fc.tuple(
              fc.constant(all),
              fc.array(valueOf(series.metric), { minLength: all.length, maxLength: all.length }),
            ),
          ),
      )
      .map(([all, values]) => all.map((one, i) => ({ ...one, value: values[i] ?? null }))),
  ),
  events: fc.array(alertEvent, { maxLength: 3 }),
  entries: fc.array(
    fc.oneof(
      fc.record({
        type: fc.constant('clock' as const),
        boot: identifier,
        correction_ms: fc.integer(),
        trust: fc.constantFrom(...clockTrusts),
      }),
      fc.record({
        type: fc.constant('link_state' as const),
        device_id: identifier,
        state: fc.constantFrom('online' as const, 'offline' as const),
        time_ms: timeMs,
      }),
      fc.record({
        type: fc.constant('tombstone' as const),
        first: fc.nat(),
        last: fc.nat(),
        samples: fc.nat(),
        from_ms: timeMs,
        to_ms: timeMs,
        reason: fc.constant('disk' as const),
      }),
      fc.record({
        type: fc.constant('manifest' as const),
        from_ms: timeMs,
        to_ms: timeMs,
        up_to: fc.nat(),
        series: fc.array(fc.tuple(identifier, identifier, fc.nat(), fc.constant('0123456789abcdef')), { maxLength: 3 }),
      }),
      fc.record({
        type: fc.constant('epoch' as const),
        epoch: identifier,
        previous_epoch: fc.option(identifier),
        previous_last_number: fc.option(fc.nat()),
        reason: fc.constantFrom('created' as const, 'restored' as const, 'salvaged' as const),
      }),
    ),
    { maxLength: 3 },
  ),
  received: fc.array(
    fc.record({ deviceId: identifier, boot: identifier, seqs: fc.array(fc.nat(), { maxLength: 5 }) }),
    { maxLength: 3 },
  ),
});
