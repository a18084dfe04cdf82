/** The words for planned work on the first screen: until when, why, and whose alerts wake nobody. Pure. */
import type { DeviceView, MaintenanceView } from '@villagrid/contracts';
import { momentText } from '../../i18n/format.js';
import { t } from '../../i18n/messages.js';

/** Devices that are named; more are counted. */
const mostNamed = 3;

/** The devices that work covers, by name; null for the whole grid. A device this phone does not know keeps its id. */
function coveredNames(
  work: Pick<MaintenanceView, 'device_ids'>,
  devices: readonly Pick<DeviceView, 'device_id' | 'name'>[],
): string | null {
  const ids = work.device_ids;
  if (ids === null) return null;
  return ids.length > mostNamed
    ? t('duty.work.noticeMany', { n: ids.length })
    : ids.map((id) => devices.find(({ device_id }) => device_id === id)?.name ?? id).join(', ');
}

/** The sentence of one planned work. That alerts wake nobody is said only of what the work covers. */
export function noticeText(
  work: MaintenanceView,
  devices: readonly Pick<DeviceView, 'device_id' | 'name'>[],
  nowMs: number,
  zone: string,
): string {
  const covered = coveredNames(work, devices);
  return t(
    work.from_ms > nowMs ? 'duty.work.noticeAhead' : covered === null ? 'duty.work.notice' : 'duty.work.noticeOf',
    {
      from: momentText(work.from_ms, nowMs, zone),
      until: momentText(work.until_ms, nowMs, zone),
      reason: work.reason,
      devices: covered ?? '',
    },
  );
}
