/** What a rule would have done: how often, at night, how long, day by day, and when. */
import { useEffect, useRef } from 'preact/hooks';
import type { RuleTestResult } from '@villagrid/contracts';
import { dayClockText, dayText, durationText, quantityText } from '../../i18n/format.js';
import { t } from '../../i18n/messages.js';
import { Icon } from '../../ui/icons.js';

type Counts = Omit<NonNullable<RuleTestResult['live']>, 'both' | 'only_live' | 'only_test' | 'whole'>;
/** Occurrences that are listed. */
const mostListed = 8;
/** Share of the stretch from which on it counts as measured. */
const measuredWell = 0.95;

function Row({
  name,
  counts,
  most,
  zone,
  kind,
}: {
  name: string;
  counts: Counts;
  most: number;
  zone: string;
  kind: string;
}) {
  const { count, at_night: night, longest_ms: longest, days } = counts;
  const first = days[0]?.start_ms ?? 0;
  const last = days.at(-1)?.start_ms ?? 0;
  const words = t('rules.perDay', {
    name,
    from: dayText(first, zone),
    to: dayText(last, zone),
    n: Math.max(0, ...days.map((one) => one.count)),
  });
  return (
    <div class={`tried ${kind}`}>
      <div class="tried-head">
        <span class="tried-name">{name}</span>
        <strong>{count === 0 ? t('rules.never') : t('rules.times', { n: count })}</strong>
      </div>
      <div class="day-bars" role="img" aria-label={words}>
        {days.map((one) => (
          <i key={one.start_ms}>
            <b style={{ blockSize: `${one.count === 0 ? 0 : Math.max(8, (one.count / most) * 100)}%` }} />
          </i>
        ))}
      </div>
      {(count > 0 || counts.standing_at_start > 0) && (
        <p class="d">
          {[
            night > 0 && t('rules.night', { n: night }),
            longest > 0 && t('rules.longest', { duration: durationText(longest) }),
            counts.standing_at_start > 0 && t('rules.stood'),
            counts.open_at_end > 0 && t('rules.open'),
          ]
            .filter(Boolean)
            .join(' · ')}
        </p>
      )}
    </div>
  );
}

export function TestResult({
  result,
  names,
  nameOf,
}: {
  result: RuleTestResult;
  /** Names of the variants, in their order. */
  names: readonly string[];
  nameOf: (deviceId: string) => string;
}) {
  const box = useRef<HTMLDivElement>(null);
  // On a phone the answer comes below what can be seen: nobody would know that it is there.
  useEffect(() => box.current?.scrollIntoView({ block: 'nearest' }), [result]);
  const { variants, live, zone, from_ms: fromMs, to_ms: toMs } = result;
  const all: readonly Counts[] = live === null ? variants : [...variants, live];
  const most = Math.max(1, ...all.flatMap(({ days }) => days.map((one) => one.count)));
  const shown = variants.at(-1);
  const occurrences = [...(shown?.occurrences ?? [])].reverse();
  const rest = (shown?.count ?? 0) + (shown?.standing_at_start ?? 0) - Math.min(occurrences.length, mostListed);
  const coarse = result.granularities.filter((one) => one.granularity !== 'raw').at(-1);
  return (
    <div class="rule-result" ref={box} aria-live="polite">
      {variants.map((one, at) => (
        <Row
          key={one.name}
          name={names[at] ?? one.name}
          counts={one}
          most={most}
          zone={zone}
          kind={at === 0 ? 'as-is' : 'changed'}
        />
      ))}
      {live !== null && <Row name={t('rules.live')} counts={live} most={most} zone={zone} kind="live" />}
      <div class="day-ends d" aria-hidden="true">
        <span>{dayText(fromMs, zone)}</span>
        <span>{dayText(toMs, zone)}</span>
      </div>
      {result.measured_share < measuredWell && (
        <p>
          {result.measured_from_ms === null
            ? t('rules.measuredNothing')
            : t('rules.measured', { measured: durationText(result.measured_ms), span: durationText(toMs - fromMs) })}
        </p>
      )}
      {coarse !== undefined && <p class="d">{t('rules.coarse', { when: dayText(coarse.to_ms, zone) })}</p>}
      {occurrences.length > 0 && (
        <>
          <h3 class="d">{`${t('rules.when')} (${names[variants.length - 1] ?? ''})`}</h3>
          <ul class="occurrences">
            {occurrences.slice(0, mostListed).map((one) => (
              <li key={`${one.raised_at_ms} ${one.device_id ?? ''} ${one.metric ?? ''}`}>
                <span>
                  {one.at_night && <Icon name="moon" />}
                  {dayClockText(one.raised_at_ms, zone)}
                </span>
                <span class="d">
                  {[
                    one.device_id === null ? null : nameOf(one.device_id),
                    one.metric !== null && one.value !== null && quantityText(one.metric, one.value),
                    one.cleared_at_ms === null ? t('rules.open') : durationText(one.cleared_at_ms - one.raised_at_ms),
                  ]
                    .filter(Boolean)
                    .join(' · ')}
                </span>
              </li>
            ))}
          </ul>
          {rest > 0 && <p class="d">{t('rules.more', { n: rest })}</p>}
        </>
      )}
    </div>
  );
}
