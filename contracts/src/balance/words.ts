/** What the balance check found, in plain words: which meter, why, and what to do. */
import { metricDefinition } from '../metrics/catalogue.js';
import type { Severity } from '../alerts/events.js';
import type { MeterChannel } from './channels.js';
import type { BalanceDiagnosis } from './diagnose.js';
import type { ChannelFault } from './faults.js';

/** Texts about a diagnosis, as an alert shows them. */
export interface BalanceWords {
  /** One sentence: all is right, which meter lies, or between which it cannot be told. */
  readonly headline: string;
  readonly why: string;
  readonly steps: readonly string[];
  readonly severity: Severity;
}

/** "consumption of Village meter". */
export function channelWords({ metric, deviceName }: MeterChannel): string {
  const label = metricDefinition(metric)?.label ?? metric;
  return `${label.toLowerCase().replace(/^(dc|ac) /, (code) => code.toUpperCase())} of ${deviceName}`;
}

const times = (size: number): string => {
  const many = size >= 1 ? size : 1 / size;
  const round = many >= 9.5 ? Math.round(many).toString() : many.toFixed(1).replace(/\.0$/, '');
  return size >= 1 ? `${round} times too much` : `${round} times too little`;
};
const percentOff = (size: number): string =>
  `${Math.round(Math.abs(size - 1) * 100)} % too ${size > 1 ? 'much' : 'little'}`;

/** What is wrong with a channel, as a clause after its name: "seems wired the wrong way round". */
export function channelFaultWords({ kind, channel, other, size = 0 }: ChannelFault): string {
  const unit = metricDefinition(channel.metric)?.unit ?? '';
  switch (kind) {
    case 'flipped':
      if (channel.measure === 'charge')
        return 'seems to count the wrong way round: it falls while the battery is charged';
      return channel.measure === 'counter'
        ? 'seems to count backwards'
        : 'seems wired the wrong way round: its sign is wrong';
    case 'factor':
      return `seems to read ${times(size)}`;
    case 'gain':
      return size >= 2.5 || size <= 0.4 ? `seems to read ${times(size)}` : `seems to read ${percentOff(size)}`;
    case 'drift':
      return `seems to drift: over a day its reading grew ${Math.round(Math.abs(size) * 100)} % too ${size > 0 ? 'high' : 'low'}`;
    case 'offset':
      return `seems to read ${Math.abs(size).toPrecision(2).replace(/\.0$/, '')} ${unit} too ${size > 0 ? 'much' : 'little'} all the time`;
    case 'stuck':
      return channel.measure === 'counter'
        ? 'seems stuck: it did not count while energy flowed'
        : 'seems stuck: it did not move while the others did';
    case 'swapped':
      return `seems swapped with ${other === undefined ? 'another' : channelWords(other)}`;
    case 'unclear':
      return 'contradicts all the others';
  }
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

const sentence = (fault: ChannelFault) => `${channelWords(fault.channel)} ${channelFaultWords(fault)}`;

/** What to do about a fault, in order. */
function stepsFor({ kind, channel, along, size = 1, other }: ChannelFault): string[] {
  const { deviceName, measure } = channel;
  const whole = along.length > 0 ? ' Everything this device measures with that sensor is wrong with it.' : '';
  switch (kind) {
    case 'flipped':
      return measure === 'charge' || measure === 'counter'
        ? [`Look up in the manual of ${deviceName} which way it counts, and set its profile or wiring so.`]
        : [
            `Look at ${deviceName}: the arrow on its current sensor must point the way the current flows, and its two thin wires must not be exchanged. Switch off before you touch them.`,
            `If the sensor is right, set the factor of this series in the site's wiring to -1.${whole}`,
          ];
    case 'factor':
    case 'gain':
      return [
        `Compare ${deviceName} with its own display or a clamp meter.`,
        kind === 'factor'
          ? `If its display is right, its profile or the factor in the site's wiring is wrong by ${size >= 1 ? size : `1/${Math.round(1 / size)}`}: kW and W, or a decimal place.${whole}`
          : `Check the ratio of its current transformer in its settings.${whole}`,
      ];
    case 'drift':
      return [
        `Check the connections of ${deviceName}: a loose or warm one changes what it reads.`,
        'Have it calibrated or replaced.',
      ];
    case 'offset':
      return [
        `Let ${deviceName} set its zero anew while nothing flows, as its manual says.`,
        'Look whether something else is connected to its sensor.',
      ];
    case 'stuck':
      return [
        `Switch ${deviceName} off and on, and look whether its own display moves.`,
        'If the display moves, check its connection to the gateway.',
      ];
    case 'swapped':
      return [
        `Look whether the sensors or the addresses of ${deviceName} and ${other?.deviceName ?? 'the other'} were exchanged.`,
      ];
    case 'unclear':
      return [`Compare ${deviceName} with its own display or a clamp meter.`];
  }
}

/** The diagnosis in words. */
export function balanceWords(diagnosis: BalanceDiagnosis): BalanceWords {
  const { state, faults, relations, lacks } = diagnosis;
  const broken = relations.filter((one) => !one.holds);
  const compared = broken.map((one) => one.words).join('; ');
  const lack = lacks.length === 0 ? '' : ` ${lacks.join(' ')}`;
  if (state === 'right')
    return {
      headline: 'The meters agree with each other.',
      why: `Held against each other: ${relations.map((one) => one.words).join('; ')}.${lack}`,
      steps: [],
      severity: 'low',
    };
  if (state === 'unknown')
    return {
      headline: 'The meters cannot be checked against each other.',
      why: `Too little was measured in the last day.${lack}`,
      steps: ['Let it measure for at least ten hours, then look again.'],
      severity: 'low',
    };
  if (state === 'unexplained')
    return {
      headline: 'Some meters do not agree, and no single fault explains it.',
      why: `Not in agreement: ${compared}.`,
      steps: [
        'If a meter was repaired or changed within the last day, wait until a day has passed.',
        'Otherwise compare the meters with a clamp meter, one after the other.',
      ],
      severity: 'low',
    };
  const [first] = faults;
  if (state === 'named' && first !== undefined) {
    const mended = first.kind === 'stuck' || first.kind === 'unclear' ? 'Without it' : 'Put right for that';
    return {
      headline: `${capital(sentence(first))}.`,
      why: `Not in agreement over the last day: ${compared}. ${mended}, everything fits; no other single fault explains it. Figures and reports made from it are wrong.`,
      steps: stepsFor(first),
      // A wrong load, sun or battery misleads every decision; a wrong counter or a small error only the reports.
      severity:
        first.channel.measure === 'counter' || first.kind === 'gain' || first.kind === 'drift' ? 'medium' : 'high',
    };
  }
  return {
    headline: `One meter is wrong; ambiguous between: ${faults.map(sentence).join(', or ')}.`,
    why: `Not in agreement over the last day: ${compared}. Each of these would explain it alike; the meters of this site cannot tell which.${lack}`,
    steps: [
      ...new Set(
        faults.map(({ channel }) => `Compare ${channelWords(channel)} with the device's own display or a clamp meter.`),
      ),
    ],
    severity: 'medium',
  };
}
