/**
 * What is usual at a time of day, for the rules: the usual day as it was last kept with the log. What was learnt since is
 * left out, because after a restart the rules go once more through what arrived, and are to conclude the same.
 */
import {
  learnFigure,
  localQuarter,
  usualDayFrom,
  usualRange,
  type RuleContext,
  type Site,
  type UsualDay,
} from '@villagrid/contracts';
import type { DurableLog } from '../log/log.js';

/** Name of the kept usual day in the log. */
export const usualDayState = 'insight_usual_day';

export interface Usual {
  /** What is usual for a figure (`deviceId` null) or a device's series at a time, Unix ms; undefined where nothing was learnt. */
  readonly at: NonNullable<RuleContext['usual']>;
  /** The usual day is kept anew with the commit of this number: from then on it is asked. */
  keptWith(number: number): void;
  /** Whether it is being kept anew or was since this was asked last: what was concluded before does not follow from it. */
  changes(): boolean;
}

/** Makes it; what was learnt before a restart is there at once. */
export function createUsual(log: Pick<DurableLog, 'state' | 'onCommit'>, site: Pick<Site, 'zone' | 'wiring'>): Usual {
  let day: UsualDay | undefined;
  // Read when it is asked for: a site without such rules need not unpack it.
  let isCurrent = false;
  let figures = new Set<string>();
  let renewedBy = Number.POSITIVE_INFINITY;
  let isChanging = false;

  log.onCommit(({ number }) => {
    if (number < renewedBy) return;
    renewedBy = Number.POSITIVE_INFINITY;
    isCurrent = false;
  });

  const read = (): UsualDay | undefined => {
    const text = log.state(usualDayState)?.value;
    if (text === undefined) return undefined;
    try {
      return usualDayFrom(JSON.parse(text), site.zone);
    } catch {
      return undefined;
    }
  };

  return {
    at(deviceId, metric, timeMs) {
      if (!isCurrent) {
        day = read();
        figures = new Set();
        isCurrent = true;
      }
      if (day === undefined) return undefined;
      const wire = deviceId === null ? site.wiring[metric] : undefined;
      if (wire !== undefined && !figures.has(metric)) {
        figures.add(metric);
        learnFigure(day, metric, wire);
      }
      return usualRange(
        day,
        deviceId === null ? metric : `${deviceId}/${metric}`,
        localQuarter(site.zone, timeMs).quarter,
      );
    },
    keptWith(number) {
      renewedBy = number;
      isChanging = true;
    },
    changes() {
      const was = isChanging;
      if (renewedBy === Number.POSITIVE_INFINITY) isChanging = false;
      return was;
    },
  };
}
