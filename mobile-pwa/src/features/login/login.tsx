/** Login: name, password, which server this is, and what is saved on this phone behind it. */
import './login.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { momentText, percentText, sentenceMiddle } from '../../i18n/format.js';
import { addTexts, t } from '../../i18n/messages.js';
import { ApiFailure } from '../../origin/api.js';
import { useApp } from '../../ui/context.js';
import { Icon } from '../../ui/icons.js';
import { LanguageChoice } from '../language/language-choice.js';
import { loginTexts } from './texts.js';

addTexts(loginTexts);

/** Which server the words go to, in words. */
function Origin() {
  const { state } = useApp();
  const { discovery, serverState } = state;
  const address = location.host;
  const found = discovery.value;
  const id = found?.server_id ?? '';
  const kind = found?.kind;
  const [title, detail] =
    kind === 'gateway'
      ? [t('login.origin.gateway'), t('login.origin.gatewayDetail', { id, address })]
      : kind === 'cloud'
        ? [t('login.origin.cloud'), t('login.origin.cloudDetail', { id, address })]
        : serverState.value === 'looking'
          ? [t('login.origin.looking'), address]
          : [t('login.origin.none'), t('login.origin.noneDetail', { address })];
  return (
    <div class="origin">
      <Icon name={kind ?? 'phone'} />
      <p>
        <b>{title}</b>
        <br />
        <span>{detail}</span>
      </p>
    </div>
  );
}

export function Login({ again = false }: { again?: boolean }) {
  const app = useApp();
  const { state } = app;
  const [name, setName] = useState(state.login.value?.username ?? '');
  const [password, setPassword] = useState('');
  const [shown, setShown] = useState(false);
  /** A password of one's own instead of the one-time word; undefined while none is asked for. */
  const [chosen, setChosen] = useState<string>();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const nameField = useRef<HTMLInputElement>(null);
  const passwordField = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = `${t('login.title')} · ${t('app.name')}`;
    if (again) (name === '' ? nameField : passwordField).current?.focus();
  }, []);
  async function submit(): Promise<void> {
    if (busy) return;
    setBusy(true);
    setError('');
    try {
      await app.logIn(name.trim(), password, chosen);
    } catch (failure) {
      const kind = failure instanceof ApiFailure ? failure : undefined;
      if (kind?.problem?.code === 'E_PASSWORD_DUE') return setChosen('');
      setError(
        kind?.status === 429
          ? t('login.tooMany')
          : kind?.status === 400 && chosen !== undefined
            ? t('login.chooseAnother')
            : kind?.status === 401 || kind?.status === 403 || kind?.status === 400
              ? t('login.wrong')
              : t('login.offline'),
      );
      passwordField.current?.focus();
    } finally {
      setBusy(false);
    }
  }
  const saved = Object.values(state.views.value).sort((a, b) => b.answeredAtMs - a.answeredAtMs)[0];
  const soc = saved?.summary.verdict.battery_soc_pct ?? saved?.summary.figures.battery_soc_pct?.value ?? null;
  return (
    <div class="login">
      <main id={again ? 'login' : 'content'} class="login-box">
        <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
          <path d="M12 4v16M7.5 7.5H10M14 7.5h2.5M7.5 16.5H10M14 16.5h2.5" />
          <circle cx="5" cy="7.5" r="2.2" />
          <circle cx="5" cy="16.5" r="2.2" />
          <circle cx="19" cy="7.5" r="2.2" />
          <circle cx="19" cy="16.5" r="2.2" />
        </svg>
        <h1>{again ? t('login.again') : t('app.name')}</h1>
        <p class="tagline">
          {!again ? t('login.tagline') : t(state.login.value?.elsewhere ? 'login.elsewhere' : 'login.expired')}
        </p>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          <label class="field">
            <span>{t('login.name')}</span>
            <input
              ref={nameField}
              class="input"
              name="username"
              autocomplete="username"
              autocapitalize="none"
              spellcheck={false}
              required
              value={name}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </label>
          <div class="field">
            <label for="password">{t('login.password')}</label>
            <div class="with-button">
              <input
                ref={passwordField}
                id="password"
                class="input"
                name="password"
                type={(shown ? 'text' : 'password') as 'password'}
                autofocus={again && name !== ''}
                autocomplete="current-password"
                autocapitalize="none"
                spellcheck={false}
                required
                value={password}
                aria-describedby="login-error"
                onInput={(event) => setPassword(event.currentTarget.value)}
              />
              <button
                type="button"
                class="hit"
                aria-pressed={shown}
                aria-label={t('login.show')}
                onClick={() => setShown(!shown)}
              >
                <Icon name="eye" />
                {shown && <span class="struck" aria-hidden="true" />}
              </button>
            </div>
          </div>
          {chosen !== undefined && (
            <label class="field">
              <span>{t('login.choose')}</span>
              <input
                class="input"
                type="password"
                name="new-password"
                autocomplete="new-password"
                minLength={8}
                maxLength={1024}
                required
                autofocus
                value={chosen}
                onInput={(event) => setChosen(event.currentTarget.value)}
              />
            </label>
          )}
          <p id="login-error" class="login-error" role="alert">
            {error !== '' && (
              <>
                <Icon name="warning" />
                <span>{error}</span>
              </>
            )}
          </p>
          <button type="submit" class="btn pri block" disabled={busy}>
            {t(busy ? 'login.busy' : 'login.submit')}
          </button>
        </form>
        <LanguageChoice />
        <Origin />
        {saved !== undefined && !again && (
          <section class="saved" aria-label={t('login.saved')}>
            <p>
              <b>{t('login.saved')}</b>
              <br />
              <span>
                {t('login.savedLine', {
                  grid: saved.summary.name,
                  when: momentText(saved.answeredAtMs, state.nowMs.value, saved.summary.zone),
                  power: sentenceMiddle(t(`power.${saved.summary.verdict.power}`)),
                  battery: soc === null ? t('value.none') : percentText(soc),
                })}
              </span>
            </p>
            <button
              type="button"
              class="btn"
              onClick={() => {
                state.peeking.value = true;
              }}
            >
              {t('login.see')}
            </button>
          </section>
        )}
        {again && (
          <button type="button" class="btn block quiet" onClick={app.logInLater}>
            {t('login.later')}
          </button>
        )}
      </main>
    </div>
  );
}

/** The login over the app: above everything, also above a note that is being written, which stays as it is. */
export function LoginAgain() {
  const app = useApp();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class="overlay"
      aria-label={t('login.again')}
      onCancel={(event) => {
        event.preventDefault();
        app.logInLater();
      }}
    >
      <Login again />
    </dialog>
  );
}
