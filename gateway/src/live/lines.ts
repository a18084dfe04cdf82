/**
 * Lines that several devices share, and which of them are broken: one cause, one alert. A line is broken when it is not
 * there (no adapter, no host), and also when it is there and not one of the devices on it answers: a cable that is cut.
 */
import type { AlertSubject } from '@villagrid/contracts';

interface Line {
  state: 'up' | 'down';
  reason: string;
  deviceIds: readonly string[];
}

/** A line that is broken. */
interface BrokenLine {
  readonly line: string;
  readonly reason: string;
  readonly deviceIds: readonly string[];
  /** Whether the line itself is gone, or there and mute. */
  readonly isGone: boolean;
}

type KeptLine = readonly [
  line: string,
  state: Line['state'],
  reason: string,
  deviceIds: readonly string[],
  silent: readonly string[],
];

function keptLines(text: string | undefined): readonly KeptLine[] {
  if (text === undefined) return [];
  try {
    const kept: unknown = JSON.parse(text);
    if (!Array.isArray(kept)) return [];
    return kept.filter((one): one is KeptLine => Array.isArray(one) && Array.isArray(one[3]) && Array.isArray(one[4]));
  } catch {
    return [];
  }
}

/** So many devices are named in a sentence; the others are counted. */
const mostNamed = 4;

/** See the head of this file. */
export class Lines {
  readonly #lines = new Map<string, Line>();
  readonly #devices = new Map<string, 'up' | 'down'>();

  /**
   * `kept` is a former `state`: a line that was broken before a restart is so until it is heard of. One that the settings
   * do not know any more is left out, and so is all of a text that is not ours.
   */
  constructor(kept?: string, isLine: (line: string) => boolean = () => true) {
    for (const [line, state, reason, deviceIds, silent] of keptLines(kept)) {
      if (!isLine(line)) continue;
      this.set(line, state, deviceIds, reason);
      for (const deviceId of silent) this.setDevice(deviceId, 'down');
    }
  }

  /** The lines that are broken, to be kept; JSON text. */
  state(): string {
    const kept = this.#broken().map(({ line, reason, deviceIds, isGone }): KeptLine => {
      const silent = deviceIds.filter((id) => this.#devices.get(id) === 'down');
      return [line, isGone ? 'down' : 'up', reason, deviceIds, silent];
    });
    return JSON.stringify(kept);
  }

  /** A line with these devices came up or went down, and why. */
  set(line: string, state: 'up' | 'down', deviceIds: readonly string[], reason = ''): void {
    this.#lines.set(line, { state, reason, deviceIds });
  }

  /** A device answers, or does not. */
  setDevice(deviceId: string, state: 'up' | 'down'): void {
    this.#devices.set(deviceId, state);
  }

  get downCount(): number {
    return this.#broken().length;
  }

  /** Whether a device cannot be heard because its line is broken. */
  keepsBack(deviceId: string): boolean {
    return this.#broken().some(({ deviceIds }) => deviceIds.includes(deviceId));
  }

  /** What an alert says of the lines that are broken now; undefined when none is. */
  words(nameOf: (deviceId: string) => string): Partial<AlertSubject> | undefined {
    const broken = this.#broken();
    const [first] = broken;
    if (first === undefined) return undefined;
    const gone = broken.some(({ isGone }) => isGone);
    const what = broken.map(({ line, reason, deviceIds, isGone }) => {
      const who = named(deviceIds.map(nameOf));
      if (!isGone) return `None of the ${deviceIds.length} devices on ${line} answers: ${who}.`;
      return `${line} cannot be reached, and with it ${who}.${reason === '' ? '' : ` ${sentence(reason)}`}`;
    });
    return {
      message: broken.length === 1 ? 'a line to devices is broken' : `${broken.length} lines to devices are broken`,
      what: what.join(' '),
      steps: gone
        ? [
            'Check that the adapter or the device at the other end is plugged in and has power.',
            'Check the cable or the network between it and the gateway.',
            'If it stays so, call your technician.',
          ]
        : [
            'Check that the devices have power.',
            'Check the cable between the gateway and the first of them: it may be cut, or a plug is out.',
            'If it stays so, call your technician: two wires may be exchanged, or one device may block the line.',
          ],
    };
  }

  #broken(): BrokenLine[] {
    const broken: BrokenLine[] = [];
    for (const [line, { state, reason, deviceIds }] of this.#lines) {
      const isGone = state === 'down';
      // Of a device that is alone on its line nobody can say whose fault it is.
      const isMute = deviceIds.length > 1 && deviceIds.every((id) => this.#devices.get(id) === 'down');
      if (isGone || isMute) broken.push({ line, reason, deviceIds, isGone });
    }
    return broken;
  }
}

function named(names: readonly string[]): string {
  const shown = names.length <= mostNamed + 1 ? names : names.slice(0, mostNamed);
  const more = names.length - shown.length;
  if (more > 0) return `${shown.join(', ')} and ${more} more devices`;
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

/** A reason as a sentence of its own. */
function sentence(reason: string): string {
  const text = reason.charAt(0).toUpperCase() + reason.slice(1);
  return /[.?!]$/.test(text) ? text : `${text}.`;
}
