/** The default rules of a village, with limits scaled to its plant. */
import { deadVoltageV, villageVoltage, voltageFigures } from '../dashboard/verdict.js';
import { parseMetricId } from '../metrics/catalogue.js';
import type { Severity } from '../alerts/events.js';
import type { Rule } from './rule.js';
import { en } from './texts/en.js';
import { fillText } from './texts/fill.js';
import type { WordedRule } from './texts/texts.js';

/** Limits a grid may set; every one has a default. */
export interface RuleLimits {
  readonly consumption_high_kw: number;
  readonly equipment_temp_high_c: number;
  readonly battery_low_pct: number;
  readonly battery_critical_pct: number;
  readonly ac_voltage_nominal_v: number;
  readonly ac_frequency_nominal_hz: number;
  readonly device_silent_min: number;
  /** kW below which generation is low in strong sun; by default scaled from the plant. */
  readonly generation_low_kw: number;
  readonly irradiance_strong_w_m2: number;
}

/** kW per kWp below which generation counts as low above 500 W/m²: 7 kW for the product's reference plant of 20 kWp. */
export const lowGenerationKwPerKwp = 0.35;

/** The defaults of PRODUCT.md, scaled to the plant's peak power in kWp where it is known. */
export function defaultLimits(plant: { readonly pv_kwp?: number | undefined } = {}): RuleLimits {
  return {
    consumption_high_kw: 14,
    equipment_temp_high_c: 60,
    battery_low_pct: 30,
    battery_critical_pct: 22,
    ac_voltage_nominal_v: 230,
    ac_frequency_nominal_hz: 50,
    device_silent_min: 10,
    generation_low_kw: plant.pv_kwp === undefined ? 7 : Math.round(plant.pv_kwp * lowGenerationKwPerKwp * 100) / 100,
    irradiance_strong_w_m2: 500,
  };
}

/** The rule of lines that are down: its alert stands for the silence of every device on them. */
export const lineDownRuleId = 'line_down' satisfies WordedRule;

/** The rule of an inverter that reports a fault. */
export const inverterFaultRuleId = 'inverter_fault' satisfies WordedRule;
/** The rule of a village without power: what is only a part of that says so. */
const noPowerRuleId = 'no_power' satisfies WordedRule;

/** The rule of the energy balance, and the gateway's own figure it watches: the number of what was found, 0 for nothing. */
export const meterDisagreesRuleId = 'meter_disagrees' satisfies WordedRule;
export const meterFindingFigure = 'gateway_meter_finding';

/** Rules of what the gateway finds and expects by itself, each with the figure of its own that it watches. */
export const anomalyRuleId = 'out_of_the_ordinary' satisfies WordedRule;
export const batteryEndsRuleId = 'battery_will_be_empty' satisfies WordedRule;
export const temperatureRisesRuleId = 'temperature_heads_over_limit' satisfies WordedRule;
export const findingFigures = {
  [meterDisagreesRuleId]: meterFindingFigure,
  [anomalyRuleId]: 'gateway_anomaly_finding',
  [batteryEndsRuleId]: 'gateway_battery_finding',
  [temperatureRisesRuleId]: 'gateway_temperature_finding',
} as const;

/** The gateway's own figure of rule files that cannot be used. */
export const brokenRulesFigure = 'gateway_rules_broken';

const minutes = (count: number) => count * 60_000;

/** What the default rules want to know of a site: its battery's floor, and which figures are wired. */
export interface RuleSite {
  readonly plant?: { readonly battery_floor_pct?: number | undefined };
  readonly wiring?: Readonly<Record<string, unknown>>;
}

/** The default rules for a grid's limits. */
export function defaultRules(limits: RuleLimits, site: RuleSite = {}): Rule[] {
  const deadV = deadVoltageV(limits.ac_voltage_nominal_v);
  const floorPct = site.plant?.battery_floor_pct ?? 20;
  return [
    worded('high_consumption', {
      kind: 'threshold',
      severity: 'high',
      selector: { scope: 'figure', metric: 'consumption_kw' },
      parameters: { above: limits.consumption_high_kw, deadband: 1, on_delay_ms: minutes(1), off_delay_ms: minutes(2) },
    }),
    worded('high_equipment_temperature', {
      kind: 'threshold',
      severity: 'high',
      selector: { scope: 'series', metric: 'equipment_temp_c' },
      parameters: { above: limits.equipment_temp_high_c, deadband: 3, on_delay_ms: 0, off_delay_ms: minutes(1) },
    }),
    worded('low_generation', {
      kind: 'comparison',
      severity: 'medium',
      selector: { scope: 'figure', metric: 'generation_kw' },
      parameters: {
        all: [
          { metric: 'generation_kw', below: limits.generation_low_kw },
          { metric: 'irradiance_w_m2', above: limits.irradiance_strong_w_m2 },
        ],
        unless: [{ metric: 'battery_soc_pct', above: 95 }],
        max_age_ms: 120_000,
        on_delay_ms: minutes(5),
        off_delay_ms: minutes(5),
      },
    }),
    worded(inverterFaultRuleId, {
      kind: 'state',
      severity: 'high',
      selector: { scope: 'series', metric: 'fault_state', device_class: 'inverter' },
      parameters: { is: [2], on_delay_ms: minutes(1), off_delay_ms: minutes(2) },
    }),
    worded('inverter_stopped', {
      kind: 'expression',
      severity: 'high',
      selector: { scope: 'device', device_class: 'inverter' },
      parameters: {
        // A full battery holds it back; that it is switched off is its own word. A fault has an alert of its own.
        when: `(generation_kw < 0.1 && charge < 95 || own == 1) && own < 2 && sun > ${limits.irradiance_strong_w_m2}`,
        // It makes something again, or the sun no longer tells.
        clear_when: 'generation_kw >= 0.1 && own == 0 || own >= 2 || sun < 50',
        inputs: {
          own: { metric: 'fault_state', otherwise: 0 },
          sun: { metric: 'irradiance_w_m2', of: 'grid' },
          // A plant without a battery has no charge that holds it back.
          charge: { metric: 'battery_soc_pct', of: 'grid', otherwise: 0 },
        },
        max_age_ms: 120_000,
        on_delay_ms: minutes(5),
        off_delay_ms: minutes(2),
      },
    }),
    worded('low_battery', {
      part_of: 'critical_battery',
      kind: 'threshold',
      severity: 'medium',
      selector: { scope: 'figure', metric: 'battery_soc_pct' },
      parameters: { below: limits.battery_low_pct, deadband: 5, on_delay_ms: minutes(1), off_delay_ms: minutes(2) },
    }),
    worded(
      'critical_battery',
      {
        kind: 'threshold',
        severity: 'critical',
        selector: { scope: 'figure', metric: 'battery_soc_pct' },
        parameters: {
          below: limits.battery_critical_pct,
          deadband: 4,
          on_delay_ms: minutes(1),
          off_delay_ms: minutes(2),
        },
      },
      { floor: String(floorPct) },
    ),
    worded('battery_falling_fast', {
      kind: 'rate_of_change',
      severity: 'high',
      selector: { scope: 'figure', metric: 'battery_soc_pct' },
      // A battery that feeds twice what its inverters can take would lose as much.
      parameters: {
        falls_by: 15,
        window_ms: minutes(15),
        deadband: 10,
        on_delay_ms: minutes(1),
        off_delay_ms: minutes(5),
      },
    }),
    worded(noPowerRuleId, {
      kind: 'threshold',
      severity: 'critical',
      selector: { scope: 'figure', metric: villageVoltage },
      parameters: { below: deadV, deadband: 50, on_delay_ms: 10_000, off_delay_ms: minutes(1) },
    }),
    ...voltageFigures(Object.keys(site.wiring ?? {}))
      .filter((metric) => metric !== villageVoltage)
      .map((metric) => feederRule(metric, deadV)),
    worded('ac_voltage_out_of_limits', {
      part_of: noPowerRuleId,
      kind: 'threshold',
      severity: 'high',
      selector: { scope: 'figure', metric: 'ac_output_voltage_v' },
      parameters: {
        above: Math.round(limits.ac_voltage_nominal_v * 1.1),
        below: Math.round(limits.ac_voltage_nominal_v * 0.85),
        // A dead line is told by its own alert.
        unless_below: deadV,
        deadband: 3,
        on_delay_ms: 10_000,
        off_delay_ms: minutes(1),
      },
    }),
    worded('ac_frequency_out_of_limits', {
      part_of: noPowerRuleId,
      kind: 'threshold',
      severity: 'medium',
      selector: { scope: 'figure', metric: 'ac_frequency_hz' },
      parameters: {
        above: limits.ac_frequency_nominal_hz + 2.5,
        below: limits.ac_frequency_nominal_hz - 2,
        unless_below: limits.ac_frequency_nominal_hz / 2,
        deadband: 0.3,
        on_delay_ms: 30_000,
        off_delay_ms: minutes(1),
      },
    }),
    worded('device_silent', {
      kind: 'no_data',
      severity: 'medium',
      selector: { scope: 'device' },
      parameters: { silent_for_ms: minutes(limits.device_silent_min) },
    }),
    worded(
      lineDownRuleId,
      own('medium', 'gateway_lines_down', {
        above: 0,
        on_delay_ms: minutes(Math.max(1, limits.device_silent_min / 2)),
        off_delay_ms: 10_000,
      }),
    ),
    worded('clock_not_trusted', own('low', 'gateway_clock_trust', { below: 1, on_delay_ms: minutes(2) })),
    worded('storage_failing', own('critical', 'gateway_storage_failing', { above: 0, off_delay_ms: 10_000 })),
    worded('storage_rescued', own('high', 'gateway_damaged_files', { above: 0 })),
    worded(
      'storage_reader_stuck',
      own('low', 'gateway_wal_mb', { above: 8, deadband: 4, on_delay_ms: minutes(1), off_delay_ms: minutes(1) }),
    ),
    worded(
      'disk_filling',
      own('high', 'gateway_disk_used_pct', {
        above: 85,
        deadband: 3,
        on_delay_ms: minutes(1),
        off_delay_ms: minutes(1),
      }),
    ),
    // Its texts are those of the finding, made by balanceWords.
    worded(meterDisagreesRuleId, {
      kind: 'balance',
      severity: 'medium',
      selector: { scope: 'figure', metric: meterFindingFigure },
      parameters: { confirmations: 3, clear_after: 2 },
    }),
    // What these three say is what was found.
    worded(anomalyRuleId, {
      kind: 'finding',
      severity: 'medium',
      selector: { scope: 'figure', metric: findingFigures[anomalyRuleId] },
      parameters: { confirmations: 1, clear_after: 2 },
    }),
    worded(batteryEndsRuleId, {
      kind: 'finding',
      severity: 'high',
      selector: { scope: 'figure', metric: findingFigures[batteryEndsRuleId] },
      parameters: { confirmations: 2, clear_after: 2 },
    }),
    worded(temperatureRisesRuleId, {
      kind: 'finding',
      severity: 'medium',
      selector: { scope: 'figure', metric: findingFigures[temperatureRisesRuleId] },
      parameters: { confirmations: 1, clear_after: 2 },
    }),
    worded(
      'backlog_old',
      own('low', 'gateway_backlog_age_s', { above: 24 * 3600, deadband: 3600, on_delay_ms: minutes(5) }),
    ),
    worded('rules_broken', own('low', brokenRulesFigure, { above: 0 })),
    // What it says in a village is which way fails and why.
    worded('notify_channel_failing', own('high', 'gateway_notify_failing', { above: 0, on_delay_ms: minutes(2) })),
  ];
}

type Watch = Pick<Rule, 'kind' | 'severity' | 'selector' | 'parameters' | 'part_of'>;

/** A rule with its English texts; others are found by its id. */
function worded(id: WordedRule, watch: Watch, values: Readonly<Record<string, string>> = {}): Rule {
  const texts = en.rules[id];
  return { id, enabled: true, ...watch, ...texts, steps: [...texts.steps], what: fillText(texts.what, values) };
}

/** A threshold over a figure of the gateway itself. */
function own(severity: Severity, metric: string, parameters: Readonly<Record<string, number>>): Watch {
  return {
    kind: 'threshold',
    severity,
    selector: { scope: 'figure', metric },
    parameters: { deadband: 0, on_delay_ms: 0, off_delay_ms: 0, ...parameters },
  };
}

/** A single feeder that is dead while the village as a whole is not. */
function feederRule(metric: string, deadV: number): Rule {
  const feeder = parseMetricId(metric).suffix ?? metric;
  const watch: Watch = {
    part_of: noPowerRuleId,
    kind: 'comparison',
    severity: 'critical',
    selector: { scope: 'figure', metric },
    parameters: {
      all: [{ metric, below: deadV }],
      unless: [{ metric: villageVoltage, below: deadV }],
      max_age_ms: 120_000,
      on_delay_ms: 10_000,
      off_delay_ms: minutes(1),
    },
  };
  const rule = worded('no_power_feeder', watch, { place: feeder });
  return {
    ...rule,
    id: `no_power_${feeder.replaceAll('-', '_')}`,
    message: fillText(rule.message, { place: feeder }),
  };
}
