/** What one operator leaves to the next, and work that is planned: both said to the whole grid, at either server. */
import './duty.css';
import { useEffect, useState } from 'preact/hooks';
import type { HandOverView, MaintenanceList, MaintenanceView } from '@villagrid/contracts';
import { momentText } from '../../i18n/format.js';
import { addTexts, t } from '../../i18n/messages.js';
import { ApiFailure } from '../../origin/api.js';
import { useApp } from '../../ui/context.js';
import { Icon } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Header } from '../../ui/shell.js';
import { dutyTexts } from './texts.js';

addTexts(dutyTexts);

const patienceMs = 10_000;
const workHours = [1, 4, 8, 24] as const;
const asJson = <T,>(response: Response) => response.json() as Promise<T>;

export function Duty({ gridId }: { gridId: string }) {
  const app = useApp();
  const { views, login, nowMs } = app.state;
  useEffect(() => app.follow(gridId), [gridId, app]);
  const view = views.value[gridId];
  const zone = view?.summary.zone ?? 'UTC';
  const mayAct = login.value !== null && login.value.role !== 'viewer';
  const [notes, setNotes] = useState<HandOverView['notes']>();
  const [work, setWork] = useState<MaintenanceList['maintenance']>();
  const [trouble, setTrouble] = useState('');
  const grid = encodeURIComponent(gridId);
  const failed = (error: unknown) =>
    setTrouble(
      error instanceof ApiFailure && error.kind === 'refused'
        ? t('duty.refused', { reason: error.problem?.detail ?? '' })
        : t('duty.offline'),
    );
  useEffect(() => {
    app.api.ask(`/api/handover/${grid}`, patienceMs, asJson<HandOverView>).then((one) => setNotes(one.notes), failed);
    app.api
      .ask(`/api/maintenance/${grid}`, patienceMs, asJson<MaintenanceList>)
      .then((one) => setWork(one.maintenance), failed);
  }, [gridId]);
  const say = async <T,>(path: string, body: object, take: (answer: T) => void): Promise<boolean> => {
    try {
      take(await app.api.ask(path, patienceMs, asJson<T>, { method: 'POST', body }));
      setTrouble('');
      return true;
    } catch (error) {
      failed(error);
      return false;
    }
  };
  const takeWork = (answer: MaintenanceList) => setWork(answer.maintenance);
  return (
    <div class="screen">
      <Header
        title={t('duty.title')}
        gridName={view?.summary.name ?? gridId}
        back={{ href: links.more(gridId), to: t('tab.more') }}
      />
      <main id="content" class="narrow duty">
        {trouble !== '' && (
          <p class="refused" role="status">
            {trouble}
          </p>
        )}
        <section aria-labelledby="note-title">
          <h2 class="h2" id="note-title">
            {t('duty.note')}
          </h2>
          <Notes notes={notes ?? []} nowMs={nowMs.value} zone={zone} />
          {mayAct ? (
            <WriteNote
              write={(note) =>
                say<HandOverView>(`/api/handover/${grid}`, { note, replaces: currentIds(notes ?? []) }, (answer) =>
                  setNotes(answer.notes),
                )
              }
            />
          ) : (
            <p class="note-line">{t('duty.readOnly')}</p>
          )}
        </section>
        <section aria-labelledby="work-title">
          <h2 class="h2" id="work-title">
            {t('duty.work')}
          </h2>
          <p class="more-text sec">{t('duty.work.about')}</p>
          {(work ?? []).length === 0 && <p class="more-text sec">{t('duty.work.none')}</p>}
          <ul class="works">
            {(work ?? []).slice(0, 10).map((one) => (
              <li key={one.maintenance_id} class={one.state}>
                <Work work={one} nowMs={nowMs.value} zone={zone} gridId={gridId} />
                {mayAct && one.state !== 'over' && (
                  <button
                    type="button"
                    class="btn"
                    onClick={() =>
                      void say<MaintenanceList>(
                        `/api/maintenance/${grid}/${encodeURIComponent(one.maintenance_id)}/end`,
                        {},
                        takeWork,
                      )
                    }
                  >
                    {t('duty.work.end')}
                  </button>
                )}
              </li>
            ))}
          </ul>
          {mayAct && (
            <PlanWork
              devices={(view?.devices ?? []).map(({ device_id, name }) => ({ id: device_id, name }))}
              plan={(body) => say<MaintenanceList>(`/api/maintenance/${grid}`, body, takeWork)}
            />
          )}
        </section>
      </main>
    </div>
  );
}

const currentIds = (notes: HandOverView['notes']): string[] =>
  notes.flatMap(({ current, event_id }) => (current ? [event_id] : []));

function Notes({ notes, nowMs, zone }: { notes: HandOverView['notes']; nowMs: number; zone: string }) {
  const current = notes.filter((one) => one.current);
  const earlier = notes.filter((one) => !one.current);
  const by = (one: HandOverView['notes'][number]) =>
    t('duty.note.by', { name: one.actor.name, when: momentText(one.at_ms, nowMs, zone) });
  return (
    <div class="sec">
      {current.length === 0 && <p class="more-text">{t('duty.note.none')}</p>}
      {current.map((one) => (
        <blockquote key={one.event_id}>
          <p>{one.note}</p>
          <footer>{by(one)}</footer>
        </blockquote>
      ))}
      {earlier.length > 0 && (
        <details class="more-figures">
          <summary>{t('duty.note.earlier', { n: earlier.length })}</summary>
          {earlier.map((one) => (
            <blockquote key={one.event_id}>
              <p>{one.note}</p>
              <footer>{by(one)}</footer>
            </blockquote>
          ))}
        </details>
      )}
    </div>
  );
}

function WriteNote({ write }: { write: (note: string) => Promise<boolean> }) {
  const [text, setText] = useState('');
  return (
    <form
      class="sec note-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() !== '') void write(text.trim()).then((taken) => taken && setText(''));
      }}
    >
      <label class="field">
        <span>{t('duty.note.label')}</span>
        <textarea
          class="input"
          rows={3}
          maxLength={4000}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="btn pri" disabled={text.trim() === ''}>
        <Icon name="note" />
        {t('duty.note.write')}
      </button>
    </form>
  );
}

function Work({ work, nowMs, zone, gridId }: { work: MaintenanceView; nowMs: number; zone: string; gridId: string }) {
  const devices = useApp().state.views.value[gridId]?.devices ?? [];
  const on =
    work.device_ids === null
      ? t('duty.work.grid')
      : work.device_ids.map((id) => devices.find(({ device_id }) => device_id === id)?.name ?? id).join(', ');
  const who =
    work.ended_by === null
      ? t('duty.work.by', { name: work.planned_by.name })
      : t('duty.work.endedBy', { name: work.ended_by.name });
  return (
    <div>
      <b>{work.reason}</b>
      <p>
        {t(`duty.work.${work.state}`, {
          from: momentText(work.from_ms, nowMs, zone),
          until: momentText(work.until_ms, nowMs, zone),
        })}
      </p>
      <p>{[on, who].join(' · ')}</p>
    </div>
  );
}

function PlanWork({
  devices,
  plan,
}: {
  devices: readonly { readonly id: string; readonly name: string }[];
  plan: (body: object) => Promise<boolean>;
}) {
  const [reason, setReason] = useState('');
  const [hours, setHours] = useState<number>(4);
  const [on, setOn] = useState('');
  return (
    <form
      class="sec note-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (reason.trim() === '') return;
        const body = {
          reason: reason.trim(),
          duration_s: hours * 3600,
          ...(on === '' ? {} : { device_ids: [on] }),
        };
        void plan(body).then((taken) => taken && setReason(''));
      }}
    >
      <label class="field">
        <span>{t('duty.work.why')}</span>
        <input class="input" maxLength={400} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      <label class="field">
        <span>{t('duty.work.on')}</span>
        <select class="input" value={on} onChange={(event) => setOn(event.currentTarget.value)}>
          <option value="">{t('duty.work.grid')}</option>
          {devices.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <div class="chips" role="group" aria-label={t('duty.work.for')}>
        {workHours.map((one) => (
          <button key={one} type="button" class="chip" aria-pressed={one === hours} onClick={() => setHours(one)}>
            {t('duty.work.hours', { n: one })}
          </button>
        ))}
      </div>
      <button type="submit" class="btn" disabled={reason.trim() === ''}>
        {t('duty.work.start')}
      </button>
    </form>
  );
}
