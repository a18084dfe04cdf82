/** What each uplink plan sends: how fine, and how often. Pure. */
import type { Plan } from '@villagrid/contracts';

/** How a stretch of the log goes up. */
export interface PlanForm {
  /** Width of the windows whose means are sent, milliseconds of the village; null: every sample. */
  readonly resolutionMs: number | null;
  /** Frames of so long are sealed as one, milliseconds of the village; null: each goes as the log holds it. */
  readonly gatherMs: number | null;
}

const forms: { readonly [plan in Plan]: PlanForm } = {
  metered: { resolutionMs: 60_000, gatherMs: 900_000 },
  standard: { resolutionMs: 60_000, gatherMs: 300_000 },
  full: { resolutionMs: 10_000, gatherMs: 300_000 },
  raw: { resolutionMs: null, gatherMs: null },
  boost: { resolutionMs: 10_000, gatherMs: 10_000 },
};

/** The form of a plan; `gatherS` of the settings takes the place of its own, 0 is as the log holds it (plan raw only). */
export function planForm(plan: Plan, gatherS?: number): PlanForm {
  const form = forms[plan];
  if (gatherS === undefined) return form;
  if (form.resolutionMs === null) return { ...form, gatherMs: gatherS === 0 ? null : gatherS * 1000 };
  return { ...form, gatherMs: Math.max(gatherS * 1000, form.resolutionMs) };
}

/** Keep-alive of the link, seconds: on a plan that saves bytes a dead line is noticed later, at the next envelope at the latest. */
export const uplinkKeepaliveS = (plan: Plan): number =>
  ({ metered: 300, standard: 120, full: 120, raw: 30, boost: 30 })[plan];

/** The form while somebody watches: never coarser nor later than the plan. */
export function boosted(form: PlanForm): PlanForm {
  const { resolutionMs, gatherMs } = form;
  const boost = forms.boost;
  if (gatherMs === null || (resolutionMs === null && gatherMs <= 10_000)) return form;
  return { resolutionMs: resolutionMs === null ? null : Math.min(resolutionMs, 10_000), gatherMs: boost.gatherMs };
}
