/** Which language the app speaks: the one chosen on this phone, else the first of the browser's that it knows. */
import { settings } from '../platform/platform.js';
import type { Language } from './language.js';
import { english, language } from './messages.js';

/** Fetched when somebody reads them. English is part of the app; `en-XA` is English made long and strange, for tests. */
const loaders: Readonly<Record<string, () => Promise<{ readonly default: Language }>>> = {
  fr: () => import('./languages/fr.js'),
  sw: () => import('./languages/sw.js'),
  ar: () => import('./languages/ar.js'),
  hi: () => import('./languages/hi.js'),
  es: () => import('./languages/es.js'),
  pt: () => import('./languages/pt.js'),
  am: () => import('./languages/am.js'),
  ha: () => import('./languages/ha.js'),
  bn: () => import('./languages/bn.js'),
  'en-XA': () => import('./languages/pseudo.js'),
};

async function use(tag: string): Promise<void> {
  language.value = (await loaders[tag]?.())?.default ?? english;
  const { documentElement } = document;
  documentElement.lang = language.value.tag;
  documentElement.dir = language.value.rightToLeft ? 'rtl' : 'ltr';
}

/** Speaks the language of this phone. Rejects when its texts cannot be fetched; English stays then. */
export const startLanguage = (): Promise<void> =>
  use(
    settings.get('language') ??
      navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag === 'en' || tag in loaders) ??
      'en',
  );

/** Speaks another language from now on, on this phone. Rejects when its texts cannot be fetched. */
export async function chooseLanguage(tag: string): Promise<void> {
  await use(tag);
  settings.set('language', tag);
}
