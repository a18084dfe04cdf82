/** Themes: dark, sunlight, or what the phone says. Kept per phone, applied to the document at once. */
import { signal } from '@preact/signals';
import { settings } from '../platform/platform.js';

/** What the person chose. */
export type ThemeChoice = 'dark' | 'sunlight' | 'system';
/** What is drawn. */
export type Theme = 'dark' | 'sunlight';

const light = window.matchMedia('(prefers-color-scheme: light)');
const stored = settings.get('theme');
/** The choice kept on this phone. */
export const themeChoice = signal<ThemeChoice>(stored === 'sunlight' || stored === 'system' ? stored : 'dark');
/** The theme drawn now. */
export const theme = signal<Theme>('dark');

function apply(): void {
  const choice = themeChoice.value;
  theme.value = choice === 'system' ? (light.matches ? 'sunlight' : 'dark') : choice;
  document.documentElement.dataset.theme = theme.value;
  document
    .querySelector('meta[name="theme-color"]')
    ?.setAttribute('content', theme.value === 'sunlight' ? '#ffffff' : '#0f1417');
}

/** Chooses a theme and keeps the choice. */
export function chooseTheme(choice: ThemeChoice): void {
  themeChoice.value = choice;
  settings.set('theme', choice);
  apply();
}

light.addEventListener('change', apply);
apply();

const wideQuery = window.matchMedia('(min-width: 64rem)');
/** Whether there is room for panes beside each other. */
export const wide = signal(wideQuery.matches);
wideQuery.addEventListener('change', () => {
  wide.value = wideQuery.matches;
});
