/** The village in one page of HTML that needs no JavaScript, no login and no style: for any browser on the village's network. */
import type { AlertView, FigureView, Summary } from '@villagrid/contracts';

/** How often the page loads again, seconds. */
const againS = 30;

const power = {
  powered: 'The village has power.',
  off: 'No power.',
  partly: 'Part of the village has no power.',
  unknown: 'It is not known now whether the village has power.',
} as const;
const severity = { critical: 'CRITICAL', high: 'HIGH', medium: 'Medium', low: 'Low' } as const;

/** Keeps a number and its unit on one line. */
const nbsp = '\u00a0';

/** Text as HTML: what devices and people named cannot become part of the page. */
export const escaped = (text: string): string => text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** The page. Names of people are left out, since anybody on the network reads it. */
export function plainPage(summary: Summary, openAlerts: readonly AlertView[]): string {
  const { name, zone, now_ms: nowMs, verdict } = summary;
  const day = new Intl.DateTimeFormat('en-CA', { timeZone: zone, dateStyle: 'short' });
  const clock = new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit' });
  const when = (ms: number) => `${day.format(ms) === day.format(nowMs) ? '' : `${day.format(ms)} `}${clock.format(ms)}`;
  const soc = verdict.battery_soc_pct === null ? '' : ` Battery ${Math.round(verdict.battery_soc_pct)} %.`;
  const empty = verdict.empty_at_ms === null ? '' : ` It lasts until about ${when(verdict.empty_at_ms)}.`;
  const reading = ({ value, unit, time_ms: timeMs, freshness }: FigureView) =>
    value === null || freshness === 'unknown' || timeMs === null
      ? [`no${nbsp}data`, '']
      : [`${Number(value.toPrecision(3))}${nbsp}${unit}`, freshness === 'live' ? 'now' : `as of ${when(timeMs)}`];
  const row = (cells: readonly string[]) => `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`;
  const alerts = openAlerts.map((alert) => {
    const about = [alert.message, alert.device_name].filter((part) => part !== null && part !== '').join(': ');
    const seen = alert.acknowledged ? 'seen' : 'nobody has seen it';
    const steps = alert.steps.map((step) => `<li>${escaped(step)}</li>`).join('');
    const head = `<b>${severity[alert.severity]}</b> ${escaped(about)}, since ${when(alert.raised_at_ms)}, ${seen}`;
    return `<li>${head}${steps === '' ? '' : `<ol>${steps}</ol>`}</li>`;
  });
  const figures = Object.values(summary.figures).map((figure) => row([figure.label, ...reading(figure)]));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="${againS}">
<title>${escaped(name)}</title>
</head>
<body>
<h1>${escaped(name)}</h1>
<p><big>${power[verdict.power]}${soc}${empty}</big></p>
<h2>Alerts</h2>
${alerts.length === 0 ? '<p>None is open.</p>' : `<ul>${alerts.join('')}</ul>`}
<h2>Values</h2>
<table border="1" cellpadding="6">${figures.join('')}</table>
<p>Made at ${when(nowMs)} (${escaped(zone)}). Loads again every ${againS} s. Nothing can be changed here; <a href="/">the app</a> shows more.</p>
</body>
</html>
`;
}

/** What is shown where no village is: at the cloud. */
export const noVillagePage = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Villagrid</title></head>
<body><p>The plain page of a village is at its gateway. Here <a href="/">the app</a> asks who you are first.</p></body>
</html>
`;
