/** The languages of the app, each by its own name; drafts say so in their own words. */
import './language.css';
import { useState } from 'preact/hooks';
import { chooseLanguage } from '../../i18n/choose.js';
import { addTexts, language, t } from '../../i18n/messages.js';
import { languageTexts } from './texts.js';

addTexts(languageTexts);

/** `draft` is the word for it in that language: nobody who speaks it has read the texts yet. */
const languages: readonly { readonly tag: string; readonly name: string; readonly draft?: string }[] = [
  { tag: 'en', name: 'English' },
  { tag: 'fr', name: 'Français' },
  { tag: 'sw', name: 'Kiswahili' },
  { tag: 'ar', name: 'العربية' },
  { tag: 'es', name: 'Español', draft: 'borrador' },
  { tag: 'pt', name: 'Português', draft: 'rascunho' },
  { tag: 'ha', name: 'Hausa', draft: 'daftari' },
  { tag: 'am', name: 'አማርኛ', draft: 'ረቂቅ' },
  { tag: 'hi', name: 'हिन्दी', draft: 'मसौदा' },
  { tag: 'bn', name: 'বাংলা', draft: 'খসড়া' },
];

export function LanguageChoice() {
  const [failed, setFailed] = useState(false);
  return (
    <div class="language">
      <label class="field">
        <span>{t('language.title')}</span>
        <select
          class="input"
          name="language"
          value={language.value.tag}
          onChange={(event) => {
            setFailed(false);
            const { value } = event.currentTarget;
            chooseLanguage(value).catch(() => setFailed(true));
          }}
        >
          {languages.map(({ tag, name, draft }) => (
            <option key={tag} value={tag} lang={tag} selected={tag === language.value.tag}>
              {draft === undefined ? name : `${name} · ${draft}`}
            </option>
          ))}
        </select>
      </label>
      <p class="note-line flush" role="status">
        {failed && t('language.failed')}
      </p>
    </div>
  );
}
