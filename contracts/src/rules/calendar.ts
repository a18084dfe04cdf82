/** When a rule watches: hours, days of the week and seasons in the grid's own time. */
import { zoneOffsetMs } from '../history/resolution.js';
import { weekdays, type RuleSchedule } from './rule.js';

const quarterMs = 900_000;
const minuteMs = 60_000;
const dayMs = 86_400_000;

/** The day of a local time: weekday 0 is Monday, month 1 is January. */
interface LocalDay {
  readonly weekday: number;
  readonly month: number;
}

/** Tells whether schedules are on at a time. Zones change their offset at whole quarter hours, so one is asked once. */
export class Calendar {
  readonly #zone: string;
  #quarter = Number.NaN;
  #offsetMs = 0;

  constructor(zone: string) {
    this.#zone = zone;
  }

  /** Local time as if it were UTC, ms. */
  localMs(timeMs: number): number {
    const quarter = Math.floor(timeMs / quarterMs);
    if (quarter !== this.#quarter) {
      this.#quarter = quarter;
      this.#offsetMs = zoneOffsetMs(this.#zone, timeMs);
    }
    return timeMs + this.#offsetMs;
  }

  /** Whether a schedule is on. An interval past midnight belongs to the day on which it begins. */
  isOn(schedule: RuleSchedule, timeMs: number): boolean {
    const local = this.localMs(timeMs);
    const minute = Math.floor((local - Math.floor(local / dayMs) * dayMs) / minuteMs);
    const today = dayOf(local);
    if (schedule.hours === undefined) return isOnDay(schedule, today);
    return schedule.hours.some(({ from, to }) => {
      const first = minuteOf(from);
      const end = minuteOf(to);
      if (first < end) return minute >= first && minute < end && isOnDay(schedule, today);
      if (minute >= first) return isOnDay(schedule, today);
      return minute < end && isOnDay(schedule, dayOf(local - dayMs));
    });
  }
}

function dayOf(localMs: number): LocalDay {
  const date = new Date(localMs);
  return { weekday: (date.getUTCDay() + 6) % 7, month: date.getUTCMonth() + 1 };
}

function isOnDay({ days, months }: RuleSchedule, { weekday, month }: LocalDay): boolean {
  if (months !== undefined && !months.includes(month)) return false;
  return days === undefined || days.includes(weekdays[weekday] as (typeof weekdays)[number]);
}

const minuteOf = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
