/** A line on the dashboard while work is planned: why the grid is quiet. */
import type { DeviceView, MaintenanceView } from '@villagrid/contracts';
import { addTexts } from '../../i18n/messages.js';
import { links } from '../../ui/routes.js';
import { noticeText } from './notice-text.js';
import { dutyTexts } from './texts.js';

addTexts(dutyTexts);

export function MaintenanceNotice({
  gridId,
  works,
  devices,
  nowMs,
  zone,
}: {
  gridId: string;
  works: readonly MaintenanceView[];
  devices: readonly DeviceView[];
  nowMs: number;
  zone: string;
}) {
  return (
    <>
      {works
        .filter(({ until_ms }) => until_ms > nowMs)
        .map((work) => (
          <a class="banner" key={work.maintenance_id} href={links.duty(gridId)}>
            <span>{noticeText(work, devices, nowMs, zone)}</span>
          </a>
        ))}
    </>
  );
}
