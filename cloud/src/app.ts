/** Composition of the single-process cloud: every part made, wired and put in the order of its start. */
import type { ApiServer } from '@villagrid/api';
import { decodeFrame, VillagridError, type Clock, type Frame, type RandomSource } from '@villagrid/contracts';
import {
  ClockLedger,
  createAccounts,
  createAlertStore,
  createFileRoom,
  createLifecycle,
  openDatabase,
  type Accounts,
  type Lifecycle,
  type Logger,
} from '@villagrid/runtime';
import { createApi } from './api-server.js';
import type { CloudConfig } from './config/load.js';
import { createDirectIntake } from './direct/intake.js';
import { createDirectRules, type DirectRules } from './direct/rules.js';
import { createDirectStore, type DirectStore } from './direct/store.js';
import { createDirectory, type Directory } from './directory/directory.js';
import { createBoost } from './downlink/boost.js';
import { createCommands } from './downlink/commands.js';
import { createDocuments, namesShutOut } from './downlink/documents.js';
import { createDownlink } from './downlink/downlink.js';
import { siteOf } from './grids/grid.js';
import { createGrids, type CloudGrids } from './grids/grids.js';
import { createLiveBus } from './grids/live.js';
import { createAcceptor } from './ingest/accept.js';
import { createProjector } from './ingest/project.js';
import { newCounters, type Counters } from './observe/counters.js';
import { createHealth } from './observe/health.js';
import { createCloudControl } from './letters/control.js';
import { createReplay, type Replay } from './letters/replay.js';
import { createManifestCheck, type ManifestCheck } from './receipts/manifest-check.js';
import { keptOf } from './retention/policy.js';
import { createRetention, type Retention } from './retention/retention.js';
import { createAbilityStore } from './stores/ability-store.js';
import { createActStore } from './stores/act-store.js';
import { createSentCommands } from './stores/command-store.js';
import { createCursorStore } from './stores/cursor-store.js';
import { createDocumentStore } from './stores/document-store.js';
import { cloudFiles, openCloudDatabase } from './stores/database.js';
import { createGatewayStore } from './stores/gateway-store.js';
import { openHistory } from './stores/history.js';
import { createLinkStore } from './stores/link-store.js';
import { createManifestStore } from './stores/manifest-store.js';
import { createSqliteUplinkStore, type SqliteUplinkStore } from './stores/sqlite-uplink-store.js';
import { createLanes } from './uplink/lanes.js';
import type { WindowHistory } from './stores/window-history.js';
import { createWatch, type Watch } from './watch/watch.js';
import { createPresence } from './uplink/presence.js';
import { createBrokerClient } from './uplink/broker-client.js';
import { inProcessLine, type UplinkLine, type UplinkReceiver } from './uplink/port.js';
import { createReceiver } from './uplink/receiver.js';
import { createUplinkBroker } from './uplink/uplink-broker.js';

/** What a cloud is given by its process. */
export interface CloudPorts {
  /** The village's clock: times that people see. */
  readonly clock: Clock;
  /** The machine's clock: deadlines, sessions, certificates. */
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  /** Environment variables, for settings that name one. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** For tests that end the process between two durable steps. */
  readonly afterCommit?: (step: 'archived' | 'projected') => void;
  /** For simulations in one process: nothing listens, and this takes what goes down to gateways. */
  readonly inProcess?: Pick<UplinkLine, 'publish'>;
}

/** Addresses it listens on, once started; https is null when it is not configured. */
export interface CloudAddresses {
  readonly http: string;
  readonly https: string | null;
  readonly mqtts: string;
}

/** A cloud: its parts, and what tests look at. */
export interface Cloud {
  readonly lifecycle: Lifecycle;
  /** Starts all; E_PORT_IN_USE or E_CERTIFICATE when something is in the way. */
  start(): Promise<CloudAddresses>;
  /** Where it listens; undefined while it does not. */
  addresses(): CloudAddresses | undefined;
  /** Stops all in reverse order, within 3 s; never rejects. */
  stop(): Promise<void>;
  readonly grids: CloudGrids;
  readonly directory: Directory;
  readonly store: SqliteUplinkStore;
  readonly history: WindowHistory;
  readonly counters: Counters;
  /** The way to gateways and devices, and who takes what comes by it. */
  readonly line: UplinkLine;
  readonly receiver: UplinkReceiver;
  /** The cloud's own rules. */
  readonly watch: Watch;
  /** Rules over devices without a gateway. */
  readonly directRules: DirectRules;
  readonly direct: DirectStore;
  /** Dead letters once more. */
  readonly replay: Replay;
  /** Deletes what was kept long enough. */
  readonly retention: Retention;
  /** Compares days with what gateways say of them. */
  readonly manifestCheck: ManifestCheck;
}

/** Opens the stores and makes every part; nothing listens before `start`. */
export function createCloud(config: CloudConfig, ports: CloudPorts): Cloud {
  const { realClock, random, log } = ports;
  // Times of the village go into whole milliseconds at the door.
  const clock: Clock = { ...ports.clock, nowMs: () => Math.round(ports.clock.nowMs()) };
  const counters = newCounters();
  const directory = createDirectory(config, { realClock, log: log.child('directory') });

  const database = openCloudDatabase(config.data_dir);
  const accountsDatabase = openDatabase({ path: cloudFiles(config.data_dir).accounts });
  const accounts = createAccounts({ database: accountsDatabase, realClock, random, log: log.child('accounts') });
  const store = createSqliteUplinkStore(database);
  const gateways = createGatewayStore(database);
  const links = createLinkStore(database);
  const acts = createActStore(database);
  const alerts = createAlertStore({ database });
  const direct = createDirectStore(database);
  const ledger = new ClockLedger(database);
  const frames = ledger.reader({
    framesOverlapping: (fromMs, toMs, gridId) => decodeAll(store.framesBetween(gridId, fromMs, toMs, projector.cursor)),
  });
  const zoneOf = (gridId: string): string => {
    const entry = directory.ofGrid(gridId);
    return entry ? (grids.get(gridId)?.site() ?? siteOf(entry, directory.devicesOf(gridId), gateways)).zone : 'UTC';
  };
  const { telemetry, history } = openHistory(config, {
    database,
    frames,
    store,
    directory,
    clock,
    realClock,
    random,
    log: log.child('history'),
    environment: ports.environment ?? {},
    zoneOf,
  });
  const live = createLiveBus(log.child('live'));
  const presence = createPresence({
    store: gateways,
    clock,
    log: log.child('presence'),
    onChange: (gateway) => grids.get(gateway.grid_id)?.presenceChanged(),
  });
  const downlink = createDownlink({
    publish: (topic, payload) => line.publish(topic, payload),
    acts,
    directory,
    presence,
    clock,
    realClock,
    log: log.child('downlink'),
    counters,
  });
  const abilities = createAbilityStore(database);
  const documents = createDocuments({
    store: createDocumentStore(database),
    abilities,
    transaction: (run) => database.transaction(run).immediate(),
    directory,
    presence,
    send: (gateway, message) => downlink.send(gateway, message),
    siteOf(gridId) {
      const entry = directory.ofGrid(gridId);
      if (entry?.own !== undefined) return siteOf(entry, directory.devicesOf(gridId), gateways);
      return entry && gateways.get(entry.gateway_id, gridId)?.site;
    },
    shutOut: (gridId) => namesShutOut(accounts.list(), gridId, grids.get(gridId)?.site().organisation_id),
    onDenied: (gridId, username) => endAccess(accounts, gridId, username, realClock.nowMs()),
    onChanged: (gridId) => grids.get(gridId)?.siteChanged(),
    clock,
    realClock,
    random,
    log: log.child('documents'),
  });
  const commands = createCommands({
    store: createSentCommands(database),
    abilities,
    presence,
    send: (gateway, message) => downlink.send(gateway, message),
    clock,
    realClock,
    random,
    log: log.child('commands'),
  });
  const projector = createProjector({
    onCommand: (gridId, entry) => commands.took(gridId, entry),
    onDocument: (gridId, entry) => documents.took(gridId, entry),
    database,
    store,
    telemetry,
    ledger,
    alerts,
    links,
    acts,
    clock,
    realClock,
    random,
    log: log.child('projection'),
    counters,
    inTransaction: () => presence.save(),
    onProjected: (gridId, changed) => {
      retention.projected(gridId, changed);
      grids.get(gridId)?.projected(changed);
      directRules.projected(gridId, changed.samples);
    },
    afterCommit: () => ports.afterCommit?.('projected'),
  });
  const grids = createGrids(directory, {
    cloudId: config.cloud_id,
    database,
    store,
    telemetry,
    history,
    frames,
    ledger,
    alerts,
    acts,
    links,
    gateways,
    presence,
    direct: { link: (id) => directIntake.link(id), heardMs: (id) => directIntake.heardMs(id) },
    downlink,
    documents,
    commands,
    projector,
    live,
    clock,
    onWatched: (gridId, on) => boost.watched(gridId, on),
    manifestOf: (gridId, day) => manifestCheck.proofOf(gridId, day),
    differingDays: (gridId) => manifestCheck.differingDays(gridId),
    kept(organisation) {
      const kept = keptOf(config.retention, organisation);
      // How long another store keeps windows is its own affair.
      return telemetry.outbox === undefined ? kept : { raw: kept.raw };
    },
  });
  const directRules = createDirectRules({
    ...{ directory, alerts, direct, clock, realClock, random },
    grid: (gridId) => grids.get(gridId),
    log: log.child('rules'),
    speed: config.clock?.speed ?? 1,
  });
  const directIntake = createDirectIntake({
    ...{ database, store, direct, clock, realClock, random, counters },
    origin: { kind: 'cloud', id: config.cloud_id },
    log: log.child('devices'),
    metricsOf: ({ grid_id, device_id }) => grids.get(grid_id)?.metricsOf(device_id) ?? [],
    afterCommit: () => ports.afterCommit?.('archived'),
    onAccepted: () => projector.run(),
  });
  const manifestCheck = createManifestCheck({
    manifests: createManifestStore(database),
    ...{ store, telemetry, projector, ledger, clock, realClock },
    log: log.child('manifest'),
  });
  const retention = createRetention({
    settings: config.retention,
    ...{ directory, store, direct },
    telemetry,
    projector,
    ledger,
    cursors: createCursorStore(database),
    hasWindows: telemetry.outbox === undefined,
    file: createFileRoom(cloudFiles(config.data_dir).cloud, () => database),
    zoneOf,
    clock,
    realClock,
    log: log.child('retention'),
  });
  const acceptor = createAcceptor({
    store,
    clock,
    realClock,
    log: log.child('ingest'),
    counters,
    afterCommit: () => ports.afterCommit?.('archived'),
    sendReceipt: (gateway, receipt) => downlink.sendReceipt(gateway, receipt),
    onAccepted: () => projector.run(),
  });
  const boost = createBoost({ directory, presence, downlink, realClock });
  const lanes = createLanes({
    database,
    gateways,
    store,
    alerts,
    presence,
    downlink,
    documents,
    commands,
    clock,
    log: log.child('session'),
    counters,
    onPlan: (gateway, plan) => boost.plan(gateway, plan),
    onSite: (gateway) => grids.get(gateway.grid_id)?.siteChanged(),
    onAlerts: (gateway, alertIds) =>
      grids
        .get(gateway.grid_id)
        ?.projected({ samples: [], alertIds: new Set(alertIds), deviceIds: new Set(), restamped: false }),
  });
  const receiver = createReceiver({ presence, lanes, acceptor, direct: directIntake });
  const replay = createReplay({
    ...{ database, store, directory, acceptor, lanes, history, projector, clock },
    direct: directIntake,
  });
  const line = ports.inProcess
    ? inProcessLine(ports.inProcess)
    : createLine(config, { directory, realClock, log, receiver });
  const health = createHealth({
    counters,
    database,
    store,
    history,
    acts,
    projector,
    directory,
    presence,
    direct,
    line,
    clock,
    silentAfterMs: config.silent_after_s * 1000,
  });
  const api: ApiServer = createApi(config, {
    clock,
    realClock,
    random,
    log: log.child('api'),
    auth: accounts,
    people: accounts,
    grids,
    health,
  });

  const watch = createWatch({
    grids: () => grids.list(),
    alerts,
    presence,
    ranBetween: (gridId, fromMs, toMs) => store.hasFramesBetween(gridId, fromMs, toMs),
    silentAfterMs: config.silent_after_s * 1000,
    clock,
    realClock,
    random,
    log: log.child('watch'),
    speed: config.clock?.speed ?? 1,
  });

  const lifecycle = createLifecycle({ log, clock: realClock, stopWithinMs: 2800 });
  lifecycle.add({
    name: 'stores',
    start() {},
    stop() {
      presence.save();
      database.close();
      accountsDatabase.close();
    },
  });
  lifecycle.add({ name: 'history', start: () => history.start(), stop: () => history.stop(), stopDeadlineMs: 500 });
  lifecycle.add({ name: 'projection', start: () => projector.run(), stop: () => projector.stop() });
  lifecycle.add(directory);
  lifecycle.add(retention);
  lifecycle.add(manifestCheck);
  lifecycle.add(watch);
  lifecycle.add(directRules);
  if (!ports.inProcess)
    lifecycle.add({
      name: 'api',
      start: async () => void (await api.start()),
      stop: () => api.stop(),
      stopDeadlineMs: 1000,
    });
  lifecycle.add(downlink);
  lifecycle.add(documents);
  lifecycle.add(commands);
  lifecycle.add(boost);
  lifecycle.add({ name: 'ingest', start() {}, stop: () => acceptor.drained(), stopDeadlineMs: 1000 });
  lifecycle.add({ ...directIntake, stopDeadlineMs: 1000 });
  if (!ports.inProcess)
    lifecycle.add(createCloudControl({ dataDir: config.data_dir, store, direct, directory, replay }));
  lifecycle.add({ name: 'mqtts', start: () => line.start(), stop: () => line.stop(), stopDeadlineMs: 1500 });

  const addresses = (): CloudAddresses | undefined => {
    const url = (scheme: string) => api.urls.find((one) => one.startsWith(`${scheme}:`)) ?? null;
    const http = url('http');
    const mqtts = line.address();
    return http === null || mqtts === undefined ? undefined : { http, https: url('https'), mqtts };
  };

  return {
    lifecycle,
    async start() {
      await lifecycle.start();
      const found = addresses();
      if (!found) throw new VillagridError('E_INTERNAL', 'the cloud does not listen');
      return found;
    },
    addresses,
    stop: () => lifecycle.stop(),
    grids,
    directory,
    store,
    history,
    counters,
    line,
    receiver,
    watch,
    directRules,
    direct,
    replay,
    retention,
    manifestCheck,
  };
}

/** The broker that is built in, or the way to another one. Throws E_CERTIFICATE. */
function createLine(
  { mqtts, broker }: CloudConfig,
  ports: {
    readonly directory: Directory;
    readonly realClock: Clock;
    readonly log: Logger;
    readonly receiver: UplinkReceiver;
  },
): UplinkLine {
  if (broker !== undefined) return createBrokerClient({ ...ports, config: broker, log: ports.log.child('broker') });
  if (mqtts !== undefined) return createUplinkBroker({ ...ports, config: mqtts, log: ports.log.child('mqtts') });
  throw new VillagridError('E_CONFIG_INVALID', 'neither mqtts nor broker is configured.');
}

/** Takes the roles that somebody has on one grid; what they have elsewhere is not that grid's affair. */
function endAccess(accounts: Accounts, gridId: string, username: string, atMs: number): void {
  const account = accounts.list().find((one) => one.username === username);
  const left = account?.grants.filter(({ scope }) => scope.kind !== 'grid' || scope.grid_id !== gridId);
  if (account !== undefined && left !== undefined && left.length < account.grants.length)
    accounts.setGrants(username, left, { actor: { user_id: '', name: `village ${gridId}` }, atMs });
}

/** Frames of the archive, which were all found good when they came. */
function* decodeAll(all: Iterable<Uint8Array>): Generator<Frame> {
  for (const bytes of all) yield decodeFrame(bytes);
}
