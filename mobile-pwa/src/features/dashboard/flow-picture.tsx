/** The H-shaped energy-flow picture: two sides, one bus, stations always in the same place. Direction is in arrow and words. */
import type { Summary } from '@villagrid/contracts';
import { momentText, quantity } from '../../i18n/format.js';
import { isolated, language, t, type MessageKey } from '../../i18n/messages.js';
import { iconPath, type IconName } from '../../ui/icons.js';
import { makeFlow, peakOf, type Station } from './flow.js';
import { isDerived } from '../../ui/value.js';

const icons: Readonly<Record<Station['id'], IconName>> = {
  sun: 'sun',
  mains: 'pylon',
  generator: 'bolt',
  village: 'village',
  battery: 'grid',
};
const names: Readonly<Record<Station['id'], MessageKey>> = {
  sun: 'flow.sun',
  mains: 'flow.mains',
  generator: 'flow.generator',
  village: 'flow.village',
  battery: 'flow.battery',
};
const rowHeight = 86;
const firstRow = 28;
const thickness = [0, 3, 6, 9, 12] as const;

/** Words for the direction of a station's flow. */
export function directionWords(station: Station): string {
  const { id, towardsBusKw, figure } = station;
  if (towardsBusKw === null) return t('value.none');
  const still = Math.abs(towardsBusKw) < 0.005;
  if (id === 'battery') return t(still ? 'figure.idle' : towardsBusKw > 0 ? 'figure.discharging' : 'figure.charging');
  if (id === 'generator') return still ? t('flow.notRunning') : t('flow.gives');
  if (id === 'mains')
    return still
      ? t(figure?.value === null ? 'flow.notConnected' : 'flow.off')
      : t(towardsBusKw > 0 ? 'flow.import' : 'flow.export');
  if (id === 'village') return t('figure.toVillage');
  return t('figure.fromSun');
}

/** An arrow along a row from `x1` to `x2` with a thickness in drawing units. */
function arrow(x1: number, x2: number, y: number, width: number): string {
  const way = x2 > x1 ? 1 : -1;
  const head = Math.max(8, width * 0.75 + 6);
  const half = Math.max(6, width / 2 + 5);
  const neck = x2 - way * head;
  const w = width / 2;
  return `M${x1} ${y - w}H${neck}V${y - half}L${x2} ${y}L${neck} ${y + half}V${y + w}H${x1}z`;
}

function StationPicture({
  station,
  side,
  y,
  zone,
  nowMs,
}: {
  station: Station;
  side: 'left' | 'right';
  y: number;
  zone: string;
  nowMs: number;
}) {
  const x = side === 'left' ? 33 : 295;
  const inner = side === 'left' ? 154 : 174;
  const outer = side === 'left' ? 62 : 266;
  const middle = (inner + outer) / 2;
  const { towardsBusKw, step, current, figure } = station;
  const shown = towardsBusKw === null ? undefined : quantity(station.metric, Math.abs(towardsBusKw));
  const flowing = step > 0;
  const toBus = (towardsBusKw ?? 0) > 0;
  // The sun's and the village's direction is in their place; the others say it below their line.
  const words = [
    station.id === 'sun' || station.id === 'village' ? '' : directionWords(station),
    current && isDerived(figure) ? t('value.derived') : '',
  ]
    .filter((part) => part !== '')
    .join(', ');
  const width = thickness[step];
  const soc = station.id === 'battery' ? 0.62 : 0;
  return (
    <g>
      {flowing ? (
        <path d={toBus ? arrow(outer, inner, y, width) : arrow(inner, outer, y, width)} class="arrow" />
      ) : (
        <path d={`M${outer} ${y}H${inner}`} class="dots" />
      )}
      {shown !== undefined && (flowing || Math.abs(towardsBusKw ?? 0) >= 0.005) && (
        <text class={current ? 'v' : 'sv'} x={middle} y={y - Math.max(12, width / 2 + 9)} text-anchor="middle">
          {shown.number}
          <tspan class="u"> {shown.unit}</tspan>
        </text>
      )}
      {shown !== undefined && !current && Math.abs(towardsBusKw ?? 0) >= 0.005 && (
        <path class="stale-line" d={`M${middle - 31} ${y - 8}h36`} />
      )}
      {shown === undefined && (
        <text x={middle} y={y - 12} text-anchor="middle">
          — {t('value.none')}
        </text>
      )}
      {words !== '' && towardsBusKw !== null && (
        <text x={middle} y={y + Math.max(22, width / 2 + 19)} text-anchor="middle">
          {isolated(words)}
        </text>
      )}
      {!current && figure?.time_ms != null && station.id === 'sun' && (
        <text x={middle} y={y + 22} text-anchor="middle">
          {isolated(t('age.asOf', { when: momentText(figure.time_ms, nowMs, zone) }))}
        </text>
      )}
      <circle class="node" cx={x} cy={y} r="22" />
      {station.id === 'battery' ? (
        <g class="g" transform={`translate(${x - 13} ${y - 13}) scale(1.0833)`}>
          <rect x="7" y="5" width="10" height="15" rx="1.8" />
          <path d="M10.3 2.8h3.4" />
          <rect x="8.9" y={18.4 - 11.8 * soc} width="6.2" height={11.8 * soc} rx=".6" class="fill" />
        </g>
      ) : (
        <path class="g" d={iconPath(icons[station.id])} transform={`translate(${x - 13} ${y - 13}) scale(1.0833)`} />
      )}
      <text class="name" x={x} y={y + 38} text-anchor="middle">
        {t(names[station.id])}
      </text>
    </g>
  );
}

export function FlowPicture({ summary, nowMs, connected }: { summary: Summary; nowMs: number; connected: boolean }) {
  const flow = makeFlow(summary, nowMs, connected, peakOf(summary));
  const rows = Math.max(2, flow.left.length);
  const height = firstRow + (rows - 1) * rowHeight + 44;
  const lastY = firstRow + (rows - 1) * rowHeight;
  const [village, battery] = flow.right;
  const zone = summary.zone;
  const loss = flow.lossKw === null ? undefined : quantity('generation_kw', Math.abs(flow.lossKw));
  const lossText =
    loss === undefined
      ? ''
      : isolated(
          t((flow.lossKw ?? 0) < -0.05 ? 'flow.differ' : 'flow.losses', { value: `${loss.number} ${loss.unit}` }),
        );
  // What comes first is where reading begins.
  const mirrored = language.value.rightToLeft === true;
  const [first, second] = mirrored ? (['right', 'left'] as const) : (['left', 'right'] as const);
  const stations = [...flow.left, ...flow.right];
  const valueOf = ({ metric, towardsBusKw }: Station): string => {
    if (towardsBusKw === null) return `— ${t('value.none')}`;
    const { number, unit } = quantity(metric, Math.abs(towardsBusKw));
    return isolated(`${number} ${unit}`);
  };
  const sentence = [
    flow.current ? '' : t('flow.stale'),
    ...stations.map((one) =>
      t('flow.sentence', { station: t(names[one.id]), value: valueOf(one), direction: directionWords(one) }),
    ),
    lossText,
  ]
    .filter((part) => part !== '')
    .join(' ');
  return (
    <figure class="flowbox" aria-label={t('flow.title')}>
      <svg class="flow" viewBox={`0 0 328 ${height}`} role="img" aria-label={sentence}>
        <defs>
          <pattern id="flow-hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <path d="M0 0V7" class="hatch-line" />
          </pattern>
        </defs>
        {!flow.current && (
          <rect x="63" y="2" width="202" height={height - 16} rx="8" fill="url(#flow-hatch)" opacity=".5" />
        )}
        <rect x="160" y="14" width="8" height={lastY + 28 - 14} rx="4" class={flow.current ? 'bus' : 'bus off'} />
        {flow.left.map((station, i) => (
          <StationPicture
            key={station.id}
            station={station}
            side={first}
            y={firstRow + i * rowHeight}
            zone={zone}
            nowMs={nowMs}
          />
        ))}
        {village && <StationPicture station={village} side={second} y={firstRow} zone={zone} nowMs={nowMs} />}
        {battery && <StationPicture station={battery} side={second} y={lastY} zone={zone} nowMs={nowMs} />}
        {lossText !== '' && (
          <text
            x={mirrored ? 178 : 150}
            y={flow.left.length === 1 ? lastY + 4 : firstRow + 58}
            text-anchor={mirrored ? 'start' : 'end'}
          >
            {lossText}
          </text>
        )}
      </svg>
      <table class="flow-table">
        <caption class="sr">{t('flow.title')}</caption>
        <thead class="sr">
          <tr>
            <th>{t('flow.station')}</th>
            <th>{t('flow.flow')}</th>
          </tr>
        </thead>
        <tbody>
          {stations.map((station) => (
            <tr key={station.id}>
              <th scope="row">{t(names[station.id])}</th>
              <td>
                {valueOf(station)} {station.towardsBusKw === null ? '' : directionWords(station)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}
