/** Compares what a gateway says it holds of a day with what is here. Pure. */
import type { DayManifest, ManifestProof } from '@villagrid/contracts';

/** A series' samples here. */
export interface SeriesHere {
  readonly deviceId: string;
  readonly metric: string;
  readonly count: number;
  readonly hash: string;
}

/** Most series told by name. */
const mostTold = 20;

/**
 * What is told of a day: `waiting` while not all is here and settled that the gateway counted. More samples here than were
 * counted mean that some came later: the gateway tells again.
 */
export function compareDay(
  told: DayManifest['series'],
  here: readonly SeriesHere[],
  settled: boolean,
): Omit<ManifestProof, 'told_until_number'> {
  const own = new Map(here.map((one) => [`${one.deviceId} ${one.metric}`, one]));
  const samples = told.reduce((sum, [, , count]) => sum + count, 0);
  const samplesHere = here.reduce((sum, { count }) => sum + count, 0);
  const differing: ManifestProof['differing'] = [];
  let onlyMore = true;
  const look = (deviceId: string, metric: string, count: number, hash: string | undefined): void => {
    const key = `${deviceId} ${metric}`;
    const found = own.get(key);
    own.delete(key);
    if (found?.count === count && found.hash === hash) return;
    const countHere = found?.count ?? 0;
    onlyMore &&= countHere > count;
    differing.push({ device_id: deviceId, metric, told: count, here: countHere });
  };
  for (const [deviceId, metric, count, hash] of told) look(deviceId, metric, count, hash);
  for (const { deviceId, metric } of own.values()) look(deviceId, metric, 0, undefined);
  const state = differing.length === 0 ? 'equal' : settled && !onlyMore ? 'differs' : 'waiting';
  return {
    state,
    samples,
    samples_here: samplesHere,
    differing_count: differing.length,
    differing: differing.slice(0, mostTold),
  };
}
