/** Who may log in at this server and what each may do: for administrators. Secrets are shown once, when they are made. */
import '../more/more.css';
import './people.css';
import {
  type AccountList,
  type AccountView,
  type AccountWithWord,
  administers,
  type GridState,
  type Role,
  roles,
} from '@villagrid/contracts';
import { useEffect, useState } from 'preact/hooks';
import { addTexts, t } from '../../i18n/messages.js';
import { useApp } from '../../ui/context.js';
import { Icon } from '../../ui/icons.js';
import { links } from '../../ui/routes.js';
import { Dialog } from '../dialog/dialog.js';
import { Header, tabGridId } from '../../ui/shell.js';
import { AnswerState, asJson, failureText, useAnswer } from '../answer/answer.js';
import { moreTexts } from '../more/texts.js';
import { peopleTexts } from './texts.js';

addTexts(peopleTexts);
addTexts(moreTexts);

type Grant = AccountView['grants'][number];

const patienceMs = 20_000;

/** Where a role holds, in words. */
export function whereText(scope: Grant['scope'], grids: readonly GridState[]): string {
  if (scope.kind === 'everything') return t('people.everywhere');
  if (scope.kind === 'organisation') return t('people.organisation', { name: scope.organisation_id });
  return grids.find(({ grid_id }) => grid_id === scope.grid_id)?.name ?? scope.grid_id;
}

const grantText = ({ role, scope }: Grant, grids: readonly GridState[]): string =>
  t('people.roleOn', { role: t(`role.${role}`), where: whereText(scope, grids) });

export function People() {
  const app = useApp();
  const { grids, discovery, lastServer } = app.state;
  const gridId = tabGridId(app);
  const users = useAnswer<AccountList>('/api/users');
  const [word, setWord] = useState<AccountWithWord>();
  const [adding, setAdding] = useState(false);
  useEffect(() => {
    if (grids.value.length === 0) void app.refreshGrids();
  }, [app]);
  const list = users.answer?.users ?? [];
  const self = list.find((one) => one.self);
  const put = (user: AccountView) => {
    const others = list.filter(({ user_id }) => user_id !== user.user_id);
    users.set({ now_ms: users.answer?.now_ms ?? 0, users: [...others, user] });
  };
  const given = (answer: AccountWithWord) => {
    put(answer.user);
    setWord(answer);
    window.scrollTo(0, 0);
  };
  const kind = discovery.value?.kind ?? lastServer.value.kind ?? 'gateway';
  const shown = [...list].sort(
    (a, b) => Number(a.disabled) - Number(b.disabled) || a.display_name.localeCompare(b.display_name),
  );
  return (
    <div class="screen">
      <Header title={t('people.title')} back={{ href: links.more(gridId), to: t('tab.more') }} />
      <main id="content" class="narrow">
        {word !== undefined && <WordBox word={word} done={() => setWord(undefined)} />}
        <p class="note-line">{t('people.about', { server: t(`source.${kind}`) })}</p>
        <AnswerState of={users} />
        {list.length > 0 && (
          <section aria-labelledby="people-title">
            <h2 class="h2" id="people-title">
              {t('people.count', { n: list.length })}
            </h2>
            <div class="rows">
              {shown.map((user) => (
                <Person key={user.user_id} user={user} self={self} put={put} given={given} />
              ))}
            </div>
            <div class="people-foot">
              <button type="button" class="btn pri" onClick={() => setAdding(true)}>
                <Icon name="plus" />
                {t('people.add')}
              </button>
            </div>
          </section>
        )}
        {gridId !== null && (
          <div class="rows">
            <a class="row" href={links.further('audit', gridId)}>
              <Icon name="table" />
              <span class="main">
                <span class="t plain">{t('people.audit')}</span>
                <span class="d">
                  {t('people.auditOpen', { grid: grids.value.find((one) => one.grid_id === gridId)?.name ?? gridId })}
                </span>
              </span>
              <Icon name="next" flip class="chev" />
            </a>
          </div>
        )}
        {self !== undefined && (
          <AddPerson
            open={adding}
            self={self}
            onClose={() => setAdding(false)}
            given={(answer) => {
              setAdding(false);
              given(answer);
            }}
          />
        )}
      </main>
    </div>
  );
}

/** The word that was just made. It is in no store of the phone and gone when the screen is left. */
function WordBox({ word, done }: { word: AccountWithWord; done: () => void }) {
  const { user } = word;
  return (
    <section class="word-box" aria-labelledby="word-title" role="status">
      <h2 id="word-title">{t('people.wordFor', { name: user.display_name })}</h2>
      <bdi class="word">{word.one_time_word}</bdi>
      <p>{t('people.wordUse', { username: user.username, days: Math.round(word.word_life_s / 86_400) })}</p>
      <p class="more-text">{t('people.wordOnce')}</p>
      <button type="button" class="btn" onClick={done}>
        {t('people.wordDone')}
      </button>
    </section>
  );
}

interface PersonProps {
  readonly user: AccountView;
  readonly self: AccountView | undefined;
  readonly put: (user: AccountView) => void;
  readonly given: (answer: AccountWithWord) => void;
}

function Person({ user, self, put, given }: PersonProps) {
  const { api, state } = useApp();
  const grids = state.grids.value;
  const [asking, setAsking] = useState<'word' | 'disable' | 'grants'>();
  const [trouble, setTrouble] = useState('');
  const name = user.display_name;
  const path = `/api/users/${encodeURIComponent(user.user_id)}`;
  const change = async (body: object) => {
    try {
      put(await api.ask(path, patienceMs, asJson<AccountView>, { method: 'PUT', body }));
      setTrouble('');
      setAsking(undefined);
    } catch (error) {
      setTrouble(failureText(error));
    }
  };
  const giveWord = async () => {
    try {
      given(await api.ask(`${path}/one-time-word`, patienceMs, asJson<AccountWithWord>, { method: 'POST', body: {} }));
      setTrouble('');
      setAsking(undefined);
    } catch (error) {
      setTrouble(failureText(error));
    }
  };
  const states = [
    user.self ? t('people.you') : '',
    user.disabled ? t('people.off') : user.password_due ? t('people.due') : '',
  ].filter(Boolean);
  return (
    <details class="person">
      <summary class="row">
        <Icon name="person" />
        <span class="main">
          <span class={`t ${user.disabled ? 'gone' : ''}`}>
            <bdi>{name}</bdi>
          </span>
          <span class="d">
            {user.grants.length === 0 ? t('people.none') : user.grants.map((one) => grantText(one, grids)).join(' · ')}
          </span>
          {states.length > 0 && (
            <span class="d">
              <b>{states.join(' · ')}</b>
            </span>
          )}
        </span>
        <span class="end d">
          <bdi>{user.username}</bdi>
        </span>
      </summary>
      <div class="person-body">
        {user.self && <p class="more-text">{t('people.self')}</p>}
        {!user.self && !user.may_change && <p class="more-text">{t('people.notYours')}</p>}
        {trouble !== '' && (
          <p class="refused" role="alert">
            {trouble}
          </p>
        )}
        {user.may_change && self !== undefined && asking === 'grants' && (
          <form
            class="add-form"
            onSubmit={(event) => {
              event.preventDefault();
              const form = new FormData(event.currentTarget);
              void change({ grants: grantsIn(form) });
            }}
          >
            <GrantFields self={self} initial={user.grants} />
            <div class="buttons">
              <button type="submit" class="btn pri">
                {t('people.save', { name })}
              </button>
              <button type="button" class="btn" onClick={() => setAsking(undefined)}>
                {t('people.cancel')}
              </button>
            </div>
          </form>
        )}
        {user.may_change && (asking === 'word' || asking === 'disable') && (
          <div class="ask" role="group" aria-label={t(asking === 'word' ? 'people.word' : 'people.disable')}>
            <p>{t(asking === 'word' ? 'people.wordAsk' : 'people.disableAsk', { name })}</p>
            <div class="buttons">
              <button
                type="button"
                class="btn pri"
                onClick={() => void (asking === 'word' ? giveWord() : change({ disabled: true }))}
              >
                {t(asking === 'word' ? 'people.wordYes' : 'people.disableYes', { name })}
              </button>
              <button type="button" class="btn" onClick={() => setAsking(undefined)}>
                {t('people.cancel')}
              </button>
            </div>
          </div>
        )}
        {user.may_change && asking === undefined && (
          <div class="buttons">
            {user.disabled ? (
              <button type="button" class="btn" onClick={() => void change({ disabled: false })}>
                {t('people.enable')}
              </button>
            ) : (
              <>
                <button type="button" class="btn" onClick={() => setAsking('grants')}>
                  {t('people.change')}
                </button>
                <button type="button" class="btn" onClick={() => setAsking('word')}>
                  {t('people.word')}
                </button>
                <button type="button" class="btn quiet" onClick={() => setAsking('disable')}>
                  {t('people.disable')}
                </button>
              </>
            )}
          </div>
        )}
      </div>
    </details>
  );
}

function AddPerson({
  open,
  self,
  onClose,
  given,
}: {
  open: boolean;
  self: AccountView;
  onClose: () => void;
  given: (answer: AccountWithWord) => void;
}) {
  const { api } = useApp();
  const [name, setName] = useState('');
  const [trouble, setTrouble] = useState('');
  const [busy, setBusy] = useState(false);
  return (
    <Dialog open={open} title={t('people.add')} onClose={onClose}>
      <form
        class="add-form"
        onSubmit={(event) => {
          event.preventDefault();
          const form = new FormData(event.currentTarget);
          const body = {
            username: String(form.get('account')).trim(),
            display_name: name.trim(),
            grants: grantsIn(form),
          };
          setBusy(true);
          api
            .ask('/api/users', patienceMs, asJson<AccountWithWord>, { method: 'POST', body })
            .then(
              (answer) => {
                setName('');
                setTrouble('');
                given(answer);
              },
              (error: unknown) => setTrouble(failureText(error)),
            )
            .finally(() => setBusy(false));
        }}
      >
        <label class="field">
          <span>{t('people.name')}</span>
          <input
            class="input"
            name="shown"
            autocomplete="off"
            required
            maxLength={100}
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <label class="field">
          <span>{t('people.username')}</span>
          <input
            class="input"
            name="account"
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            required
            maxLength={64}
            aria-describedby="account-help"
          />
        </label>
        <p class="more-text" id="account-help">
          {t('people.usernameHelp')}
        </p>
        <GrantFields self={self} initial={[]} />
        {trouble !== '' && (
          <p class="refused" role="alert">
            {trouble}
          </p>
        )}
        <button type="submit" class="btn pri" disabled={busy}>
          {name.trim() === '' ? t('people.add') : t('people.addDo', { name: name.trim() })}
        </button>
      </form>
    </Dialog>
  );
}

const keyOf = (scope: Grant['scope']): string => JSON.stringify(scope);

/** What the fields of `GrantFields` say. */
function grantsIn(form: FormData): Grant[] {
  const where = form.getAll('where');
  return form
    .getAll('role')
    .map((role, at) => ({ role: role as Role, scope: JSON.parse(String(where[at])) as Grant['scope'] }));
}

/** Roles and where each holds; offers what the person at work administers. */
function GrantFields({ self, initial }: { self: AccountView; initial: readonly Grant[] }) {
  const grids = useApp().state.grids.value;
  const organisationOf = (gridId: string) =>
    grids.find(({ grid_id }) => grid_id === gridId)?.organisation_id ?? undefined;
  const organisations = [...new Set(grids.flatMap(({ organisation_id }) => organisation_id ?? []))].sort();
  const known: Grant['scope'][] = [
    ...grids.map(({ grid_id }) => ({ kind: 'grid', grid_id }) as const),
    ...organisations.map((organisation_id) => ({ kind: 'organisation', organisation_id }) as const),
    { kind: 'everything' },
    ...initial.map(({ scope }) => scope),
  ];
  const scopes = [...new Map(known.map((scope) => [keyOf(scope), scope])).values()].filter((scope) =>
    administers(self, scope, organisationOf),
  );
  const first = (): Grant => ({ role: 'operator', scope: scopes[0] ?? { kind: 'everything' } });
  const [grants, setGrants] = useState<readonly Grant[]>(initial.length === 0 ? [first()] : initial);
  const set = (at: number, grant: Grant) => setGrants(grants.map((one, index) => (index === at ? grant : one)));
  return (
    <div class="grants">
      {grants.map((grant, at) => (
        <div key={at} class="grant" role="group" aria-label={t('people.role')}>
          <label class="field">
            <span>{t('people.role')}</span>
            <select
              class="input"
              name="role"
              value={grant.role}
              onChange={(event) => set(at, { ...grant, role: event.currentTarget.value as Role })}
            >
              {roles.map((role) => (
                <option key={role} value={role}>
                  {t(`role.${role}`)}
                </option>
              ))}
            </select>
          </label>
          <label class="field">
            <span>{t('people.where')}</span>
            <select
              class="input"
              name="where"
              value={keyOf(grant.scope)}
              onChange={(event) =>
                set(at, { ...grant, scope: JSON.parse(event.currentTarget.value) as Grant['scope'] })
              }
            >
              {scopes.map((scope) => (
                <option key={keyOf(scope)} value={keyOf(scope)}>
                  {whereText(scope, grids)}
                </option>
              ))}
            </select>
          </label>
          {grants.length > 1 ? (
            <button
              type="button"
              class="hit"
              aria-label={t('people.remove', { role: t(`role.${grant.role}`) })}
              onClick={() => setGrants(grants.filter((_, index) => index !== at))}
            >
              <Icon name="close" />
            </button>
          ) : (
            <span />
          )}
          <p class="more-text">{t(`people.role.${grant.role}`)}</p>
        </div>
      ))}
      {scopes.length > 1 && (
        <button type="button" class="btn quiet" onClick={() => setGrants([...grants, first()])}>
          <Icon name="plus" />
          {t('people.another')}
        </button>
      )}
    </div>
  );
}
