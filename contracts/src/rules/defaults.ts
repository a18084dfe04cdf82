/** The default rules of a village, with limits scaled to its plant. */
import { deadVoltageV, villageVoltage, voltageFigures } from '../dashboard/verdict.js';
import { parseMetricId } from '../metrics/catalogue.js';
import type { Rule } from './rule.js';

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

/** The rule of the energy balance, and the gateway's own figure it watches: the number of what was found, 0 for nothing. */
export const meterDisagreesRuleId = 'meter_disagrees';
export const meterFindingFigure = 'gateway_meter_finding';

/** Rules of what the gateway finds and expects by itself, each with the figure of its own that it watches. */
export const anomalyRuleId = 'out_of_the_ordinary';
export const batteryEndsRuleId = 'battery_will_be_empty';
export const temperatureRisesRuleId = 'temperature_heads_over_limit';
export const findingFigures: Readonly<Record<string, string>> = {
  [meterDisagreesRuleId]: meterFindingFigure,
  [anomalyRuleId]: 'gateway_anomaly_finding',
  [batteryEndsRuleId]: 'gateway_battery_finding',
  [temperatureRisesRuleId]: 'gateway_temperature_finding',
};

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
    {
      id: 'high_consumption',
      kind: 'threshold',
      enabled: true,
      severity: 'high',
      selector: { scope: 'figure', metric: 'consumption_kw' },
      parameters: { above: limits.consumption_high_kw, deadband: 1, on_delay_ms: minutes(1), off_delay_ms: minutes(2) },
      message: 'unusual load increase',
      what: 'The village uses {value} {unit}; the limit is {limit} {unit}.',
      why: 'The battery empties faster than planned and the inverters may stop from overload.',
      steps: [
        'Find out which big machine was switched on (mill, pump, welder).',
        'Ask to run big machines one after the other, in strong sun.',
        'If nothing new runs, look for a damaged line or an unknown connection.',
      ],
    },
    {
      id: 'high_equipment_temperature',
      kind: 'threshold',
      enabled: true,
      severity: 'high',
      selector: { scope: 'series', metric: 'equipment_temp_c' },
      parameters: { above: limits.equipment_temp_high_c, deadband: 3, on_delay_ms: 0, off_delay_ms: minutes(1) },
      message: 'high temperature on equipment',
      what: '{device}{component} has {value} {unit}; the limit is {limit} {unit}.',
      why: 'Hot equipment stops to protect itself, and ages faster. If it stops, the village goes dark.',
      steps: [
        'Check that fans turn and air can flow; clear dust and things that stand in the way.',
        'Switch off big loads until it has cooled.',
        'Do not open the cabinet while it is under voltage.',
        'If it keeps rising, call your technician.',
      ],
    },
    {
      id: 'low_generation',
      kind: 'comparison',
      enabled: true,
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
      message: 'solar output is low',
      what: 'The sun is strong but the panels make only {value} {unit}; at least {limit} {unit} is expected.',
      why: 'Less goes into the battery, so the evening may be short of power.',
      steps: [
        'Look at the panels: shade, dust, leaves, damage.',
        'Look at the inverters: is one stopped or showing an error?',
        'Clean dusty panels in the early morning.',
        'If it stays low for a day, call your technician.',
      ],
    },
    {
      id: 'low_battery',
      kind: 'threshold',
      enabled: true,
      severity: 'medium',
      selector: { scope: 'figure', metric: 'battery_soc_pct' },
      parameters: { below: limits.battery_low_pct, deadband: 5, on_delay_ms: minutes(1), off_delay_ms: minutes(2) },
      message: 'battery is low',
      what: 'The battery holds {value} {unit}; the limit is {limit} {unit}.',
      why: 'Without sun the village may go dark before morning.',
      steps: [
        'Ask people to switch off what they do not need.',
        'Do not run big machines until the sun is up.',
        'Start the generator if there is one.',
      ],
    },
    {
      id: 'critical_battery',
      kind: 'threshold',
      enabled: true,
      severity: 'critical',
      selector: { scope: 'figure', metric: 'battery_soc_pct' },
      parameters: {
        below: limits.battery_critical_pct,
        deadband: 4,
        on_delay_ms: minutes(1),
        off_delay_ms: minutes(2),
      },
      message: 'battery is almost empty',
      what: `The battery holds {value} {unit}; at ${floorPct} {unit} the inverters switch the village off.`,
      why: 'They do so to protect the battery; clinic and fridges then have no power.',
      steps: [
        'Warn the clinic and the shop.',
        'Switch off every load that can wait.',
        'Start the generator if there is one.',
      ],
    },
    {
      id: 'no_power',
      kind: 'threshold',
      enabled: true,
      severity: 'critical',
      selector: { scope: 'figure', metric: villageVoltage },
      parameters: { below: deadV, deadband: 50, on_delay_ms: 10_000, off_delay_ms: minutes(1) },
      message: 'village has no power',
      what: "The village's line has {value} {unit}: it is dead.",
      why: 'Nobody in the village has power; clinic and fridges neither.',
      steps: [
        'Tell the clinic and the shop.',
        'Look at the battery: an empty one switches the village off, and on again by itself when it has charged.',
        'Look whether the main breaker or an inverter has switched off.',
        'Do not touch a line because it is dead: power may come back at any moment.',
        'If you find no reason, call your technician.',
      ],
    },
    ...voltageFigures(Object.keys(site.wiring ?? {}))
      .filter((metric) => metric !== villageVoltage)
      .map((metric) => feederRule(metric, deadV)),
    {
      id: 'ac_voltage_out_of_limits',
      kind: 'threshold',
      enabled: true,
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
      message: 'AC voltage out of limits',
      what: 'The voltage is {value} {unit}; the limit is {limit} {unit}.',
      why: 'Wrong voltage damages appliances.',
      steps: [
        'Ask people to unplug sensitive appliances.',
        'Look at the inverters for an error.',
        'Call your technician.',
      ],
    },
    {
      id: 'ac_frequency_out_of_limits',
      kind: 'threshold',
      enabled: true,
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
      message: 'AC frequency out of limits',
      what: 'The frequency is {value} {unit}; the limit is {limit} {unit}.',
      why: 'The inverters are overloaded or do not run together.',
      steps: ['Switch off big loads.', 'Look at the inverters for an error.', 'Call your technician.'],
    },
    {
      id: 'device_silent',
      kind: 'no_data',
      enabled: true,
      severity: 'medium',
      selector: { scope: 'device' },
      parameters: { silent_for_ms: minutes(limits.device_silent_min) },
      message: 'device is silent',
      what: 'Nothing was heard from {device} for {limit} min.',
      why: 'Its values are not known, so trouble there would go unnoticed.',
      steps: [
        'Check that it has power and its lamp is on.',
        'Check its cable or the Wi-Fi.',
        'Switch it off and on once.',
        'If it stays silent, call your technician.',
      ],
    },
    {
      id: 'line_down',
      kind: 'threshold',
      enabled: true,
      severity: 'medium',
      selector: { scope: 'figure', metric: 'gateway_lines_down' },
      parameters: {
        above: 0,
        deadband: 0,
        on_delay_ms: minutes(Math.max(1, limits.device_silent_min / 2)),
        off_delay_ms: 10_000,
      },
      message: 'a line to devices is broken',
      what: 'Lines or network addresses that cannot be reached: {value}. No device on them is read.',
      why: 'Their values are not known, so trouble there would go unnoticed.',
      steps: [
        'Look in the list of devices which ones are offline.',
        'Check that the adapter or cable they share is plugged in and has power.',
        'If they stay offline, call your technician.',
      ],
    },
    {
      id: 'clock_not_trusted',
      kind: 'threshold',
      enabled: true,
      severity: 'low',
      selector: { scope: 'figure', metric: 'gateway_clock_trust' },
      parameters: { below: 1, deadband: 0, on_delay_ms: minutes(2), off_delay_ms: 0 },
      message: 'clock not trusted',
      what: 'The gateway does not know the right time.',
      why: 'Times on screens may be wrong until it does; nothing measured is lost.',
      steps: [
        'Open the app on a phone near the gateway and tap “Set it from this phone”.',
        'Or give the gateway a link to the internet for a moment; it then asks for the time by itself.',
        'If this comes back after each power cut, tell your technician: the gateway needs a hardware clock.',
      ],
    },
    {
      id: 'storage_failing',
      kind: 'threshold',
      enabled: true,
      severity: 'critical',
      selector: { scope: 'figure', metric: 'gateway_storage_failing' },
      parameters: { above: 0, deadband: 0, on_delay_ms: 0, off_delay_ms: 10_000 },
      message: 'the gateway cannot write to its card',
      what: 'The gateway cannot write to its card: it is full, worn out or loose.',
      why: 'What is measured now is not kept here. Devices that can keep it send it again later; alarms still ring.',
      steps: [
        'Do not switch the gateway off: what it still holds in memory would be lost.',
        'Call your technician; the card may have to be replaced.',
        'If the disk is full, give the gateway a link so that it can send what it keeps.',
      ],
    },
    {
      id: 'storage_rescued',
      kind: 'threshold',
      enabled: true,
      severity: 'high',
      selector: { scope: 'figure', metric: 'gateway_damaged_files' },
      parameters: { above: 0, deadband: 0, on_delay_ms: 0, off_delay_ms: 0 },
      message: 'a damaged file was set aside',
      what: 'A file of the gateway was damaged. It was set aside, and what could be read was taken over.',
      why: 'Some measurements may be missing, and the card may be wearing out.',
      steps: [
        'Look at the history: is something missing?',
        'Call your technician: the folder quarantine holds the damaged file; this ends when it is removed.',
        'If it happens again, replace the card.',
      ],
    },
    {
      id: 'storage_reader_stuck',
      kind: 'threshold',
      enabled: true,
      severity: 'low',
      selector: { scope: 'figure', metric: 'gateway_wal_mb' },
      parameters: { above: 8, deadband: 4, on_delay_ms: minutes(1), off_delay_ms: minutes(1) },
      message: 'a program keeps the database from tidying up',
      what: "The gateway's write-ahead log has {value} MB; the limit is {limit} MB.",
      why: 'Another program reads the database and does not end; the file grows until it does.',
      steps: ['Call your technician: end the program that reads the database, a backup above all.'],
    },
    {
      id: 'disk_filling',
      kind: 'threshold',
      enabled: true,
      severity: 'high',
      selector: { scope: 'figure', metric: 'gateway_disk_used_pct' },
      parameters: { above: 85, deadband: 3, on_delay_ms: minutes(1), off_delay_ms: minutes(1) },
      message: 'disk is filling',
      what: "The gateway's disk is {value} % full; the limit is {limit} %.",
      why: 'When it is full, new measurements cannot be kept.',
      steps: ['Tell your technician.', 'Give the gateway a link, so that what it keeps is safe in the cloud too.'],
    },
    {
      // Its texts are those of the finding, made by balanceWords.
      id: meterDisagreesRuleId,
      kind: 'balance',
      enabled: true,
      severity: 'medium',
      selector: { scope: 'figure', metric: meterFindingFigure },
      parameters: { confirmations: 3, clear_after: 2 },
      message: 'a meter is wrong',
      what: 'The meters of the village contradict each other.',
      why: 'Figures and reports made from a wrong meter are wrong.',
      steps: ['Look at the energy balance: `villagrid balance` names the meter and says why.'],
    },
    {
      // The texts of these three are those of what was found.
      id: anomalyRuleId,
      kind: 'finding',
      enabled: true,
      severity: 'medium',
      selector: { scope: 'figure', metric: findingFigures[anomalyRuleId] as string },
      parameters: { confirmations: 1, clear_after: 2 },
      message: 'something is out of the ordinary',
      what: 'A measurement is not what everything else lets expect.',
      why: 'It may be the beginning of a fault.',
      steps: ['Look at the device that is named.'],
    },
    {
      id: batteryEndsRuleId,
      kind: 'finding',
      enabled: true,
      severity: 'high',
      selector: { scope: 'figure', metric: findingFigures[batteryEndsRuleId] as string },
      parameters: { confirmations: 2, clear_after: 2 },
      message: 'the battery will be empty before the sun is back',
      what: 'The battery will reach its floor.',
      why: 'When it does, the village goes dark until the sun has charged it.',
      steps: ['Ask people to switch off what they can spare until the morning.'],
    },
    {
      id: temperatureRisesRuleId,
      kind: 'finding',
      enabled: true,
      severity: 'medium',
      selector: { scope: 'figure', metric: findingFigures[temperatureRisesRuleId] as string },
      parameters: { confirmations: 1, clear_after: 2 },
      message: 'equipment will be too hot',
      what: 'A temperature heads over its limit.',
      why: 'Hot equipment stops to protect itself, and ages faster. If it stops, the village goes dark.',
      steps: ['Look whether its fan runs and its air can pass.', 'Give it shade, and less load in the next hours.'],
    },
    {
      id: 'backlog_old',
      kind: 'threshold',
      enabled: true,
      severity: 'low',
      selector: { scope: 'figure', metric: 'gateway_backlog_age_s' },
      parameters: { above: 24 * 3600, deadband: 3600, on_delay_ms: minutes(5), off_delay_ms: 0 },
      message: 'backlog is old',
      what: 'The cloud has received nothing new for more than a day.',
      why: 'People far away cannot see the village. Nothing is lost; it will be sent when there is a link.',
      steps: ['Check the link to the internet: modem lamp, airtime, antenna.'],
    },
  ];
}

/** A single feeder that is dead while the village as a whole is not. */
function feederRule(metric: string, deadV: number): Rule {
  const feeder = parseMetricId(metric).suffix ?? metric;
  return {
    id: `no_power_${feeder.replaceAll('-', '_')}`,
    kind: 'comparison',
    enabled: true,
    severity: 'critical',
    selector: { scope: 'figure', metric },
    parameters: {
      all: [{ metric, below: deadV }],
      unless: [{ metric: villageVoltage, below: deadV }],
      max_age_ms: 120_000,
      on_delay_ms: 10_000,
      off_delay_ms: minutes(1),
    },
    message: `${feeder} has no power`,
    what: `The line at ${feeder} has {value} {unit}: it is dead.`,
    why: 'Everybody on this line has no power.',
    steps: [
      'Look whether the breaker of this line has switched off.',
      'Before it is switched on again, look along the line for damage; keep people away from it.',
      'If it switches off again, leave it off and call your technician.',
    ],
  };
}
