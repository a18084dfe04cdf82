/** The other figures as tiles: label, value and unit, age if not live, 24 h curve with its normal band. */
import type { AlertView, FigureView, Summary } from '@villagrid/contracts';
import { parseMetricId } from '@villagrid/contracts';
import type { DayHistory } from '../../chart/day.js';
import { Sparkline } from '../../chart/sparkline.js';
import { componentName, quantityText } from '../../i18n/format.js';
import { t } from '../../i18n/messages.js';
import { Severity } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { ageText, figureFreshness, LiveAge, Value } from '../../ui/value.js';

interface TileProps {
  readonly summary: Summary;
  readonly label: string;
  readonly metric: string;
  readonly detail?: string;
  readonly day: DayHistory | undefined;
  readonly nowMs: number;
  readonly heard: boolean;
  readonly alert: AlertView | undefined;
}

function Tile({ summary, label, metric, detail, day, nowMs, heard, alert }: TileProps) {
  const figure = summary.figures[metric];
  const age = ageText(figure, nowMs, summary.zone, heard);
  const band = summary.limits[metric] ?? summary.limits[parseMetricId(metric).base];
  const value = figure?.value ?? null;
  const beyond =
    value !== null &&
    band !== undefined &&
    ((band.high !== undefined && value > band.high) || (band.low !== undefined && value < band.low));
  const limit =
    band === undefined || value === null
      ? undefined
      : band.high !== undefined && value > band.high
        ? band.high
        : beyond
          ? band.low
          : band.high;
  const limitText = limit === undefined ? '' : quantityText(metric, limit, figure?.unit);
  const below =
    age !== ''
      ? age
      : beyond && alert !== undefined
        ? t('tile.limitHigh', { severity: t(`severity.${alert.severity}`), value: limitText })
        : beyond
          ? t('tile.limit', { value: limitText })
          : (detail ?? '');
  return (
    <a class="tile" href={links.history(summary.grid_id, [metric])}>
      <span class="l">{label}</span>
      <span class="vr">
        <Value metric={metric} figure={figure} nowMs={nowMs} heard={heard} />
        {beyond && alert !== undefined && <Severity severity={alert.severity} small />}
        <LiveAge figure={figure} nowMs={nowMs} heard={heard} />
      </span>
      <span class="n">{below}</span>
      <Sparkline day={day} metric={metric} band={band} stale={figureFreshness(figure, nowMs, heard) === 'stale'} />
    </a>
  );
}

function GridTie({ summary, nowMs, heard }: { summary: Summary; nowMs: number; heard: boolean }) {
  const connected = summary.figures.grid_tie_connected;
  const enabled = summary.figures.grid_tie_enabled;
  const state = figureFreshness(connected, nowMs, heard);
  const age = ageText(connected, nowMs, summary.zone, heard);
  return (
    <a class="tile" href={links.history(summary.grid_id, ['grid_tie_connected'])}>
      <span class="l">
        {t('tile.grid_tie')} <LiveAge figure={connected} nowMs={nowMs} heard={heard} />
      </span>
      {connected === undefined || connected.value === null ? (
        <Value metric="grid_tie_connected" figure={connected} nowMs={nowMs} />
      ) : (
        <span class={`val word ${state === 'stale' ? 'stale' : ''}`} data-figure="grid_tie_connected">
          {quantityText('grid_tie_connected', connected.value)}
        </span>
      )}
      <span class="n">
        {age !== ''
          ? age
          : enabled?.value != null
            ? quantityText('grid_tie_enabled', enabled.value)
            : summary.plant.has_mains
              ? ''
              : t('tile.noMains')}
      </span>
    </a>
  );
}

/** The hottest piece of equipment with a value that is not stale; any with a value otherwise. */
export function hottest(figures: Readonly<Record<string, FigureView>>, nowMs: number): string | undefined {
  const temperatures = Object.entries(figures).filter(
    ([metric, figure]) => parseMetricId(metric).base === 'equipment_temp_c' && figure.value !== null,
  );
  const fresh = temperatures.filter(([, figure]) => figureFreshness(figure, nowMs) !== 'stale');
  const list = fresh.length > 0 ? fresh : temperatures;
  return list.sort(([, a], [, b]) => (b.value ?? 0) - (a.value ?? 0))[0]?.[0];
}

export function Tiles({
  summary,
  day,
  nowMs,
  heard,
  alerts,
}: {
  summary: Summary;
  day: DayHistory | undefined;
  nowMs: number;
  heard: boolean;
  alerts: readonly AlertView[];
}) {
  const { figures } = summary;
  const alertOf = (metric: string) => {
    const sources = figures[metric]?.sources ?? [];
    return alerts.find(
      (alert) =>
        alert.metric !== null &&
        (alert.metric === metric || parseMetricId(alert.metric).base === parseMetricId(metric).base) &&
        (alert.device_id === null ||
          sources.length === 0 ||
          sources.some(({ device_id }) => device_id === alert.device_id)),
    );
  };
  const common = { summary, day, nowMs, heard };
  const hot = hottest(figures, nowMs);
  const current = figures.dc_bus_current_a;
  const amps =
    current?.value == null
      ? ''
      : `${quantityText('dc_bus_current_a', Math.abs(current.value))} ${t(Math.abs(current.value) < 0.05 ? 'figure.idle' : current.value > 0 ? 'figure.charging' : 'figure.discharging')}`;
  const frequency = figures.ac_frequency_hz;
  const hertz = frequency?.value == null ? '' : quantityText('ac_frequency_hz', frequency.value);
  return (
    <section class="tiles-block" aria-labelledby="tiles-title">
      <h2 class="h2" id="tiles-title">
        {t('tiles.title')}
        <span>{t('tiles.band')}</span>
      </h2>
      <div class="tiles">
        <Tile
          {...common}
          metric="dc_bus_voltage_v"
          label={t('tile.dc_bus')}
          detail={amps}
          alert={alertOf('dc_bus_voltage_v')}
        />
        <Tile
          {...common}
          metric="ac_output_voltage_v"
          label={t('tile.ac_output')}
          detail={hertz}
          alert={alertOf('ac_output_voltage_v')}
        />
        <GridTie summary={summary} nowMs={nowMs} heard={heard} />
        <Tile
          {...common}
          metric={hot ?? 'equipment_temp_c'}
          label={
            hot === undefined || parseMetricId(hot).suffix === undefined
              ? t('tile.equipment')
              : t('tile.hottest', { what: componentName(parseMetricId(hot).suffix ?? '') })
          }
          detail={hotLimit(summary, hot)}
          alert={alertOf(hot ?? 'equipment_temp_c')}
        />
        <Tile {...common} metric="irradiance_w_m2" label={t('tile.irradiance')} alert={undefined} />
        <Tile {...common} metric="ambient_temp_c" label={t('tile.ambient')} alert={undefined} />
        <Tile {...common} metric="humidity_pct" label={t('tile.humidity')} alert={undefined} />
        {figures.fuel_level_pct !== undefined && (
          <Tile {...common} metric="fuel_level_pct" label={t('tile.fuel')} alert={alertOf('fuel_level_pct')} />
        )}
      </div>
    </section>
  );
}

function hotLimit(summary: Summary, metric: string | undefined): string {
  const high = metric === undefined ? undefined : (summary.limits[metric] ?? summary.limits.equipment_temp_c)?.high;
  return high === undefined ? '' : t('tile.limit', { value: quantityText('equipment_temp_c', high) });
}
