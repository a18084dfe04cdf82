/** Line icons and the four severity symbols. Icons are decoration: the word beside them carries the meaning. */
import type { AlertView } from '@villagrid/contracts';
import { t } from '../i18n/messages.js';

const paths = {
  back: 'M15 5l-7 7 7 7',
  next: 'M9 6l6 6-6 6',
  grid: 'M4 6h5M4 18h5M15 6h5M15 18h5M9 6h2v12H9M15 6h-2v12h2',
  bell: 'M6 10a6 6 0 0 1 12 0c0 5 2 6 2 7H4c0-1 2-2 2-7zM10 20.5h4',
  history: 'M4 4v16h16M7.5 14l3.5-4 3 3 5-6',
  menu: 'M4 7h16M4 12h16M4 17h16',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z',
  gateway:
    'M5.5 12h13A1.5 1.5 0 0 1 20 13.5v4a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5v-4A1.5 1.5 0 0 1 5.5 12zM7.5 15.5h.01M11 15.5h5M12 12V8M8.5 6.5a5 5 0 0 1 7 0',
  cloud: 'M7 18.5h10a4 4 0 0 0 .6-7.95A6 6 0 0 0 6.1 11 3.8 3.8 0 0 0 7 18.5z',
  phone: 'M9 3h6a1.5 1.5 0 0 1 1.5 1.5v15A1.5 1.5 0 0 1 15 21H9a1.5 1.5 0 0 1-1.5-1.5v-15A1.5 1.5 0 0 1 9 3zM11 18h2',
  eye: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.3a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4z',
  note: 'M5 4h14v11l-5 5H5zM14 20v-5h5M8.5 8.5h7M8.5 12h4',
  clock: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 7.5V12l3 2',
  chip: 'M8.5 7h7A1.5 1.5 0 0 1 17 8.5v7a1.5 1.5 0 0 1-1.5 1.5h-7A1.5 1.5 0 0 1 7 15.5v-7A1.5 1.5 0 0 1 8.5 7zM10 7V4M14 7V4M10 20v-3M14 20v-3M7 10H4M7 14H4M20 10h-3M20 14h-3',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  reset: 'M5 4v5h5M5.5 9A8 8 0 1 1 4 13',
  table:
    'M5.5 5h13A1.5 1.5 0 0 1 20 6.5v11a1.5 1.5 0 0 1-1.5 1.5h-13A1.5 1.5 0 0 1 4 17.5v-11A1.5 1.5 0 0 1 5.5 5zM4 10h16M4 14.5h16M10 5v14',
  unreachable: 'M4 9.5a11.5 11.5 0 0 1 16 0M7.5 13.2a6.5 6.5 0 0 1 9 0M12 18h.01M4.5 20L19.5 4',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  close: 'M6 6l12 12M18 6L6 18',
  search: 'M11 4.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM16 16l4.5 4.5',
  village: 'M3.5 12.5L9 7.5l5.5 5v7h-11zM7.7 19.5v-4h2.6v4M14.5 12l2-2 4.5 4.2v5.3h-6.5',
  bolt: 'M12.8 4.5L8 12.8h4l-.8 6.7L16 11.2h-4z',
  pylon: 'M9 20L12 4l3 16M6 9h12M7 13h10M10 15.5l4.5 4.5M14 15.5L9.5 20',
  warning: 'M12 4L2.5 20h19zM12 10v5M12 17.5h.01',
  person: 'M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20a7.5 7.5 0 0 1 15 0',
} as const;

/** Name of an icon. */
export type IconName = keyof typeof paths;

/** A line icon in the colour of the text around it. `flip` mirrors it for right-to-left reading. */
export function Icon({ name, flip = false, class: extra = '' }: { name: IconName; flip?: boolean; class?: string }) {
  return (
    <svg class={`ic ${flip ? 'flip' : ''} ${extra}`} viewBox="0 0 24 24" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}

/** Path of an icon, for drawings of their own. */
export const iconPath = (name: IconName): string => paths[name];

/** Symbol of a severity: its own shape, colour and word. `blink` only for critical alerts nobody has seen. */
export function Severity({
  severity,
  blink = false,
  small = false,
  label = true,
}: {
  severity: AlertView['severity'];
  blink?: boolean;
  small?: boolean;
  label?: boolean;
}) {
  const mark = (
    <>
      <path class="glyph" d="M12 8.2v5.6" stroke-width="2.5" stroke-linecap="round" />
      <circle class="glyph" cx="12" cy="17.3" r="1.1" stroke-width=".6" />
    </>
  );
  const shape = {
    critical: (
      <>
        <path d="M8.3 1.8h7.4l6.5 6.5v7.4l-6.5 6.5H8.3l-6.5-6.5V8.3z" fill="currentColor" />
        <path class="glyph" d="M12 6.6v6.6" stroke-width="2.6" stroke-linecap="round" />
        <circle class="glyph" cx="12" cy="17.2" r="1.1" stroke-width=".6" />
      </>
    ),
    high: (
      <>
        <path
          d="M12 3L22.2 20.6H1.8z"
          fill="currentColor"
          stroke="currentColor"
          stroke-width="2"
          stroke-linejoin="round"
        />
        {mark}
      </>
    ),
    medium: (
      <>
        <path
          d="M12 2.6L21.4 12 12 21.4 2.6 12z"
          fill="none"
          stroke="currentColor"
          stroke-width="2.5"
          stroke-linejoin="round"
        />
        <path d="M12 8.4v4" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" />
        <circle cx="12" cy="15.6" r="1.3" fill="currentColor" />
      </>
    ),
    low: (
      <>
        <circle cx="12" cy="12" r="8.6" fill="none" stroke="currentColor" stroke-width="2.3" />
        <circle cx="12" cy="12" r="2.2" fill="currentColor" />
      </>
    ),
  }[severity];
  return (
    <svg
      class={`sev ${severity} ${small ? 's' : ''} ${blink && severity === 'critical' ? 'blink' : ''}`}
      viewBox="0 0 24 24"
      {...(label ? { role: 'img', 'aria-label': t(`severity.${severity}`) } : { 'aria-hidden': 'true' })}
    >
      {shape}
    </svg>
  );
}

/** A small battery filled to its charge. */
export function BatteryIcon({ pct }: { pct: number | null }) {
  return (
    <svg class="battery-icon" viewBox="0 0 30 14" aria-hidden="true">
      <rect x=".9" y=".9" width="25.2" height="12.2" rx="3" fill="none" stroke="currentColor" stroke-width="1.6" />
      <path d="M28.6 5v4" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" />
      {pct !== null && (
        <rect x="3.2" y="3.2" width={Math.max(0.5, (pct / 100) * 20.6)} height="7.6" rx="1" fill="currentColor" />
      )}
    </svg>
  );
}
