/** What the alerts of the period asked of people, against what they can bear. */
import { alertLoadTargets, type Report } from '@villagrid/contracts';
import { durationText, numberFormat, sentenceStart } from '../../i18n/format.js';
import { ruleWordsOf } from '../../i18n/alert-words.js';
import { t } from '../../i18n/messages.js';
import { shareText } from './words.js';

const shortly = (value: number) => numberFormat({ maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);

export function AlertLoad({ load }: { load: Report['alert_load'] }) {
  const { by_severity: by } = load;
  const share = (count: number) => shareText(load.alerts === 0 ? 0 : count / load.alerts);
  const rows: [string, string, string][] = [
    [
      t('load.perDay'),
      shortly(load.per_day),
      t('load.perDay.note', { n: alertLoadTargets.perDay, most: load.most_per_day }),
    ],
    [t('load.perNight'), shortly(load.per_night), t('load.perNight.note', { n: alertLoadTargets.perNight })],
    [t('load.peak'), String(load.peak_10_min?.count ?? 0), t('load.peak.note', { n: alertLoadTargets.per10Min })],
    [t('load.standing'), String(load.standing), t('load.standing.note', { n: load.stale })],
  ];
  if (load.alerts > 0)
    rows.push([
      t('load.mix'),
      [share(by.critical), share(by.high), share(by.medium + by.low)].join(' · '),
      t('load.mix.note'),
    ]);
  if (load.median_seen_ms !== null) rows.push([t('load.seen'), durationText(load.median_seen_ms), t('load.seen.note')]);
  if (load.suppressed > 0) rows.push([t('load.quiet'), String(load.suppressed), '']);
  return (
    <section class="groups" aria-labelledby="load-title">
      <h2 class="h2" id="load-title">
        {t('load.title')}
        <span>{t(`load.${load.judgement}`)}</span>
      </h2>
      <dl class="figures">
        {rows.map(([name, value, note]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
            {note !== '' && <dd class="note">{note}</dd>}
          </div>
        ))}
      </dl>
      <Counted title={t('load.worst')} rules={load.worst_rules.slice(0, 3)} />
      <Counted title={t('load.chatter')} rules={load.chattering.slice(0, 3)} />
    </section>
  );
}

function Counted({
  title,
  rules,
}: {
  title: string;
  rules: ReadonlyArray<{
    readonly rule_id: string;
    readonly message: string;
    readonly count: number;
    readonly device_name?: string | null;
  }>;
}) {
  if (rules.length === 0) return null;
  return (
    <details class="more-figures">
      <summary>{title}</summary>
      <dl class="figures">
        {rules.map(({ rule_id, message, count, device_name }) => (
          <div key={`${message} ${device_name ?? ''}`}>
            <dt>
              {[sentenceStart(ruleWordsOf(rule_id)?.message ?? message), device_name].filter(Boolean).join(' · ')}
            </dt>
            <dd>{t('load.count', { n: count })}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
