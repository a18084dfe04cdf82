/** Fetches the alerts of the last 90 days, page by page, once. Loaded when a grid has more than one page of them. */
import type { AlertView } from '@villagrid/contracts';
import type { Api } from '../origin/api.js';
import { alertsKeptMs } from './apply.js';

/** Most pages of 200 that are fetched: nobody reads more than that. */
const mostPages = 20;

/** Gives page after page to `take`. Rejects when a server stops answering; what came is kept. */
export async function olderAlerts(
  api: Api,
  gridId: string,
  cursor: string | null,
  nowMs: number,
  take: (alerts: readonly AlertView[]) => void,
): Promise<void> {
  let next = cursor;
  for (let page = 0; page < mostPages && next !== null; page += 1) {
    const answer = await api.alerts(gridId, {
      limit: '200',
      from: String(Math.round(nowMs - alertsKeptMs)),
      cursor: next,
    });
    take(answer.alerts);
    next = answer.next_cursor;
  }
}
