/** The handler of each route, by the route's id. A missing one is a type error and refuses to start. */
import * as alerts from './alerts.js';
import * as auth from './auth.js';
import * as clock from './clock.js';
import * as commands from './commands.js';
import * as desired from './desired.js';
import * as records from './grid-records.js';
import * as grids from './grids.js';
import type { Handlers } from './handler.js';
import * as history from './history.js';
import * as legacy from './legacy.js';
import * as notify from './notify.js';
import * as people from './people.js';
import * as reports from './reports.js';
import * as rules from './rules.js';
import * as server from './server.js';

export const handlers: Handlers = {
  login: auth.login,
  logout: auth.logout,
  me: auth.me,
  choosePassword: auth.choosePassword,
  grids: grids.grids,
  summary: grids.summary,
  alerts: alerts.alerts,
  alert: alerts.alert,
  acknowledge: alerts.acknowledge,
  note: alerts.note,
  alertLoad: records.alertLoad,
  maintenance: records.maintenance,
  planMaintenance: records.planMaintenance,
  endMaintenance: records.endMaintenance,
  handOver: records.handOver,
  writeHandOver: records.writeHandOver,
  assign: alerts.assign,
  shelve: alerts.shelve,
  unshelve: alerts.unshelve,
  historical: history.historical,
  report: reports.report,
  export: reports.exportSeries,
  devices: grids.devices,
  command: commands.command,
  commands: commands.commands,
  balance: reports.balance,
  insight: reports.insight,
  rules: rules.rules,
  ruleTest: rules.ruleTest,
  ruleTestState: rules.ruleTestState,
  cancelRuleTest: rules.cancelRuleTest,
  users: people.users,
  addUser: people.addUser,
  changeUser: people.changeUser,
  giveWord: people.giveWord,
  assignees: people.assignees,
  audit: people.audit,
  completeness: grids.completeness,
  uplink: grids.uplink,
  desiredList: desired.desiredList,
  desired: desired.desired,
  putDesired: desired.putDesired,
  desiredHistory: desired.desiredHistory,
  offerClock: clock.offerClock,
  notifyStatus: notify.notifyStatus,
  notifyTest: notify.notifyTest,
  legacyLogin: auth.legacyLogin,
  legacyRealtime: legacy.legacyRealtime,
  legacyAlerts: legacy.legacyAlerts,
  legacyHistorical: legacy.legacyHistorical,
  discovery: server.discovery,
  health: server.health,
  plain: server.plain,
  metrics: server.metrics,
  openapi: server.openapi,
};
