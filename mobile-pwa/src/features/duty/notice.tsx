/** A line on the dashboard while work is planned: why the grid is quiet. */
import type { MaintenanceView } from '@villagrid/contracts';
import { momentText } from '../../i18n/format.js';
import { addTexts, t } from '../../i18n/messages.js';
import { links } from '../../ui/routes.js';
import { dutyTexts } from './texts.js';

addTexts(dutyTexts);

export function MaintenanceNotice({
  gridId,
  works,
  nowMs,
  zone,
}: {
  gridId: string;
  works: readonly MaintenanceView[];
  nowMs: number;
  zone: string;
}) {
  return (
    <>
      {works
        .filter(({ until_ms }) => until_ms > nowMs)
        .map((work) => (
          <a class="banner" key={work.maintenance_id} href={links.duty(gridId)}>
            <span>
              {t(work.from_ms <= nowMs ? 'duty.work.notice' : 'duty.work.noticeAhead', {
                from: momentText(work.from_ms, nowMs, zone),
                until: momentText(work.until_ms, nowMs, zone),
                reason: work.reason,
              })}
            </span>
          </a>
        ))}
    </>
  );
}
