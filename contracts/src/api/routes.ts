/**
 * The route table: every call of the API with who may make it. Adding a route is its entry here and its handler in
 * api/src/handlers. A route without a declared access does not start.
 */
import { Type, type TSchema } from 'typebox';
import type { Role } from '../auth/roles.js';
import { granularities, periodsMs } from '../history/resolution.js';
import { identifierPattern } from '../wire/topics.js';
import { commandAnswerSchema, commandListSchema, commandRequestSchema } from './command-schema.js';
import { balanceSchema } from './balance-schema.js';
import {
  desiredDocumentSchema,
  desiredHistorySchema,
  desiredListSchema,
  desiredPutSchema,
  documentNameSchema,
} from './desired-schema.js';
import { insightSchema } from './insight-schema.js';
import { notifyChannelSchema, notifyStatusSchema, notifyTestSchema } from './notify-schema.js';
import { reportSchema } from './report-schema.js';
import * as people from './people-schema.js';
import * as records from './grid-record-schema.js';
import { ruleListSchema, ruleTestRequestSchema, ruleTestSchema } from './rule-schema.js';
import * as s from './schemas.js';
import { uplinkAnswerSchema } from './uplink-schema.js';
import { auditAreas, gridNeeds } from './words.js';

/**
 * Who may call: anybody, anybody logged in, a role held anywhere (what of it they may do, the handler decides by scope), or
 * a role on the grid. `grid` tells where the grid's id is found: in the
 * path, through the alert named in the path, or the server's own (the prototype's aliases).
 */
export type Access =
  | { readonly kind: 'public' }
  | { readonly kind: 'authenticated' }
  | { readonly kind: 'anywhere'; readonly role: Role }
  | { readonly kind: 'role'; readonly role: Role; readonly grid: 'path' | 'alert' | 'own' | 'body' };

export interface Route {
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Path with {parameters}, as in OpenAPI. */
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  readonly params?: TSchema;
  readonly query?: TSchema;
  readonly body?: TSchema;
  readonly response: TSchema;
  /** Content type of the answer when it is not JSON. */
  readonly produces?: string;
  readonly websocket?: boolean;
}

const gridId = Type.String({ pattern: identifierPattern });
const alertId = Type.String({ minLength: 1, maxLength: 64 });
type RoleAccess = Extract<Access, { kind: 'role' }>;
const viewer = (grid: 'path' | 'alert' | 'own' = 'path'): RoleAccess => ({ kind: 'role', role: 'viewer', grid });
const operator = (grid: 'path' | 'alert' | 'own' = 'path'): RoleAccess => ({ kind: 'role', role: 'operator', grid });
const adminAnywhere = { kind: 'anywhere', role: 'admin' } as const;
const userParams = Type.Object({ user_id: Type.String({ minLength: 1, maxLength: 64 }) });
const installer: RoleAccess = { kind: 'role', role: 'installer', grid: 'path' };
const gridParams = Type.Object({ grid_id: gridId });
const documentParams = Type.Object({ grid_id: gridId, name: documentNameSchema });
const ruleTestParams = Type.Object({ grid_id: gridId, test_id: Type.String({ minLength: 1, maxLength: 64 }) });
const historyQuery = Type.Object(
  {
    period: Type.Optional(
      Type.Union(
        (Object.keys(periodsMs) as (keyof typeof periodsMs)[]).map((one) => Type.Literal(one)),
        { description: 'ends now; 24h when nothing is given' },
      ),
    ),
    from: Type.Optional(Type.String({ description: 'ISO 8601 or Unix milliseconds' })),
    to: Type.Optional(Type.String({ description: 'ISO 8601 or Unix milliseconds; now when left out' })),
    granularity: Type.Optional(Type.Union([...granularities.map((one) => Type.Literal(one)), Type.Literal('auto')])),
    points: Type.Optional(
      Type.Integer({
        minimum: 10,
        maximum: 5000,
        description: 'most windows of a series; neighbouring ones are folded until they fit, raw samples are not',
      }),
    ),
    device: Type.Optional(
      Type.String({
        pattern: identifierPattern,
        description: 'the series of this device instead of the grid’s figure',
      }),
    ),
  },
  { additionalProperties: false },
);
const exportQuery = Type.Object(
  {
    metric: Type.String({ minLength: 1, maxLength: 600, description: 'one metric, or several separated by commas' }),
    period: historyQuery.properties.period,
    from: historyQuery.properties.from,
    to: historyQuery.properties.to,
    granularity: Type.Optional(
      Type.Union(
        granularities.map((one) => Type.Literal(one)),
        { description: '15m when left out' },
      ),
    ),
    device: historyQuery.properties.device,
    format: Type.Optional(
      Type.Union([Type.Literal('csv'), Type.Literal('spreadsheet')], {
        description: 'csv: RFC 4180; spreadsheet: semicolons, times on the village’s clock, decimal comma',
      }),
    ),
    decimal: Type.Optional(
      Type.Union([Type.Literal('point'), Type.Literal('comma')], { description: 'of format=spreadsheet' }),
    ),
  },
  { additionalProperties: false },
);
const reportQuery = Type.Object(
  {
    period: Type.Optional(
      Type.Union([Type.Literal('day'), Type.Literal('month'), Type.Literal('year')], {
        description: 'local day, month or year; the present day when nothing is given',
      }),
    ),
    date: Type.Optional(
      Type.String({ description: 'a time in the wanted period, e.g. 2026-10-01; now when left out' }),
    ),
    from: Type.Optional(
      Type.String({ description: 'instead of period: ISO 8601 or Unix milliseconds, whole local days' }),
    ),
    to: Type.Optional(Type.String({ description: 'ISO 8601 or Unix milliseconds; now when left out' })),
    by: Type.Optional(
      Type.Union([Type.Literal('hour'), Type.Literal('day'), Type.Literal('month')], {
        description: 'what a row is; hour for a day, day for everything longer',
      }),
    ),
  },
  { additionalProperties: false },
);
const alertQuery = Type.Object(
  {
    status: Type.Optional(Type.Union([Type.Literal('active'), Type.Literal('resolved')])),
    severity: Type.Optional(Type.String({ description: 'one or several severities, separated by commas' })),
    device: Type.Optional(Type.String()),
    acknowledged: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])),
    from: Type.Optional(Type.String()),
    to: Type.Optional(Type.String()),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200 })),
    cursor: Type.Optional(Type.String({ maxLength: 200 })),
  },
  { additionalProperties: false },
);
const anything = Type.Unknown();

/** Every route of both servers, in the order of the documentation. */
export const routes = [
  {
    id: 'login',
    method: 'POST',
    path: '/api/auth/login',
    summary: 'Log in: credentials in, token out',
    access: { kind: 'public' },
    body: s.loginRequestSchema,
    response: s.loginResponseSchema,
  },
  {
    id: 'logout',
    method: 'POST',
    path: '/api/auth/logout',
    summary: 'End this login',
    access: { kind: 'authenticated' },
    response: Type.Object({ ok: Type.Boolean() }),
  },
  {
    id: 'me',
    method: 'GET',
    path: '/api/auth/me',
    summary: 'Who is logged in',
    access: { kind: 'authenticated' },
    response: s.userSchema,
  },
  {
    id: 'choosePassword',
    method: 'POST',
    path: '/api/auth/password',
    summary: 'Choose a password instead of the present one or of a one-time word; all logins end, a new one comes back',
    access: { kind: 'authenticated' },
    body: people.choosePasswordSchema,
    response: s.loginResponseSchema,
  },
  {
    id: 'grids',
    method: 'GET',
    path: '/api/grids',
    summary: 'The grids this person may see, each with its state in one line',
    access: { kind: 'authenticated' },
    query: Type.Object(
      {
        search: Type.Optional(
          Type.String({ maxLength: 100, description: 'words in name, id, organisation, gateway or version' }),
        ),
        needs: Type.Optional(
          Type.Union(
            ['any', ...gridNeeds].map((one) => Type.Literal(one)),
            { description: 'only grids that want attention: for this reason, or for any' },
          ),
        ),
      },
      { additionalProperties: false },
    ),
    response: Type.Object({ grids: Type.Array(s.gridStateSchema), now_ms: Type.Number() }),
  },
  {
    id: 'summary',
    method: 'GET',
    path: '/api/dashboard/summary/{grid_id}',
    summary: 'Latest figures with the time each was measured',
    access: viewer(),
    params: gridParams,
    response: s.summarySchema,
  },
  {
    id: 'alerts',
    method: 'GET',
    path: '/api/alerts/{grid_id}',
    summary: 'Alerts of a grid, filtered and paged',
    access: viewer(),
    params: gridParams,
    query: alertQuery,
    response: s.alertPageSchema,
  },
  {
    id: 'alert',
    method: 'GET',
    path: '/api/alerts/{grid_id}/{alert_id}',
    summary: 'One alert with notes and timeline',
    access: viewer(),
    params: Type.Object({ grid_id: gridId, alert_id: alertId }),
    response: s.alertSchema,
  },
  {
    id: 'acknowledge',
    method: 'PUT',
    path: '/api/alerts/{alert_id}/acknowledge',
    summary: 'Say that it was seen, with an optional note',
    access: operator('alert'),
    params: Type.Object({ alert_id: alertId }),
    body: s.acknowledgeRequestSchema,
    response: s.alertSchema,
  },
  {
    id: 'note',
    method: 'POST',
    path: '/api/alerts/{alert_id}/notes',
    summary: 'Write a note',
    access: operator('alert'),
    params: Type.Object({ alert_id: alertId }),
    body: s.noteRequestSchema,
    response: s.alertSchema,
  },
  {
    id: 'assign',
    method: 'POST',
    path: '/api/alerts/{alert_id}/assign',
    summary: 'Take it, give it to somebody, or take it back',
    access: operator('alert'),
    params: Type.Object({ alert_id: alertId }),
    body: s.assignRequestSchema,
    response: s.alertSchema,
  },
  {
    id: 'shelve',
    method: 'POST',
    path: '/api/alerts/{alert_id}/shelve',
    summary: 'Pause it with a reason, for at most a day',
    access: operator('alert'),
    params: Type.Object({ alert_id: alertId }),
    body: s.shelveRequestSchema,
    response: s.alertSchema,
  },
  {
    id: 'unshelve',
    method: 'POST',
    path: '/api/alerts/{alert_id}/unshelve',
    summary: 'End the pause',
    access: operator('alert'),
    params: Type.Object({ alert_id: alertId }),
    body: s.unshelveRequestSchema,
    response: s.alertSchema,
  },
  {
    id: 'alertLoad',
    method: 'GET',
    path: '/api/alert-load/{grid_id}',
    summary: 'How much the alerts of a time ask of people, against ISA-18.2',
    access: viewer(),
    params: gridParams,
    query: Type.Object(
      {
        from: Type.Optional(
          Type.String({ description: 'ISO 8601 or Unix milliseconds; 30 days before the end when left out' }),
        ),
        to: Type.Optional(Type.String({ description: 'ISO 8601 or Unix milliseconds; now when left out' })),
      },
      { additionalProperties: false },
    ),
    response: records.alertLoadAnswerSchema,
  },
  {
    id: 'maintenance',
    method: 'GET',
    path: '/api/maintenance/{grid_id}',
    summary: 'Planned work: alerts are recorded meanwhile and wake nobody',
    access: viewer(),
    params: gridParams,
    response: records.maintenanceListSchema,
  },
  {
    id: 'planMaintenance',
    method: 'POST',
    path: '/api/maintenance/{grid_id}',
    summary: 'Plan work on the grid or on devices, from now or later, for at most a week',
    access: operator(),
    params: gridParams,
    body: records.planMaintenanceSchema,
    response: records.maintenanceListSchema,
  },
  {
    id: 'endMaintenance',
    method: 'POST',
    path: '/api/maintenance/{grid_id}/{maintenance_id}/end',
    summary: 'End planned work before its time',
    access: operator(),
    params: Type.Object({ grid_id: gridId, maintenance_id: Type.String({ minLength: 1, maxLength: 64 }) }),
    body: records.endMaintenanceSchema,
    response: records.maintenanceListSchema,
  },
  {
    id: 'handOver',
    method: 'GET',
    path: '/api/handover/{grid_id}',
    summary: 'What one operator left to the next, with all earlier notes',
    access: viewer(),
    params: gridParams,
    response: records.handOverSchema,
  },
  {
    id: 'writeHandOver',
    method: 'POST',
    path: '/api/handover/{grid_id}',
    summary: 'Write the hand-over note; the one before stays in the history',
    access: operator(),
    params: gridParams,
    body: records.writeHandOverSchema,
    response: records.handOverSchema,
  },
  {
    id: 'historical',
    method: 'GET',
    path: '/api/historical/{grid_id}/{metric}',
    summary: 'Aggregated series of one metric, or several separated by commas',
    access: viewer(),
    params: Type.Object({ grid_id: gridId, metric: Type.String({ minLength: 1, maxLength: 600 }) }),
    query: historyQuery,
    response: s.historySchema,
  },
  {
    id: 'report',
    method: 'GET',
    path: '/api/reports/{grid_id}',
    summary: 'Energy, supply, sun and battery over a period, with completeness and bounds',
    access: viewer(),
    params: gridParams,
    query: reportQuery,
    response: reportSchema,
  },
  {
    id: 'export',
    method: 'GET',
    path: '/api/export/{grid_id}',
    summary: 'Series of any period as a CSV file, sent as it is made',
    access: operator(),
    params: gridParams,
    query: exportQuery,
    response: Type.String(),
    produces: 'text/csv; charset=utf-8',
  },
  {
    id: 'devices',
    method: 'GET',
    path: '/api/device/{grid_id}/list',
    summary: 'Devices with link state and last seen',
    access: viewer(),
    params: gridParams,
    response: Type.Object({ grid_id: Type.String(), now_ms: Type.Number(), devices: Type.Array(s.deviceSchema) }),
  },
  {
    id: 'command',
    method: 'POST',
    path: '/api/device/{device_id}/command',
    summary: 'Tell a device to do something its profile allows: asked, confirmed, acknowledged by the device',
    access: { kind: 'role', role: 'operator', grid: 'body' },
    params: Type.Object({ device_id: Type.String({ pattern: identifierPattern }) }),
    body: commandRequestSchema,
    response: commandAnswerSchema,
  },
  {
    id: 'commands',
    method: 'GET',
    path: '/api/device/{grid_id}/commands',
    summary: 'What the asking person may tell devices to do, and what was asked of them by whom',
    access: operator(),
    params: gridParams,
    response: commandListSchema,
  },
  {
    id: 'balance',
    method: 'GET',
    path: '/api/balance/{grid_id}',
    summary: 'Whether the meters agree with each other over the last day, and which of them is wrong',
    access: viewer(),
    params: gridParams,
    query: Type.Object(
      {
        to: Type.Optional(
          Type.String({ description: 'end of the day to judge; ISO 8601 or Unix milliseconds; now when left out' }),
        ),
      },
      { additionalProperties: false },
    ),
    response: balanceSchema,
  },
  {
    id: 'insight',
    method: 'GET',
    path: '/api/insight/{grid_id}',
    summary: 'What is out of the ordinary and why, until when the battery lasts, and where temperatures head',
    access: viewer(),
    params: gridParams,
    response: insightSchema,
  },
  {
    id: 'rules',
    method: 'GET',
    path: '/api/rules/{grid_id}',
    summary: 'The rules of a grid in plain words, with the limits that can be moved',
    access: viewer(),
    params: gridParams,
    response: ruleListSchema,
  },
  {
    id: 'ruleTest',
    method: 'POST',
    path: '/api/rules/{grid_id}/tests',
    summary: 'Try a rule, or one with other limits, on the stored past: begins a test',
    access: operator(),
    params: gridParams,
    body: ruleTestRequestSchema,
    response: ruleTestSchema,
  },
  {
    id: 'ruleTestState',
    method: 'GET',
    path: '/api/rules/{grid_id}/tests/{test_id}',
    summary: 'How far a test is, and what it found',
    access: operator(),
    params: ruleTestParams,
    response: ruleTestSchema,
  },
  {
    id: 'cancelRuleTest',
    method: 'DELETE',
    path: '/api/rules/{grid_id}/tests/{test_id}',
    summary: 'End a test',
    access: operator(),
    params: ruleTestParams,
    response: ruleTestSchema,
  },
  {
    id: 'users',
    method: 'GET',
    path: '/api/users',
    summary: 'Accounts of people who may see what the asking person administers',
    access: adminAnywhere,
    response: people.accountListSchema,
  },
  {
    id: 'addUser',
    method: 'POST',
    path: '/api/users',
    summary: 'Add a person; answers with a one-time word',
    access: adminAnywhere,
    body: people.newAccountSchema,
    response: people.accountWithWordSchema,
  },
  {
    id: 'changeUser',
    method: 'PUT',
    path: '/api/users/{user_id}',
    summary: 'Give other roles, shut out or let in again; never oneself',
    access: adminAnywhere,
    params: userParams,
    body: people.changeAccountSchema,
    response: people.accountSchema,
  },
  {
    id: 'giveWord',
    method: 'POST',
    path: '/api/users/{user_id}/one-time-word',
    summary: 'A one-time word instead of a forgotten password; logins of the person end',
    access: adminAnywhere,
    params: userParams,
    response: people.accountWithWordSchema,
  },
  {
    id: 'assignees',
    method: 'GET',
    path: '/api/people/{grid_id}',
    summary: 'Names of those whom an alert may be given to',
    access: operator(),
    params: gridParams,
    response: people.assigneesSchema,
  },
  {
    id: 'audit',
    method: 'GET',
    path: '/api/audit/{grid_id}',
    summary: 'Who did what when: to people, devices, alerts; at most the newest 2,000 of a time',
    access: { kind: 'role', role: 'admin', grid: 'path' },
    params: gridParams,
    query: Type.Object(
      {
        from: Type.Optional(
          Type.String({ description: 'ISO 8601 or Unix milliseconds; 30 days before the end when left out' }),
        ),
        to: Type.Optional(Type.String({ description: 'ISO 8601 or Unix milliseconds; now when left out' })),
        area: Type.Optional(Type.Union(auditAreas.map((one) => Type.Literal(one)))),
        search: Type.Optional(Type.String({ maxLength: 100, description: 'words in who, what, about whom, detail' })),
        format: Type.Optional(Type.Literal('csv', { description: 'a file instead of a document' })),
      },
      { additionalProperties: false },
    ),
    response: people.auditSchema,
  },
  {
    id: 'completeness',
    method: 'GET',
    path: '/api/completeness/{grid_id}',
    summary:
      'Count and hash per series, to compare the two sides; at the cloud also what is proven, missing, given up, refused',
    access: viewer(),
    params: gridParams,
    query: Type.Object(
      {
        to: Type.Optional(
          Type.String({ description: 'samples measured before this are counted; ISO 8601 or Unix milliseconds' }),
        ),
        until_ms: Type.Optional(Type.Integer({ minimum: 0, description: 'the same in Unix milliseconds' })),
        day: Type.Optional(
          Type.String({ description: 'day to answer for, YYYY-MM-DD in the grid’s zone (default: the last seven)' }),
        ),
      },
      { additionalProperties: false },
    ),
    response: s.completenessSchema,
  },
  {
    id: 'uplink',
    method: 'GET',
    path: '/api/uplink/{grid_id}',
    summary:
      'The link to the cloud: plan, what waits, bytes of the day and when history will be complete; null elsewhere',
    access: viewer(),
    params: gridParams,
    response: uplinkAnswerSchema,
  },
  {
    id: 'desiredList',
    method: 'GET',
    path: '/api/desired/{grid_id}',
    summary: 'Documents a grid is to have (rules, limits, grid, users), each with its revision and how far it has come',
    access: installer,
    params: gridParams,
    response: desiredListSchema,
  },
  {
    id: 'desired',
    method: 'GET',
    path: '/api/desired/{grid_id}/{name}',
    summary:
      'One document, newest or of a revision; those of people and of the grid itself only for its administrators',
    access: installer,
    params: documentParams,
    query: Type.Object({ rev: Type.Optional(Type.Integer({ minimum: 0 })) }, { additionalProperties: false }),
    response: desiredDocumentSchema,
  },
  {
    id: 'putDesired',
    method: 'PUT',
    path: '/api/desired/{grid_id}/{name}',
    summary: 'Change a document, with the revision it is based on; 409 with both when there is a newer one',
    access: installer,
    params: documentParams,
    body: desiredPutSchema,
    response: desiredDocumentSchema,
  },
  {
    id: 'desiredHistory',
    method: 'GET',
    path: '/api/desired/{grid_id}/{name}/history',
    summary: 'Revisions of a document: who, when, and what became of each',
    access: installer,
    params: documentParams,
    response: desiredHistorySchema,
  },
  {
    id: 'offerClock',
    method: 'POST',
    path: '/api/clock/{grid_id}',
    summary: 'Offer the time of a phone to a gateway that has no better one',
    access: operator(),
    params: gridParams,
    body: s.clockOfferSchema,
    response: s.clockAnswerSchema,
  },
  {
    id: 'notifyStatus',
    method: 'GET',
    path: '/api/notify/{grid_id}',
    summary: 'How the ways of telling people do, and what was sent',
    access: installer,
    params: gridParams,
    response: notifyStatusSchema,
  },
  {
    id: 'notifyTest',
    method: 'POST',
    path: '/api/notify/{grid_id}/test',
    summary: 'Send a test by one way',
    access: installer,
    params: gridParams,
    body: notifyTestSchema,
    response: notifyChannelSchema,
  },
  {
    id: 'live',
    method: 'GET',
    path: '/api/live/{grid_id}',
    summary:
      'WebSocket: snapshot first, then changes. First message, or Authorization header, carries the token. With accept: text/event-stream the same frames as server-sent events, token in the header',
    access: viewer(),
    params: gridParams,
    response: anything,
    websocket: true,
  },
  {
    id: 'legacyLogin',
    method: 'POST',
    path: '/api/login',
    summary: "The prototype's login",
    access: { kind: 'public' },
    body: s.loginRequestSchema,
    response: anything,
  },
  {
    id: 'legacyRealtime',
    method: 'GET',
    path: '/api/dashboard/realtime',
    summary: "The prototype's live values of this gateway's grid",
    access: viewer('own'),
    response: anything,
  },
  {
    id: 'legacyAlerts',
    method: 'GET',
    path: '/api/dashboard/alerts',
    summary: "The prototype's alerts",
    access: viewer('own'),
    response: anything,
  },
  {
    id: 'legacyHistorical',
    method: 'GET',
    path: '/api/dashboard/historical',
    summary: "The prototype's history",
    access: viewer('own'),
    query: Type.Object({ period: Type.Optional(Type.String()) }),
    response: anything,
  },
  {
    id: 'discovery',
    method: 'GET',
    path: '/.well-known/villagrid',
    summary: 'What this server is',
    access: { kind: 'public' },
    response: s.discoverySchema,
  },
  {
    id: 'health',
    method: 'GET',
    path: '/health',
    summary: 'Liveness and readiness; 503 when down',
    access: { kind: 'public' },
    response: s.healthSchema,
  },
  {
    id: 'plain',
    method: 'GET',
    path: '/plain',
    summary:
      'The village in one page for any browser, without JavaScript or login; at the gateway, for its own network',
    access: { kind: 'public' },
    response: anything,
    produces: 'text/html',
  },
  {
    id: 'metrics',
    method: 'GET',
    path: '/metrics',
    summary: 'Prometheus text',
    access: { kind: 'public' },
    response: Type.String(),
    produces: 'text/plain; version=0.0.4',
  },
  {
    id: 'openapi',
    method: 'GET',
    path: '/openapi.json',
    summary: 'This contract',
    access: { kind: 'public' },
    response: anything,
  },
] as const satisfies readonly Route[];

/** Id of a route. */
export type RouteId = (typeof routes)[number]['id'];
