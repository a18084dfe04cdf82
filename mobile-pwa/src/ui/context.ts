/** How components reach the app. */
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { App } from '../app.js';

/** Filled in main.tsx. */
export const AppContext = createContext<App | null>(null);

/** The app; throws outside of it, which is a mistake of the programmer. */
export function useApp(): App {
  const app = useContext(AppContext);
  if (app === null) throw new Error('useApp outside of AppContext');
  return app;
}
