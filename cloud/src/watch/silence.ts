/** What only the cloud sees: a gateway that says nothing. When that is worth an alert, and what is the likeliest cause. Pure. */
import { powerState, type AlertSubject, type Figure, type Severity } from '@villagrid/contracts';

/** Rule ids of the cloud's own alerts. */
export const gatewaySilentRuleId = 'gateway_silent';
export const fleetSilentRuleId = 'fleet_silent';
export const fleetPatternRuleId = 'fleet_pattern';

/** What is known of a gateway that says nothing. Times in Unix ms. */
export interface SilenceFacts {
  readonly nowMs: number;
  readonly heardMs: number;
  /** Whether its connection stands although nothing comes through it. */
  readonly isConnected: boolean;
  /** Last known charge and the floor at which inverters switch off, %; null when not known. */
  readonly socPct: number | null;
  readonly floorPct: number;
  /** Whether the village had no power in the last reading. */
  readonly wasDark: boolean;
  /** Whether it is night in the village. */
  readonly isNight: boolean;
  /** Of its former silences: in how many it turned out that the gateway had run on. */
  readonly formerLinkOnly: number;
  readonly former: number;
}

/** Whether a village had no power by its own last word: not fresh any more, but all that is known. Every feeder counts. */
export function wasDark(figures: Readonly<Record<string, Figure>>, nominalV: number): boolean {
  const lastMs = Math.max(...Object.values(figures).map(({ timeMs }) => timeMs ?? Number.NEGATIVE_INFINITY));
  return powerState(figures, lastMs, nominalV) === 'off';
}

export type SilenceCause = 'village_dark' | 'program' | 'link' | 'unknown';

/** Charge above the floor below which a night empties a battery, %. */
const thinMarginPct = 8;
/** So many silences of the past tell how the next one will be. */
const enoughFormer = 3;

const isMostlyLink = ({ former, formerLinkOnly }: SilenceFacts) =>
  former >= enoughFormer && formerLinkOnly / former >= 0.8;

/** The likeliest cause. */
export function silenceCause(facts: SilenceFacts): SilenceCause {
  const { socPct, floorPct } = facts;
  if (facts.wasDark || (socPct !== null && socPct <= floorPct + thinMarginPct)) return 'village_dark';
  if (facts.isConnected) return 'program';
  return isMostlyLink(facts) ? 'link' : 'unknown';
}

/**
 * How long it may say nothing before people are told, milliseconds, `baseMs` being the shortest. Longer at night, when nobody
 * goes there, and longer still where it was mostly the link; a village that may be dark does not wait.
 */
export function silencePatienceMs(facts: SilenceFacts, baseMs: number): number {
  if (silenceCause(facts) === 'village_dark') return baseMs;
  return baseMs * (facts.isNight ? 4 : 1) * (isMostlyLink(facts) ? 4 : 1);
}

const words: Readonly<Record<SilenceCause, { severity: Severity; why: string; steps: readonly string[] }>> = {
  village_dark: {
    severity: 'high',
    why: 'The battery was nearly empty or the village had no power: it is probably dark, and nobody far away can see it.',
    steps: [
      'Call somebody in the village: is there power?',
      'If not: it comes back when the sun has charged the battery. Ask to switch off what can wait.',
      'If there is power, ask whether the lamp of the gateway is on.',
    ],
  },
  program: {
    severity: 'medium',
    why: 'Its connection stands but nothing comes through it: the link works, the program of the gateway may hang.',
    steps: [
      'Wait some minutes: it restarts by itself.',
      'If it stays so, ask somebody to switch the gateway off and on.',
    ],
  },
  link: {
    severity: 'low',
    why: 'It was only the link the last times; the village then ran on and its alarms rang. Readings come later.',
    steps: ['Wait until the link is back.', 'If it takes longer than usual: is there airtime, does the network work?'],
  },
  unknown: {
    severity: 'medium',
    why: 'It cannot be told from here whether the village is dark, the gateway is off, or only the link is down.',
    steps: [
      'Call somebody in the village: is there power, is the lamp of the gateway on?',
      'With power and lamp it is the link: airtime, antenna, modem.',
      'Without lamp: look at the plug and the power supply of the gateway.',
    ],
  },
};

/** The alert of a silent gateway. */
export function silenceSubject(facts: SilenceFacts, gateway: { readonly id: string }): AlertSubject {
  const { severity, why, steps } = words[silenceCause(facts)];
  const hours = (facts.nowMs - facts.heardMs) / 3_600_000;
  const long = hours < 1.5 ? `${Math.max(1, Math.round(hours * 60))} min` : `${Math.round(hours)} h`;
  const charge = facts.socPct === null ? '' : ` The battery was at ${Math.round(facts.socPct)} %.`;
  return subjectOf(gatewaySilentRuleId, severity, {
    message: 'nothing is heard from the village',
    what: `The gateway has sent nothing for ${long}.${charge}`,
    why,
    steps,
    device_id: gateway.id,
    device_name: 'Gateway',
  });
}

/** The alert of many gateways that went silent at the same time. */
export const fleetSilentSubject = (silent: number, all: number): AlertSubject =>
  subjectOf(fleetSilentRuleId, 'high', {
    message: 'many villages went silent at once',
    what: `${silent} of ${all} gateways went silent within a quarter of an hour.`,
    why: 'That is hardly the villages: it is the network they share, or the way into the cloud. The villages run on.',
    steps: [
      'Ask the network operator.',
      'Look whether the cloud takes new connections: certificate, address, firewall.',
    ],
  });

/** The alert of the same trouble in many grids. */
export const fleetPatternSubject = (message: string, grids: number, all: number): AlertSubject =>
  subjectOf(fleetPatternRuleId, 'medium', {
    message: `the same in many villages: ${message}`,
    what: `Within an hour ${grids} of ${all} grids raised the same alert: ${message}.`,
    why: 'What comes to many at once has one cause: the weather, a new version, a setting that was changed everywhere.',
    steps: ['What was changed lately: a version, limits, certificates?', 'Look at the weather of the region.'],
  });

type Told = Pick<AlertSubject, 'message' | 'what' | 'why' | 'steps'> & Partial<AlertSubject>;

const subjectOf = (rule_id: string, severity: Severity, told: Told): AlertSubject => ({
  rule_id,
  type: rule_id,
  severity,
  device_id: null,
  device_name: null,
  metric: null,
  value: null,
  limit: null,
  unit: null,
  ...told,
});

/** Whether it is night at a place by its clock on the wall; `localMs` is local time as if it were UTC. */
export function isNightAt(localMs: number): boolean {
  const hour = Math.floor(localMs / 3_600_000) % 24;
  return hour >= 19 || hour < 6;
}

/** Three at least, and a third of all: these are many. */
export const isMany = (count: number, all: number): boolean => count >= 3 && count * 3 >= all;
