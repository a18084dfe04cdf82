/** Is everything there? What of the gateway's log is proven, missing, given up, refused and why; and what is kept. */
import '../more/more.css';
import './completeness.css';
import type { Completeness, DayProof, LogProof } from '@villagrid/contracts';
import { useEffect } from 'preact/hooks';
import { dateText, dayText, metricLabel, momentText, numberFormat } from '../../i18n/format.js';
import { addTexts, t } from '../../i18n/messages.js';
import { useApp } from '../../ui/context.js';
import { Icon } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Header } from '../../ui/shell.js';
import { AnswerState, useAnswer } from '../answer/answer.js';
import { completenessTexts } from './texts.js';

addTexts(completenessTexts);

const whole = (value: number): string => numberFormat({ maximumFractionDigits: 0, useGrouping: true }).format(value);

/** What can be said in one sentence; the worst that holds. */
export function proofVerdict({ side, logs = [] }: Pick<Completeness, 'side' | 'logs'>): string {
  if (side === 'gateway') return t('complete.gateway');
  if (logs.length === 0) return t('complete.nothing');
  const missing = logs.reduce((sum, one) => sum + one.missing_count, 0);
  if (missing > 0) return t('complete.missing', { n: missing });
  return t(logs.some((one) => one.given_up_count > 0 || one.refused_count > 0) ? 'complete.lost' : 'complete.all');
}

export function CompletenessScreen({ gridId }: { gridId: string }) {
  const app = useApp();
  const { views, nowMs } = app.state;
  useEffect(() => app.follow(gridId), [gridId, app]);
  const proof = useAnswer<Completeness>(`/api/completeness/${encodeURIComponent(gridId)}`);
  const view = views.value[gridId];
  const zone = view?.summary.zone ?? 'UTC';
  const { answer } = proof;
  const names = new Map((view?.devices ?? []).map(({ device_id, name }) => [device_id, name]));
  return (
    <div class="screen">
      <Header
        title={t('complete.title')}
        gridName={view?.summary.name ?? gridId}
        back={{ href: links.more(gridId), to: t('tab.more') }}
      />
      <main id="content" class="narrow">
        <AnswerState of={proof} />
        {answer !== undefined && (
          <>
            <section class="verdict">
              <h2>{proofVerdict(answer)}</h2>
              <small>
                {t('complete.series', {
                  n: answer.series.length,
                  samples: whole(answer.series.reduce((sum, { count }) => sum + count, 0)),
                  when: momentText(answer.until_ms, nowMs.value, zone),
                })}
              </small>
            </section>
            {answer.side === 'gateway' && <p class="note-line">{t('complete.at.gateway')}</p>}
            {(answer.days ?? []).length > 0 && (
              <section aria-labelledby="proof-days">
                <h2 class="h2" id="proof-days">
                  {t('complete.days')}
                </h2>
                <ul class="proof-days">
                  {[...(answer.days ?? [])].reverse().map((day) => (
                    <Day key={day.day} day={day} zone={zone} names={names} />
                  ))}
                </ul>
              </section>
            )}
            {(answer.logs ?? []).length > 0 && (
              <section aria-labelledby="proof-log">
                <h2 class="h2" id="proof-log">
                  {t('complete.log')}
                </h2>
                {[...(answer.logs ?? [])].reverse().map((log) => (
                  <Log key={log.epoch} log={log} />
                ))}
              </section>
            )}
            <section aria-labelledby="kept">
              <h2 class="h2" id="kept">
                {t('complete.kept')}
              </h2>
              <div class="sec">
                {answer.kept === undefined ? (
                  <p class="more-text">{t('complete.keptAll')}</p>
                ) : (
                  <>
                    <dl class="facts">
                      {answer.kept.map(({ granularity, since_ms }) => (
                        <div key={granularity}>
                          <dt>{t(`complete.kept.${granularity}`)}</dt>
                          <dd>
                            {since_ms === null
                              ? t('complete.ever')
                              : t('complete.since', { when: dateText(since_ms, zone) })}
                          </dd>
                        </div>
                      ))}
                    </dl>
                    <p class="more-text">{t('complete.keptAbout')}</p>
                  </>
                )}
              </div>
            </section>
          </>
        )}
      </main>
    </div>
  );
}

function Day({ day, zone, names }: { day: DayProof; zone: string; names: ReadonlyMap<string, string> }) {
  const { state, manifest } = day;
  const proven = state === 'proven';
  const told =
    state === 'missing' || state === 'given_up' || state === 'refused'
      ? (['missing', 'given_up', 'refused'] as const).filter((one) => day[one] > 0)
      : [];
  return (
    <li>
      <span class="nw">{dayText((day.from_ms + day.to_ms) / 2, zone)}</span>
      <span class={`what ${proven || told.length === 0 ? '' : 'worse'}`}>
        {proven ? <Icon name="check" /> : told.length > 0 ? <Icon name="warning" /> : <Icon name="clock" />}
        <span>
          {told.length === 0
            ? t(`complete.day.${state}`, { n: 0 })
            : told.map((one) => t(`complete.day.${one}`, { n: day[one] })).join('. ')}
        </span>
      </span>
      {day.frames > 0 && <span class="d">{t('complete.frames', { n: day.frames })}</span>}
      {manifest !== undefined && (
        <span class="d">
          {manifest.state === 'equal'
            ? t('complete.manifest.equal', { n: whole(manifest.samples) })
            : t(`complete.manifest.${manifest.state}`, { n: manifest.differing_count })}
        </span>
      )}
      {(manifest?.differing ?? []).map((one) => (
        <span class="d" key={`${one.device_id} ${one.metric}`}>
          {t('complete.differs', {
            device: names.get(one.device_id) ?? one.device_id,
            metric: metricLabel(one.metric),
            told: whole(one.told),
            here: whole(one.here),
          })}
        </span>
      ))}
    </li>
  );
}

/** "1 to 4, 9" */
const rangesText = (ranges: LogProof['missing']): string =>
  ranges.map(([from, to]) => (from === to ? String(from) : `${from}–${to}`)).join(', ');

function Log({ log }: { log: LogProof }) {
  const counts = [
    ['missing', 'complete.missingCount', log.missing_count, rangesText(log.missing)],
    ['given_up', 'complete.givenUpCount', log.given_up_count, rangesText(log.given_up)],
    ['refused', 'complete.refusedCount', log.refused_count, ''],
  ] as const;
  return (
    <div class="sec proof-log">
      <h3>
        <bdi>{t('complete.logOf', { epoch: log.epoch })}</bdi>
      </h3>
      <p class="more-text">
        {t('complete.explained', { n: whole(log.explained_up_to), newest: whole(log.newest_number) })}
      </p>
      <dl class="facts">
        {counts.map(([key, label, count, numbers]) => (
          <div key={key}>
            <dt>{t(label)}</dt>
            <dd>
              {whole(count)}
              {count > 0 && numbers !== '' && <small> {t('complete.numbers', { list: numbers })}</small>}
            </dd>
          </div>
        ))}
      </dl>
      {log.refused.length > 0 && (
        <details>
          <summary>{t('complete.refusedWhy')}</summary>
          <ul>
            {log.refused.slice(0, 50).map(({ number, stage, reason }) => (
              <li key={number}>{t('complete.number', { n: number, stage: t(`complete.stage.${stage}`), reason })}</li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}
