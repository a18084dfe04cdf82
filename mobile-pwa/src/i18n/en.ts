import type { alertTexts } from '../features/alerts/texts.js';
import type { answerTexts } from '../features/answer/texts.js';
import type { clockTexts } from '../features/clock/texts.js';
import type { completenessTexts } from '../features/completeness/texts.js';
import type { commandTexts } from '../features/devices/command-texts.js';
import type { deviceTexts } from '../features/devices/texts.js';
import type { dutyTexts } from '../features/duty/texts.js';
import type { fleetTexts } from '../features/fleet/texts.js';
import type { historyTexts } from '../features/history/texts.js';
import type { languageTexts } from '../features/language/texts.js';
import type { homeTexts } from '../features/home/texts.js';
import type { loginTexts } from '../features/login/texts.js';
import type { moreTexts } from '../features/more/texts.js';
import type { peopleTexts } from '../features/people/texts.js';
import type { reportTexts } from '../features/reports/texts.js';
import type { ruleTexts } from '../features/rules/texts.js';
import type { wallTexts } from '../features/wall/texts.js';
import type { bannerTexts } from '../ui/banner-texts.js';
import type { sheetTexts } from '../ui/connection-sheet-texts.js';

/**
 * Every text of the app in English, the language all others are translated from. `{name}` is filled in;
 * `{n, plural, one {…} other {…}}` chooses by number, `#` is the number.
 */
export const en = {
  'app.name': 'Villagrid',
  'app.skip': 'Skip to content',

  'tab.main': 'Main',
  'tab.grid': 'Grid',
  'tab.alerts': 'Alerts',
  'tab.alerts.new': '{n, plural, one {# not seen} other {# not seen}}',
  'tab.history': 'History',
  'tab.more': 'More',

  'header.back': 'Back to {to}',
  'header.source': 'Where these values come from: {source}',
  'header.sunlight': 'Sunlight theme',
  'header.dark': 'Dark theme',

  'source.gateway': 'Gateway',
  'source.cloud': 'Cloud',
  'source.live': '{server} · live',
  'source.polling': '{server} · every 15 s',
  'source.connecting': 'Connecting',
  'source.away': '{server} · village away since {when}',
  'source.serverLast': '{server} · last report {when}',
  'source.phone': 'This phone · saved {when}, no connection',
  'source.phoneConnecting': 'This phone · saved {when}, connecting',
  'source.phoneLogin': 'This phone · saved {when}, not logged in',
  'source.nothing': 'No connection, nothing saved yet',

  'age.now': 'now',
  'age.live': 'now',
  'age.nowDerived': 'now, derived',
  'age.justNow': 'just now',
  'age.seconds': '{n} s ago',
  'age.minutes': '{n} min ago',
  'age.asOf': 'as of {when}',
  'age.since': 'since {when}',
  'age.for.seconds': '{n} s',
  'age.for.minutes': '{n} min',
  'age.for.hours': '{n} h',
  'age.for.days': '{n, plural, one {# day} other {# days}}',
  'age.never': 'never seen',
  'value.derived': 'derived',
  'value.none': 'no data',
  'value.bad': 'not believable',

  'severity.critical': 'Critical',
  'severity.high': 'High',
  'severity.medium': 'Medium',
  'severity.low': 'Low',

  'power.powered': 'Powered',
  'power.off': 'Off',
  'power.partly': 'Partly',
  'power.unknown': 'Unknown',

  'login.again': 'Log in again',

  'home.title': 'Grids',
  'home.allWellKnown': 'No grid needs you.',
  'home.retry': 'Try now',

  'verdict.powered': 'Village powered.',
  'verdict.poweredBut': 'Village powered, but {what}.',
  'verdict.off': 'No power.',
  'verdict.offBecause': 'No power. {what}.',
  'verdict.partly': 'Part of the village has no power.',
  'verdict.unknown': 'Not known now.',
  'verdict.battery': 'Battery {soc}.',
  'verdict.batteryCharging': 'Battery is charging.',
  'verdict.batteryUntil': 'Battery {soc}, lasts until about {when}.',
  'verdict.lastsNight': 'Lasts the night.',
  'verdict.withoutSun': 'About {left} at this load, without sun.',
  'verdict.withoutSunLong': 'More than three days at this load, without sun.',
  'verdict.lastsUnknown': 'Not known yet how long it lasts.',
  'verdict.noAlerts': 'No alerts.',
  'verdict.atThisLoad': 'Expected to last until about {when}.',
  'verdict.atThisLoadLeft': 'About {left} left.',
  'verdict.then': 'At {when}: {power}, battery {soc}.',
  'verdict.thenNoBattery': 'At {when}: {power}.',
  'verdict.neverSeen': 'No value has arrived yet.',

  'figure.consumption': 'Consumption',
  'figure.generation': 'Generation',
  'figure.battery': 'Battery',
  'figure.toVillage': 'to the village',
  'figure.fromSun': 'from the sun',
  'figure.charging': 'charging',
  'figure.discharging': 'discharging',
  'figure.idle': 'resting',
  'figure.now': 'Now',

  'flow.title': 'Where the energy flows',
  'flow.sun': 'Sun',
  'flow.village': 'Village',
  'flow.battery': 'Battery',
  'flow.generator': 'Generator',
  'flow.mains': 'Mains',
  'flow.off': 'nothing flows',
  'flow.notRunning': 'not running',
  'flow.notConnected': 'not connected',
  'flow.import': 'from mains',
  'flow.export': 'to mains',
  'flow.losses': 'losses {value}',
  'flow.differ': 'meters differ by {value}',
  'flow.station': 'Station',
  'flow.flow': 'Flow',
  'flow.sentence': '{station}: {value} {direction}.',
  'flow.stale': 'Not current.',
  'flow.gives': 'gives',

  'day.title': 'Last 24 hours',
  'day.history': 'History',
  'day.empty': 'Nothing measured in the last 24 hours yet.',
  'day.gap': 'No data {from} to {to}',
  'day.noDataBefore': 'No data before {when}',
  'day.summary': '{label}: from {min} to {max}, last {last}.',
  'day.toggles': 'Lines of the chart',

  'tiles.title': 'More figures',
  'tiles.band': 'band: normal, 24 h',
  'tile.dc_bus': 'DC bus',
  'tile.ac_output': 'AC output',
  'tile.grid_tie': 'Grid tie',
  'state.well': 'none',
  'state.off': 'switched off',
  'state.fault': 'fault',
  'tile.hottest': 'Hottest: {what}',
  'tile.equipment': 'Equipment',
  'tile.irradiance': 'Irradiance',
  'tile.ambient': 'Ambient',
  'tile.humidity': 'Humidity',
  'tile.fuel': 'Fuel',
  'tile.limit': 'limit {value}',
  'tile.limitHigh': '{severity} · limit {value}',
  'tile.connected': 'Connected',
  'tile.notConnected': 'Not connected',
  'tile.tieOn': 'switched on',
  'tile.tieOff': 'switched off',
  'tile.noMains': 'no mains line here',

  'today.title': 'Today so far',
  'today.made': 'Made',
  'today.used': 'Used',
  'today.stored': 'Stored',
  'today.taken': 'Taken out',
  'today.noPower': 'No power',
  'today.measured': 'Measured',

  'devices.title': 'Devices',
  'devices.line': '{seen} of {total} devices seen',

  'notice.zone': 'Times are {zone}.',
  'notice.clock': 'This phone’s clock is {difference} {direction}; the {server}’s clock is used.',
  'notice.ahead': 'ahead',
  'notice.behind': 'behind',

  'alerts.title': 'Alerts',
  'alerts.none.open': 'No open alerts.',
  'alerts.notSeen': 'not seen yet',
  'alerts.pausedUntil': 'Paused until {when}',
  'alerts.seenBy': 'seen by {name}',
  'alerts.clearedAt': 'cleared {when}',
  'alerts.clearedNotSeen': 'Cleared - not seen',
  'alerts.allOf': 'All {n} open alerts',
  'alerts.section': 'Open alerts',
  'alerts.announce': 'New alert: {what}',
  'alerts.valueNow': '{value}, {when} {now}',
  'alerts.valueAt': '{value} at {when}',

  'alert.waiting.acknowledge': 'You have seen it, {when} · waiting to send',
  'alert.waiting.note': 'Note {when}: “{note}” · waiting to send',
  'alert.waiting.acknowledgeNote': 'You have seen it, {when}: “{note}” · waiting to send',
  'alert.waiting.other': '{what}, {when} · waiting to send',
  'event.acknowledged': 'Seen by {name}',
  'event.noted': 'Note by {name}',
  'event.assigned': 'Given by {name}',
  'event.shelved': 'Paused by {name}',
  'event.unshelved': 'Pause ended by {name}',
  'event.somebody': 'somebody',

  'reports.title': 'Reports',
  'reports.open': 'Day, month and year in figures',

  'more.waiting': '{n, plural, one {# act waits to be sent} other {# acts wait to be sent}}',

  'sheet.close': 'Close',

  'error.offline': 'The server does not answer.',
} as const;

/** A key of the message catalogue: these texts and those of screens that bring their own. */
export type MessageKey =
  | keyof typeof en
  | keyof typeof alertTexts
  | keyof typeof bannerTexts
  | keyof typeof clockTexts
  | keyof typeof dutyTexts
  | keyof typeof commandTexts
  | keyof typeof deviceTexts
  | keyof typeof loginTexts
  | keyof typeof historyTexts
  | keyof typeof homeTexts
  | keyof typeof languageTexts
  | keyof typeof moreTexts
  | keyof typeof reportTexts
  | keyof typeof ruleTexts
  | keyof typeof peopleTexts
  | keyof typeof fleetTexts
  | keyof typeof completenessTexts
  | keyof typeof wallTexts
  | keyof typeof answerTexts
  | keyof typeof sheetTexts;
