/** What people do with an alert beside seeing it: pause it, give it to somebody; and what it belongs to. */

import type { AlertView, Assignees } from '@villagrid/contracts';
import { useEffect, useState } from 'preact/hooks';
import { momentText, sentenceStart } from '../../i18n/format.js';
import { wordsOf } from '../../i18n/alert-words.js';
import { t } from '../../i18n/messages.js';
import { paused } from '../../live/apply.js';
import type { ShownAlert } from '../../local/acts.js';
import { useApp } from '../../ui/context.js';
import { Icon, Severity } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Dialog } from '../dialog/dialog.js';
import { givenTo, knownPeople } from './people.js';

/** Why it is paused, given to, last known since: one line each. */
export function StandingLines({ alert, nowMs, zone }: { alert: ShownAlert; nowMs: number; zone: string }) {
  const silentSince = alert.last_known_since_ms ?? null;
  return (
    <>
      {silentSince !== null && (
        <p class="standing">
          <Icon name="unreachable" />
          <span>{t('alert.lastKnown', { when: momentText(silentSince, nowMs, zone) })}</span>
        </p>
      )}
      {alert.assignee !== null && (
        <p class="standing">
          <Icon name="person" />
          <span>{t('alert.given', { name: alert.assignee.name })}</span>
        </p>
      )}
      {paused(alert, nowMs) && (alert.shelved_reason ?? '') !== '' && (
        <p class="standing">
          <Icon name="clock" />
          <span>{t('alert.paused', { reason: alert.shelved_reason ?? '' })}</span>
        </p>
      )}
    </>
  );
}

/** The alert above it, and those under it. */
export function AlertFamily({ alert, all }: { alert: ShownAlert; all: readonly AlertView[] }) {
  const because = alert.suppressed_because ?? null;
  const parent = all.find(({ alert_id }) => alert_id === alert.suppressed_by);
  const children = all.filter(({ status, suppressed_by }) => status === 'active' && suppressed_by === alert.alert_id);
  return (
    <>
      {because !== null && (
        <section class="family">
          <p>{t(`alert.under.${because}`)}</p>
          {parent !== undefined && <FamilyLink alert={parent} />}
          <p>{t('alert.under.gone')}</p>
        </section>
      )}
      {children.length > 0 && (
        <section class="family" aria-label={t('alert.children', { n: children.length })}>
          <p>{t('alert.children', { n: children.length })}</p>
          {children.map((child) => (
            <FamilyLink key={child.alert_id} alert={child} />
          ))}
        </section>
      )}
    </>
  );
}

function FamilyLink({ alert }: { alert: AlertView }) {
  return (
    <a class="row" href={links.alert(alert.grid_id, alert.alert_id)}>
      <Severity severity={alert.severity} blink={false} label={false} />
      <span class="main">
        <span class="t plain">{sentenceStart(wordsOf(alert).message)}</span>
        {alert.device_name !== null && <span class="d">{alert.device_name}</span>}
      </span>
      <Icon name="next" flip class="chev" />
    </a>
  );
}

interface ActDialog {
  readonly alert: ShownAlert;
  readonly open: boolean;
  readonly onClose: () => void;
}

const pauseHours = [1, 4, 12, 24] as const;
const reasons = ['alert.pause.reason1', 'alert.pause.reason2', 'alert.pause.reason3'] as const;

/** For how long, and why. Never longer than a day. */
export function PauseDialog({ alert, open, onClose }: ActDialog) {
  const app = useApp();
  const [hours, setHours] = useState<number>(4);
  const [reason, setReason] = useState('');
  return (
    <Dialog open={open} title={t('alert.pause.title')} onClose={onClose}>
      <form
        class="note-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (reason.trim() === '') return;
          void app.act({ alert, type: 'shelve', note: reason.trim(), durationS: hours * 3600 });
          onClose();
        }}
      >
        <p class="note-about">{t('alert.pause.about')}</p>
        <div class="chips" role="group" aria-label={t('alert.pause.for')}>
          {pauseHours.map((one) => (
            <button key={one} type="button" class="chip" aria-pressed={one === hours} onClick={() => setHours(one)}>
              {t('alert.pause.hours', { n: one })}
            </button>
          ))}
        </div>
        <label class="field">
          <span>{t('alert.pause.why')}</span>
          <input
            class="input"
            maxLength={400}
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </label>
        <div class="chips" role="group" aria-label={t('alert.note.quick')}>
          {reasons.map((key) => (
            <button key={key} type="button" class="chip" onClick={() => setReason(t(key))}>
              {t(key)}
            </button>
          ))}
        </div>
        <div class="note-buttons">
          <button type="submit" class="btn pri" disabled={reason.trim() === ''}>
            <Icon name="clock" />
            {t('alert.pause.do')}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Who takes care of it. */
export function GiveDialog({ alert, open, onClose }: ActDialog) {
  const app = useApp();
  const [name, setName] = useState('');
  const { views, login } = app.state;
  const [assignees, setAssignees] = useState<readonly string[]>();
  useEffect(() => {
    if (!open) return;
    // Without an answer those are offered who have had to do with alerts here.
    app.api
      .ask(
        `/api/people/${encodeURIComponent(alert.grid_id)}`,
        8000,
        (response) => response.json() as Promise<Assignees>,
      )
      .then(
        ({ people }) => setAssignees(people.map((one) => one.name)),
        () => undefined,
      );
  }, [open, alert.grid_id, app]);
  const own = login.value?.displayName;
  const known = knownPeople(views.value[alert.grid_id]?.alerts ?? [alert], own);
  const people = givenTo(known, assignees, own);
  const give = (assignee: string | null) => {
    const replaces = alert.timeline.filter(({ kind }) => kind === 'assigned').map(({ event_id }) => event_id);
    void app.act({ alert, type: 'assign', note: null, assignee, replaces });
    onClose();
  };
  return (
    <Dialog open={open} title={t('alert.give.title')} onClose={onClose}>
      <form
        class="note-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim() !== '') give(name.trim());
        }}
      >
        <div class="note-buttons">
          <button type="button" class="btn pri" onClick={() => give('me')}>
            <Icon name="person" />
            {t('alert.give.me')}
          </button>
          {alert.assignee !== null && (
            <button type="button" class="btn" onClick={() => give(null)}>
              {t('alert.give.back')}
            </button>
          )}
        </div>
        {people.length > 0 && (
          <div class="chips" role="group" aria-label={t('alert.give.known')}>
            {people.map((one) => (
              <button key={one} type="button" class="chip" aria-pressed={one === name} onClick={() => setName(one)}>
                {one}
              </button>
            ))}
          </div>
        )}
        <label class="field">
          <span>{t('alert.give.name')}</span>
          <input class="input" maxLength={200} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <div class="note-buttons">
          <button type="submit" class="btn" disabled={name.trim() === ''}>
            {t('alert.give.do')}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
