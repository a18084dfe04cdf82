/** Every figure of a report: its plain name, what it says, and when it is poor. Adding one is its entry here and its line in report.ts. */

/** Groups of figures, in the order they are shown. */
export const reportGroups = ['energy', 'supply', 'sun', 'load', 'battery', 'generator'] as const;
export type ReportGroup = (typeof reportGroups)[number];

/** How a figure is to be taken: null where no limit says so. */
export type Judgement = 'good' | 'fair' | 'poor';

interface Definition {
  readonly group: ReportGroup;
  readonly unit: string;
  /** Plain name, English, the fallback of every other language. */
  readonly label: string;
  /** One sentence that says what it means. */
  readonly help: string;
  /** Judged fair and poor beyond these; `below` for figures that should be high. */
  readonly limits?: { readonly side: 'below' | 'above'; readonly fair: number; readonly poor: number };
  /** Said when it is poor; {value} is the value with its unit. */
  readonly poorly?: string;
}

const define = <T extends Record<string, Definition>>(definitions: T): T => definitions;

/** The figures by id, in the order they are shown. Limits are ours unless METRICS names another source. */
export const reportFigures = define({
  generation_kwh: {
    group: 'energy',
    unit: 'kWh',
    label: 'Energy made by the sun',
    help: 'What the solar inverters gave.',
  },
  consumption_kwh: { group: 'energy', unit: 'kWh', label: 'Energy used', help: 'What the village used.' },
  battery_charge_kwh: {
    group: 'energy',
    unit: 'kWh',
    label: 'Energy into the battery',
    help: 'What was put into the battery.',
  },
  battery_discharge_kwh: {
    group: 'energy',
    unit: 'kWh',
    label: 'Energy out of the battery',
    help: 'What was taken out of the battery.',
  },
  mains_import_kwh: { group: 'energy', unit: 'kWh', label: 'Energy from the mains', help: 'What the mains gave.' },
  mains_export_kwh: { group: 'energy', unit: 'kWh', label: 'Energy to the mains', help: 'What the mains took.' },
  genset_kwh: { group: 'energy', unit: 'kWh', label: 'Energy from the generator', help: 'What the generator gave.' },
  renewable_share: {
    group: 'energy',
    unit: '%',
    label: 'Renewable share',
    help: 'Share of the used energy that came neither from the generator nor from the mains.',
  },
  losses_kwh: {
    group: 'energy',
    unit: 'kWh',
    label: 'Energy lost on the way',
    help: 'What came in less what went out and into the battery: losses of inverters, battery and lines, and errors of meters.',
  },
  availability: {
    group: 'supply',
    unit: '%',
    label: 'Time with power',
    help: 'Share of the known time in which the village had power.',
    limits: { side: 'below', fair: 99, poor: 95 },
    poorly: 'The village had power only {value} of the time.',
  },
  without_power_h: {
    group: 'supply',
    unit: 'h',
    label: 'Hours without power',
    help: 'Measured time without power, all interruptions together.',
  },
  unknown_h: {
    group: 'supply',
    unit: 'h',
    label: 'Hours not known',
    help: 'Time without samples: neither counted as power nor as outage.',
  },
  saidi_h: {
    group: 'supply',
    unit: 'h',
    label: 'Long interruptions, hours per customer (SAIDI)',
    help: 'Hours without power of interruptions longer than 5 minutes.',
  },
  saifi: {
    group: 'supply',
    unit: 'times',
    label: 'Long interruptions (SAIFI)',
    help: 'How often power was gone for more than 5 minutes.',
  },
  maifi: {
    group: 'supply',
    unit: 'times',
    label: 'Short interruptions (MAIFI)',
    help: 'How often power was gone for up to 5 minutes.',
  },
  caidi_h: {
    group: 'supply',
    unit: 'h',
    label: 'Mean length of a long interruption (CAIDI)',
    help: 'Hours without power per long interruption.',
  },
  supply_hours_day: {
    group: 'supply',
    unit: 'h',
    label: 'Hours with power per day',
    help: 'Of 24 hours, over the known time.',
  },
  evening_hours_day: {
    group: 'supply',
    unit: 'h',
    label: 'Evening hours with power',
    help: 'Of the 4 hours between 18:00 and 22:00, over the known time.',
    limits: { side: 'below', fair: 3.8, poor: 3 },
    poorly: 'In the evening there was power for only {value} of 4 h.',
  },
  quality: {
    group: 'supply',
    unit: '%',
    label: 'Good voltage and frequency',
    help: 'Share of the time with power in which voltage was within 10 % and frequency within 1 Hz.',
    limits: { side: 'below', fair: 97, poor: 90 },
    poorly: 'Voltage and frequency were good only {value} of the time.',
  },
  sags: {
    group: 'supply',
    unit: 'times',
    label: 'Voltage sags',
    help: 'How often the voltage fell below 90 % without failing.',
  },
  unserved_kwh: {
    group: 'supply',
    unit: 'kWh',
    label: 'Energy not delivered',
    help: 'What the village would usually have used during the interruptions. An estimate.',
  },
  reference_yield: {
    group: 'sun',
    unit: 'kWh/kWp',
    label: 'Sun per day (reference yield)',
    help: 'What the sun offered: hours of full sun per day.',
  },
  array_yield: {
    group: 'sun',
    unit: 'kWh/kWp',
    label: 'Array yield per day',
    help: 'What the panels gave on their own side, per kWp and day.',
  },
  final_yield: {
    group: 'sun',
    unit: 'kWh/kWp',
    label: 'Final yield per day',
    help: 'Solar energy that was used, per kWp and day.',
  },
  capture_loss: {
    group: 'sun',
    unit: 'kWh/kWp',
    label: 'Lost at the panels per day',
    help: 'Sun that the panels did not turn into power: dirt, shade, heat, faults, or a full battery.',
    limits: { side: 'above', fair: 1.3, poor: 2 },
    poorly: 'The panels lose {value} a day: look for dirt, shade, dead strings, or a battery that is full.',
  },
  system_loss: {
    group: 'sun',
    unit: 'kWh/kWp',
    label: 'Lost behind the panels per day',
    help: 'Losses of inverters, battery and lines.',
    limits: { side: 'above', fair: 0.8, poor: 1.3 },
    poorly: 'Inverters, battery and lines lose {value} a day.',
  },
  performance_ratio: {
    group: 'sun',
    unit: '%',
    label: 'Performance ratio',
    help: 'Used solar energy against what the sun offered. A full battery lowers it without any fault.',
  },
  corrected_performance_ratio: {
    group: 'sun',
    unit: '%',
    label: 'Performance ratio, corrected for heat',
    help: 'The same, with the heat of the panels taken out.',
    limits: { side: 'below', fair: 65, poor: 50 },
    poorly: 'The plant turns only {value} of what it could into used energy.',
  },
  specific_yield: {
    group: 'sun',
    unit: 'kWh/kWp',
    label: 'Specific yield',
    help: 'Energy made per kWp of panels over the whole period.',
  },
  capacity_factor: {
    group: 'sun',
    unit: '%',
    label: 'Capacity factor',
    help: 'Energy made against the panels at full power day and night.',
    limits: { side: 'below', fair: 14, poor: 8 },
    poorly: 'The plant makes only {value} of its rated power over day and night.',
  },
  array_to_ac: {
    group: 'sun',
    unit: '%',
    label: 'From the panels to AC',
    help: 'Energy made on the AC side against that of the panels.',
  },
  curtailed_kwh: {
    group: 'sun',
    unit: 'kWh',
    label: 'Held back by a full battery',
    help: 'Sun that could not be used because the battery was full. An estimate.',
  },
  curtailed_h: {
    group: 'sun',
    unit: 'h',
    label: 'Hours held back by a full battery',
    help: 'Time in which a full battery held generation back. An estimate.',
  },
  average_load_kw: { group: 'load', unit: 'kW', label: 'Average load', help: 'Energy used per hour.' },
  peak_load_kw: {
    group: 'load',
    unit: 'kW',
    label: 'Peak load',
    help: 'The largest mean over a quarter of an hour.',
  },
  load_factor: { group: 'load', unit: '%', label: 'Load factor', help: 'Average load against peak load.' },
  base_load_kw: { group: 'load', unit: 'kW', label: 'Base load', help: 'What is nearly always on at night.' },
  throughput_kwh: {
    group: 'battery',
    unit: 'kWh',
    label: 'Battery throughput',
    help: 'Half of what went in and out of the battery.',
  },
  equivalent_cycles: {
    group: 'battery',
    unit: 'cycles',
    label: 'Full cycles',
    help: 'Energy taken out against the size of the battery.',
  },
  deepest_discharge: {
    group: 'battery',
    unit: '%',
    label: 'Deepest discharge',
    help: 'How far the battery was emptied at most.',
  },
  daily_discharge: {
    group: 'battery',
    unit: '%',
    label: 'Usual discharge of a day',
    help: 'Mean of how far each day emptied the battery.',
  },
  round_trip_efficiency: {
    group: 'battery',
    unit: '%',
    label: 'Round-trip efficiency',
    help: 'Energy out against energy in, with the change of charge taken out.',
    limits: { side: 'below', fair: 80, poor: 65 },
    poorly: 'The battery gives back only {value} of what it takes.',
  },
  usable_kwh: {
    group: 'battery',
    unit: 'kWh',
    label: 'Usable energy left',
    help: 'What can still be taken out before the inverters switch off.',
  },
  genset_hours: { group: 'generator', unit: 'h', label: 'Generator hours', help: 'How long the generator ran.' },
});

/** Id of a figure of a report. */
export type ReportFigureId = keyof typeof reportFigures;

/** How a value of a figure is to be taken; null without a limit or a value. */
export function judge(id: ReportFigureId, value: number | null): Judgement | null {
  const { limits } = reportFigures[id] as Definition;
  if (limits === undefined || value === null) return null;
  const beyond = (limit: number) => (limits.side === 'below' ? value < limit : value > limit);
  return beyond(limits.poor) ? 'poor' : beyond(limits.fair) ? 'fair' : 'good';
}

/** What is said of a poor figure; empty where nothing is. */
export function poorWords(id: ReportFigureId, value: number): string {
  const { poorly, unit } = reportFigures[id] as Definition;
  const digits = Math.abs(value) >= 10 ? 0 : 2;
  return (poorly ?? '').replace('{value}', `${Number(value.toFixed(digits))}${unit === '' ? '' : ` ${unit}`}`);
}
