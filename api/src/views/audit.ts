/** Who did what when in a grid: to people, settings, devices, alerts and planned work, drawn together from where each is kept. */
import {
  documentNames,
  mostCommandsListed,
  type Alert,
  type AuditArea,
  type AuditEntry,
  type TimelineEntry,
} from '@villagrid/contracts';
import type { GridPort, PersonAudit } from '../ports.js';
import { csvLine, isoUtc, plainForm, textCell, ZoneTimes } from './csv.js';

/** Most entries of an answer. */
const mostEntries = 2000;
/** Alerts raised so long before the time asked for are looked through for what was done to them in it, milliseconds. */
const alertsBeforeMs = 30 * 86_400_000;
/** What people do to alerts; the rest of a timeline happens by itself. */
const byPeople: readonly TimelineEntry['kind'][] = ['acknowledged', 'noted', 'assigned', 'shelved', 'unshelved'];

/** What is asked for; `people` is what was done to accounts, already narrowed to the grid and the time. */
export interface AuditAsked {
  readonly grid: GridPort;
  readonly people: readonly PersonAudit[];
  readonly fromMs: number;
  readonly toMs: number;
  readonly area: AuditArea | undefined;
  readonly search: string | undefined;
}

/** Gathers the audit of a time, newest first. */
export async function readAudit(asked: AuditAsked): Promise<{ entries: AuditEntry[]; more: boolean }> {
  const { grid, fromMs, toMs, area } = asked;
  const wants = (one: AuditArea) => area === undefined || area === one;
  const inTime = (atMs: number) => atMs >= fromMs && atMs < toMs;
  const entries: AuditEntry[] = [];
  let isCut = false;
  if (wants('people'))
    for (const one of asked.people)
      entries.push({
        id: one.id,
        at_ms: one.atMs,
        area: 'people',
        kind: one.kind,
        actor: { ...one.actor },
        about: one.displayName,
        detail: one.kind === 'account_added' || one.kind === 'grants_changed' ? rolesText(one) : null,
        alert_id: null,
      });
  if (wants('settings'))
    for (const name of documentNames)
      for (const { rev, changed_at_ms: atMs, changed_by: actor, state, reason } of grid.desired?.history(name) ?? [])
        if (atMs !== null && actor !== null && inTime(atMs))
          entries.push({
            id: `${name}-${rev}`,
            at_ms: atMs,
            area: 'settings',
            kind: 'document_changed',
            actor: { user_id: actor.user_id, name: actor.name },
            about: name,
            detail: [`revision ${rev}`, state, reason].filter(Boolean).join('; '),
            alert_id: null,
          });
  if (wants('commands')) {
    const names = new Map(grid.site().devices.map(({ device_id, name }) => [device_id, name]));
    const records = grid.commands?.list().records ?? [];
    // The list is of the newest: where the oldest of them is within the time, there may have been others.
    const oldest = records.length >= mostCommandsListed ? records.at(-1) : undefined;
    if (oldest !== undefined && oldest.sent_at_ms >= fromMs) isCut = true;
    for (const one of records)
      if (inTime(one.sent_at_ms))
        entries.push({
          id: one.command_id,
          at_ms: one.sent_at_ms,
          area: 'commands',
          kind: `command_${one.state}`,
          actor: { ...one.actor },
          about: names.get(one.device_id) ?? one.device_id,
          detail: [`${one.command}: ${one.value}`, one.reason].filter(Boolean).join('; '),
          alert_id: null,
        });
  }
  if (wants('alerts'))
    for (const alert of await alertsOf(grid, fromMs - alertsBeforeMs, toMs))
      for (const one of alert.timeline)
        if (one.actor !== null && byPeople.includes(one.kind) && inTime(one.at_ms))
          entries.push({
            id: one.event_id,
            at_ms: one.at_ms,
            area: 'alerts',
            kind: one.kind,
            actor: { ...one.actor },
            about: alert.message,
            detail: [one.about, one.note].filter(Boolean).join('; ') || null,
            alert_id: alert.alert_id,
          });
  if (wants('work'))
    for (const one of await grid.records())
      if (inTime(one.at_ms))
        entries.push({
          id: one.id,
          at_ms: one.at_ms,
          area: 'work',
          kind: one.kind,
          actor: { ...one.actor },
          about: grid.site().name,
          detail: one.kind === 'maintenance_planned' ? one.reason : one.kind === 'handed_over' ? one.note : null,
          alert_id: null,
        });
  const words = (asked.search ?? '').trim().toLowerCase().split(/\s+/).filter(Boolean);
  const found = entries
    .filter(({ actor, kind, about, detail }) => {
      const text = [actor.name, kind.replaceAll('_', ' '), about, detail].join(' ').toLowerCase();
      return words.every((word) => text.includes(word));
    })
    .sort((a, b) => b.at_ms - a.at_ms || (a.id < b.id ? 1 : -1));
  return { entries: found.slice(0, mostEntries), more: isCut || found.length > mostEntries };
}

/** Alerts raised within a time, and those that were raised before it and are active still. */
async function alertsOf(grid: GridPort, fromMs: number, toMs: number): Promise<Iterable<Alert>> {
  const all = [...(await grid.alerts({ status: 'active' })), ...(await grid.alerts({ raised: { fromMs, toMs } }))];
  return new Map(all.map((alert) => [alert.alert_id, alert])).values();
}

const rolesText = ({ grants }: PersonAudit): string =>
  grants
    .map(({ role, scope }) =>
      scope.kind === 'everything'
        ? `${role} everywhere`
        : `${role} of ${scope.kind === 'grid' ? scope.grid_id : scope.organisation_id}`,
    )
    .join(', ');

/** The same as a file for programs and spreadsheets. */
export async function* auditCsv(entries: readonly AuditEntry[], zone: string): AsyncIterable<string> {
  const form = plainForm;
  const times = new ZoneTimes(zone);
  yield csvLine([`time ${zone}`, 'time UTC', 'who', 'what', 'to whom or what', 'detail'], form);
  for (const { at_ms, actor, kind, about, detail } of entries)
    yield csvLine(
      [
        times.iso(at_ms),
        isoUtc(at_ms),
        textCell(actor.name, form),
        textCell(kind, form),
        textCell(about, form),
        textCell(detail ?? '', form),
      ],
      form,
    );
}
