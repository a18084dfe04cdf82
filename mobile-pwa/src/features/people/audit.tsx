/** Who did what when in a grid: filtered, in pages, and as a file. */
import '../seg.css';
import '../more/more.css';
import './people.css';
import { type Audit, type AuditArea, type AuditEntry, auditAreas } from '@villagrid/contracts';
import { useEffect, useState } from 'preact/hooks';
import { momentText, sentenceStart } from '../../i18n/format.js';
import { addTexts, isMessageKey, t } from '../../i18n/messages.js';
import { useApp } from '../../ui/context.js';
import { Icon } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Header } from '../../ui/shell.js';
import { AnswerState, failureText, useAnswer } from '../answer/answer.js';
import { peopleTexts } from './texts.js';

addTexts(peopleTexts);

const periods = [7, 30, 365] as const;
const pageSize = 50;
const dayMs = 86_400_000;

/** An entry as a sentence; what this app does not know by name is told in the server's word. */
export function entryText({ kind, actor, about }: AuditEntry): string {
  const key = `audit.${kind}`;
  const who = actor.user_id === '' && actor.name === 'command line' ? t('audit.commandLine') : actor.name;
  return sentenceStart(isMessageKey(key) ? t(key, { who, about }) : `${who}: ${kind.replaceAll('_', ' ')}, ${about}`);
}

export function AuditScreen({ gridId }: { gridId: string }) {
  const app = useApp();
  const { views, nowMs } = app.state;
  useEffect(() => app.follow(gridId), [gridId, app]);
  const [days, setDays] = useState<number>(30);
  const [area, setArea] = useState<AuditArea>();
  const [search, setSearch] = useState('');
  const [asked, setAsked] = useState('');
  const [shown, setShown] = useState(pageSize);
  const [trouble, setTrouble] = useState('');
  // A whole minute, so that the address does not change at every drawing.
  const fromMs = Math.floor(nowMs.peek() / 60_000) * 60_000 - days * dayMs;
  const [since, setSince] = useState(fromMs);
  useEffect(() => {
    const waiting = app.clock.after(300, () => setAsked(search.trim()));
    return () => waiting.cancel();
  }, [search, app]);
  const query = new URLSearchParams({ from: String(since) });
  if (area !== undefined) query.set('area', area);
  if (asked !== '') query.set('search', asked);
  const path = `/api/audit/${encodeURIComponent(gridId)}?${query}`;
  const audit = useAnswer<Audit>(path);
  useEffect(() => setShown(pageSize), [path]);
  const view = views.value[gridId];
  const zone = view?.summary.zone ?? 'UTC';
  const entries = audit.answer?.entries ?? [];
  const save = async () => {
    try {
      const file = await app.api.ask(`${path}&format=csv`, 60_000, (response) => response.blob());
      const link = document.createElement('a');
      link.href = URL.createObjectURL(file);
      link.download = `villagrid_audit_${gridId}.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
      setTrouble('');
    } catch (error) {
      setTrouble(failureText(error));
    }
  };
  return (
    <div class="screen">
      <Header
        title={t('audit.title')}
        gridName={view?.summary.name ?? gridId}
        back={{ href: links.more(gridId), to: t('tab.more') }}
      />
      <main id="content">
        <div class="audit-bar">
          <div class="seg" role="group" aria-label={t('audit.period')}>
            {periods.map((one) => (
              <button
                key={one}
                type="button"
                aria-pressed={one === days}
                onClick={() => {
                  setDays(one);
                  setSince(Math.floor(nowMs.peek() / 60_000) * 60_000 - one * dayMs);
                }}
              >
                {t(`audit.period.${one}`)}
              </button>
            ))}
          </div>
          <div class="audit-find">
            <label class="field">
              <span class="sr">{t('audit.area')}</span>
              <select
                class="input"
                value={area ?? ''}
                onChange={(event) =>
                  setArea(event.currentTarget.value === '' ? undefined : (event.currentTarget.value as AuditArea))
                }
              >
                <option value="">{t('audit.area.all')}</option>
                {auditAreas.map((one) => (
                  <option key={one} value={one}>
                    {t(`audit.area.${one}`)}
                  </option>
                ))}
              </select>
            </label>
            <label class="field">
              <span class="sr">{t('audit.search')}</span>
              <input
                class="input"
                type="search"
                placeholder={t('audit.search')}
                value={search}
                maxLength={100}
                onInput={(event) => setSearch(event.currentTarget.value)}
              />
            </label>
          </div>
        </div>
        <AnswerState of={audit} />
        {audit.answer !== undefined && audit.trouble === '' && (
          <section aria-labelledby="audit-count">
            <h2 class="h2" id="audit-count" aria-live="polite">
              {entries.length === 0 ? t('audit.none') : t('audit.count', { n: entries.length })}
            </h2>
            <ul class="audit-list">
              {entries.slice(0, shown).map((one) => (
                <li key={one.id}>
                  <span class="d nw">{momentText(one.at_ms, nowMs.value, zone)}</span>
                  <span>
                    {one.alert_id === null ? (
                      entryText(one)
                    ) : (
                      <a href={links.alert(gridId, one.alert_id)} class="audit-link">
                        {entryText(one)}
                      </a>
                    )}
                  </span>
                  {one.detail !== null && <span class="d said">{one.detail}</span>}
                </li>
              ))}
            </ul>
            <div class="people-foot">
              {entries.length > shown && (
                <button type="button" class="btn" onClick={() => setShown(shown + pageSize)}>
                  {t('audit.showMore', { n: Math.min(pageSize, entries.length - shown) })}
                </button>
              )}
              {audit.answer.more && <p class="more-text">{t('audit.more')}</p>}
              {entries.length > 0 && (
                <button type="button" class="btn quiet" onClick={() => void save()}>
                  <Icon name="table" />
                  {t('audit.csv')}
                </button>
              )}
              {trouble !== '' && (
                <p class="refused" role="alert">
                  {trouble}
                </p>
              )}
            </div>
          </section>
        )}
      </main>
    </div>
  );
}
