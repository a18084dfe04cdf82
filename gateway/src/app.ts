/** The composition root of a gateway: every part made, wired and put in the order of its start. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createApiServer, type ApiAddress, type ApiPorts, type Listen } from '@villagrid/api';
import {
  isGridRecord,
  isTrusted,
  lineDownRuleId,
  meterDisagreesRuleId,
  nodeTime,
  topics,
  type Alert,
  type AlertEvent,
  type Clock,
  type RandomSource,
} from '@villagrid/contracts';
import {
  createAccounts,
  ClockLedger,
  createCommandStore,
  createDesiredStore,
  createFileRoom,
  createLifecycle,
  createNotifyStore,
  type Accounts,
  type BrokerLimits,
  type GuardedBroker,
  type Lifecycle,
  type Logger,
  wasClosedCleanly,
} from '@villagrid/runtime';
import { createAlerts } from './alerts/alerts.js';
import { createBalanceCheck } from './balance/balance-check.js';
import { createDeviceLogin } from './broker/device-login.js';
import { createIngestBroker, plainDevices, readPem, type BrokerIntake } from './broker/ingest-broker.js';
import { stoppedHardSubject } from './health/power-cut.js';
import { clockCorrectedSubject } from './clock/corrected-alert.js';
import { createClockKeeper, createVillageClock } from './clock/keeper.js';
import { systemTimeSources, type TimeSources } from './clock/sources.js';
import type { GatewayConfig } from './config/schema.js';
import { createDesired } from './desired/desired.js';
import { inForce, peopleOf, whyNot, type OwnSettings } from './desired/in-force.js';
import { applyPeople } from './desired/people.js';
import { endpointOf, registerCommands, resolveProfiles, withPollPeriods, type DriverSink } from './drivers/index.js';
import { createGridPort, createGridsPort } from './grid/grid-port.js';
import { storageFigures } from './health/card.js';
import { createHealth, diskUsedPct } from './health/health.js';
import { createInsight } from './insight/insight.js';
import { createUsual } from './insight/usual.js';
import { createIntake } from './intake/intake.js';
import { Lines } from './live/lines.js';
import { keepLinks } from './project/kept-links.js';
import { Live } from './live/live.js';
import { loadNamedMappings, type Mapping } from './mappings/index.js';
import { NodeCommands } from './nodes/commands.js';
import { RemoteCommands } from './nodes/remote-commands.js';
import { createMappedNodes } from './nodes/mapped-nodes.js';
import { createPrototype } from './nodes/prototype.js';
import { createNotifier, makeChannels, notifyFailingRuleId, type ModemWaits } from './notify/index.js';
import { readNotifySecrets } from './config/notify-secrets.js';
import { Ballast } from './log/ballast.js';
import { DataFolder } from './log/data-folder.js';
import { openLogStore } from './log/log-store.js';
import type { DurableLog } from './log/log.js';
import { formerEpochs, settleRestored } from './log/restored.js';
import { settleSalvaged } from './log/salvage.js';
import { NodeSequences } from './log/sequences.js';
import { lendLines, linesSocket } from './links/index.js';
import { gatewayParts } from './parts.js';
import { ownFile } from './places.js';
import { uplinkCursor, type UplinkDestination } from './uplink/index.js';
import { createPressure } from './project/pressure.js';
import { loadSiteRules, siteDefaults } from './rules/index.js';
import { createProjector } from './project/projector.js';
import { createManifests } from './manifest/manifest.js';
import { createRetention } from './retention/retention.js';
import { createHistoryKeeper } from './store/keeper.js';
import { createSealStore } from './log/seal-store.js';
import { createHistoryStore } from './store/store.js';

// For whoever reads a log's file without a gateway: the bench, tools.
export { unpackFrame } from './log/packed.js';
export { emptyJournal } from './log/log-store.js';

/** Files in the data folder. People's accounts are apart from measurements, so that either survives the other. */
export const databaseFiles = { log: 'log.db', telemetry: 'telemetry.db', settings: 'settings.db' } as const;

/** Name of the lines that are broken, as they are kept in the log. */
const linesState = 'lines';
/** States from whose number on their readers want the log's frames after a start. */
const statesOfReaders = ['node_sequences', 'rules'];
/** Frames that are read again within about a quarter of a second, unless they are of a flood. */
const framesWorthWaiting = 2000;
const longestWaitMs = 700;

/** What a gateway gets from its process. */
export interface GatewayPorts {
  /** The village's time; the same as `realClock` on a real box. */
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  /** For tests: other bounds of the broker. */
  readonly brokerLimits?: Partial<BrokerLimits>;
  /** For tests: shorter waits of a modem. */
  readonly modemWaits?: Partial<ModemWaits>;
  /** For tests: how long a document is tried, real milliseconds. */
  readonly documentTrialMs?: number;
  /** For tests: what the system knows of the time. */
  readonly timeSources?: TimeSources;
  /**
   * For simulations in one process: nothing listens, this is the line to the cloud, and what only looks at figures over
   * hours and days (balance, insight, the gateway's own health) rests.
   */
  readonly inProcess?: { readonly destination: UplinkDestination };
}

/** Addresses of a running gateway, as the ready line tells them. */
export interface GatewayAddresses {
  readonly http: string | undefined;
  readonly https: string | undefined;
  readonly mqtt: string;
  readonly mqtts: string | undefined;
}

/** A gateway; nothing listens before `start`. */
export interface Gateway {
  start(): Promise<GatewayAddresses>;
  stop(): Promise<void>;
  /** The parts, for a process that runs until a signal. */
  readonly lifecycle: Lifecycle;
  /** Known once started. */
  addresses(): GatewayAddresses;
  readonly api: ApiPorts;
  readonly accounts: Accounts;
  readonly log: DurableLog;
  /** The village's time as this gateway knows it. */
  readonly clock: Clock;
  readonly broker: GuardedBroker;
  /** Where the broker puts what devices say. */
  readonly devices: BrokerIntake;
  /** Where drivers put what they learn. */
  readonly sink: DriverSink;
}

/** Version of this program. */
export const gatewayVersion = (JSON.parse(readFileSync(ownFile('package.json'), 'utf8')) as { version: string })
  .version;

/** Opens the stores and makes all parts. Throws E_STORE_OPEN, E_CERTIFICATE or E_CONFIG_*. */
export function createGateway(given: GatewayConfig, ports: GatewayPorts): Gateway {
  const { realClock, random, log: logger } = ports;
  const { connections, profiles } = resolveProfiles(given.modbus?.connections ?? [], given.modbus?.profiles_dir);
  // Documents from the cloud may give it another name, place and plant while it runs.
  const site = { ...withPollPeriods(given.site, connections, profiles) };
  const config = { ...given, site, ...(given.modbus ? { modbus: { ...given.modbus, connections } } : {}) };
  const gridId = site.grid_id;
  // A demonstration's time is what its settings say.
  const trustSetting = config.clock_trust === 'auto' && config.clock ? 'ntp' : config.clock_trust;
  const clock = createVillageClock(ports.clock, trustSetting);
  const clockTrust = () => clock.trust();
  // Before anything is opened: what is wrong with settings leaves nothing behind.
  const mappings = mappingsOf(config);
  const mapped = createMappedNodes(config.mqtt_devices.devices, mappings, {
    reading: (deviceId, parsed) => intake.parsed(deviceId, parsed),
    link: (deviceId, state) => link(deviceId, state),
    answer: (deviceId, topic, payload) => commands.heard(deviceId, topic, payload),
  });
  const notifySecrets = config.notify ? readNotifySecrets(config.notify.secrets_file) : {};
  const writable = registerCommands(connections, profiles, (...asked) => write(...asked));
  mkdirSync(config.data_dir, { recursive: true, mode: 0o700 });
  const data = new DataFolder({ folder: config.data_dir, clock, realClock, log: logger.child('data') });
  const telemetryDatabase = data.open(databaseFiles.telemetry);
  const settingsDatabase = data.open(databaseFiles.settings, { copied: true });

  const ballast = new Ballast({
    folder: config.data_dir,
    bytes: config.log.ballast_mb * 1024 * 1024,
    realClock,
    log: logger.child('data'),
  });
  const logPath = join(config.data_dir, databaseFiles.log);
  const stoppedHard = existsSync(logPath) && !wasClosedCleanly(logPath);
  const logStore = openLogStore({
    path: logPath,
    quarantine: data.quarantine,
    clock,
    realClock,
    random,
    log: logger.child('log'),
    trust: clockTrust,
    holdMs: config.log.hold_ms,
    maxSamples: config.log.max_batch,
    maxBytes: config.log.max_batch_bytes,
    makeRoom: () => ballast.release(),
    journalBytes: config.log.journal_mb * 1024 * 1024,
  });
  const { log, alertStore } = logStore;
  const keeper = createClockKeeper({
    system: ports.clock,
    clock,
    log,
    random,
    realClock,
    logger: logger.child('clock'),
    sources: trustSetting === 'auto' ? (ports.timeSources ?? systemTimeSources({ realClock })) : undefined,
  });
  const ledger = new ClockLedger(telemetryDatabase);
  const telemetry = createHistoryStore({
    database: telemetryDatabase,
    zoneOf: () => site.zone,
    log: logger.child('history'),
  });
  settleSalvaged(log, telemetry, { gridId, gatewayId: site.gateway_id });
  settleRestored(log, telemetry, site.gateway_id);
  const live = new Live({ site, clock, logger: logger.child('live') });
  live.restore(telemetry.latest(gridId));
  const sequences = new NodeSequences(log);

  const own: OwnSettings = { site: { ...site }, limits: config.limits };
  const siteRules = loadSiteRules(config.rules_dir, { site, defaults: siteDefaults(site, config.limits) });
  const accounts = createAccounts({ database: settingsDatabase, realClock, random, log: logger.child('accounts') });
  const desired = createDesired({
    store: createDesiredStore(settingsDatabase),
    gridId,
    check: (bodies, changed) => (changed === 'users' ? undefined : whyNot(own, bodies, Math.round(clock.nowMs()))),
    apply(bodies, changed, before) {
      if (changed === 'users') return applyPeople(accounts, gridId, before, bodies.users);
      const { words, limits, rules } = inForce(own, bodies);
      const former = { ...site };
      Object.assign(site, words);
      try {
        alerts.setRules(rules, limits);
      } catch (error) {
        Object.assign(site, former);
        throw error;
      }
      live.tell({ type: 'site' });
    },
    local: (name) =>
      name === 'rules'
        ? Object.fromEntries(siteRules.changes)
        : name === 'users'
          ? peopleOf(accounts.list(), gridId)
          : undefined,
    isWell: async () => (await health.port.check()).status !== 'down',
    report: (entry) => log.append({ entries: [entry] }, { urgent: true }),
    onDecided: () => uplink?.siteChanged(),
    clock,
    realClock,
    random,
    logger: logger.child('documents'),
    trialMs: ports.documentTrialMs,
  });
  const begin = inForce(own, desired.bodies());
  Object.assign(site, begin.words);
  const ruleProblems = [...siteRules.problems, ...begin.problems];
  // One that is not right must not keep the village without all others; an alert says so.
  for (const problem of ruleProblems) logger.error('a rule of this site cannot be used', { detail: problem });
  const endpoints = new Set(connections.map((one) => endpointOf(one).toLowerCase()));
  const lines = new Lines(log.state(linesState)?.value, (line) => endpoints.has(line.toLowerCase()));
  log.join((number) => {
    const state = lines.state();
    if (state !== (log.state(linesState)?.value ?? '[]')) log.putState(linesState, number, state);
  });
  const nameOf = (deviceId: string): string => site.devices.find((one) => one.device_id === deviceId)?.name ?? deviceId;
  const usual = createUsual(log, site);
  const alerts = createAlerts({
    lines,
    site,
    limits: begin.limits,
    rules: begin.rules,
    broken: (error) => desired.broken(error),
    speed: config.clock?.speed,
    log,
    corrected: (frame) => ledger.restamp(gridId, frame),
    store: alertStore,
    live,
    clock,
    realClock,
    random,
    logger: logger.child('alerts'),
    usual: usual.at,
    usualChanges: usual.changes,
    ownWords(ruleId) {
      if (ruleId === notifyFailingRuleId) return notifier?.words();
      if (ruleId === meterDisagreesRuleId) return balance.words();
      return ruleId === lineDownRuleId ? lines.words(nameOf) : insight.words(ruleId);
    },
    saidBy: (deviceId) => faultWords(deviceId),
    tell,
  });
  // The rules went on with what they knew; people are not told that it is of now.
  if (!isTrusted(clock.trust())) live.markLastKnown();
  const intake = createIntake({
    log,
    sequences,
    clock,
    clockTrust,
    realClock,
    logger: logger.child('intake'),
    wired: (deviceId, metric) => live.isWired(deviceId, metric),
    arrived: (samples) => alerts.onSamples(samples, live.apply(samples)),
    arrivals(series) {
      const show = live.onReadings(series);
      const judge = alerts.onReadings(series);
      return (timeMs, values, quality, arrivalMs) =>
        judge(timeMs, values, show(timeMs, values, quality, arrivalMs), arrivalMs);
    },
  });

  const sleeping = new Set(config.mqtt_devices.devices.flatMap((one) => (one.sleeps ? [one.device_id] : [])));
  for (const deviceId of keepLinks(log)) if (!sleeping.has(deviceId)) live.setLink(deviceId, 'down');
  /** A link came up or went down: shown at once, kept in the log when that is new. */
  const link = async (deviceId: string, state: 'up' | 'down'): Promise<void> => {
    if (state === 'down' && sleeping.has(deviceId)) return;
    if (!live.setLink(deviceId, state)) return;
    await log.append({
      entries: [
        {
          type: 'link_state',
          device_id: deviceId,
          state: state === 'up' ? 'online' : 'offline',
          time_ms: Math.round(clock.nowMs()),
        },
      ],
    });
  };
  const sink: DriverSink = {
    // A driver reads again soon; the log tells when it cannot write.
    reading: (reading) => void intake.driver(reading).catch(() => {}),
    link(deviceId, state, reason) {
      logger.info(`link ${state}`, { device_id: deviceId, reason });
      lines.setDevice(deviceId, state);
      link(deviceId, state).catch(() => {});
    },
    line: (line, state, deviceIds, reason) => lines.set(line, state, deviceIds, reason),
  };

  const commands = new NodeCommands({
    enabled: config.commands.enabled,
    expiresInS: config.commands.expires_in_s,
    gridId,
    devices: site.devices.map(({ device_id, name }) => ({
      deviceId: device_id,
      name,
      commands: [...(mapped.commands.get(device_id) ?? []), ...(writable.get(device_id) ?? [])],
    })),
    isDevice: (deviceId) => site.devices.some(({ device_id }) => device_id === deviceId),
    records: createCommandStore(settingsDatabase),
    isConnected: (deviceId) => live.link(deviceId) === 'up',
    publish: (topic, payload) => broker.publish(topic, payload, { qos: 1 }),
    audit: ({ command_id, device_id, command, value, state, reason, actor }, nowMs) =>
      log.append(
        {
          entries: [
            { type: 'command', id: command_id, device_id, command, value, state, reason, actor, time_ms: nowMs },
          ],
        },
        { urgent: true },
      ),
    clock,
    realClock,
    random,
    logger: logger.child('commands'),
  });
  const remote = new RemoteCommands({
    gatewayId: site.gateway_id,
    commands,
    diagnose: async () => JSON.stringify(await health.port.check()),
    audit: ({ command_id, device_id, command, value, state, reason, actor }) =>
      log.append(
        {
          entries: [
            {
              ...{ type: 'command', id: command_id, device_id, command, value, state, reason, actor },
              time_ms: Math.round(clock.nowMs()),
            },
          ],
        },
        { urgent: true },
      ),
    say: (message) => uplink?.say(message),
    realClock,
    logger: logger.child('commands'),
  });
  const prototype = createPrototype(intake.parsed);

  const devices: BrokerIntake = {
    telemetry: intake.telemetry,
    telemetryOf: intake.telemetryOf,
    legacyData: prototype,
    legacyAlert: alerts.legacyText,
    async link(login, state) {
      await Promise.all([link(login, state), ...mapped.devicesOf(login).map((deviceId) => link(deviceId, state))]);
    },
    ack: (deviceId, payload) => commands.acknowledged(deviceId, payload),
    async time(deviceId, question) {
      const answer = nodeTime(question, clock.nowMs(), clockTrust());
      // A node that is gone asks again.
      await broker.publish(topics.command(gridId, deviceId), JSON.stringify(answer)).catch(() => {});
    },
  };
  const broker = createIngestBroker({
    config,
    login: createDeviceLogin({
      credentialsFile: config.device_credentials_file,
      gridId,
      random,
      logger: logger.child('broker'),
    }),
    intake: devices,
    foreign: mapped,
    clock: realClock,
    logger: logger.child('broker'),
    ...(ports.brokerLimits ? { limits: ports.brokerLimits } : {}),
  });

  function tell(event: AlertEvent, alert: Alert | undefined): void {
    // Planned work and hand-over notes are part of the grid's own page.
    live.tell(isGridRecord(event) ? { type: 'site' } : { type: 'alert', alertId: event.alert_id });
    if (!alert) return;
    notifier?.tell(event, alert);
    const { notes: _notes, timeline: _timeline, shelvings: _shelvings, ...shown } = alert;
    const message = { v: 1, event: event.kind, event_id: event.id, at_ms: event.at_ms, alert: shown };
    broker.publish(topics.alerts(gridId), JSON.stringify(message), { qos: 1 }).catch(() => {});
  }

  const isPressed = createPressure(() => log.stats.samples, realClock);
  const projector = createProjector({
    isPressed,
    gridId,
    gatewayId: site.gateway_id,
    log,
    telemetry,
    transaction: (run) => telemetryDatabase.transaction(run).immediate(),
    ledger,
    restamped(frames) {
      for (const { id, alert_id, at_ms } of frames.flatMap(({ events }) => events))
        if (alertStore.retime(alert_id, id, at_ms)) live.tell({ type: 'alert', alertId: alert_id });
      alerts.retimed();
    },
    realClock,
    logger: logger.child('projector'),
  });
  let lastSign = stoppedHard ? log.read(log.newestNumber(), { maxFrames: 1, maxBytes: 1 })[0]?.frame : undefined;
  /** Told once, as soon as the time is known. */
  const tellOfStop = (): void => {
    if (lastSign === undefined || !isTrusted(clock.trust())) return;
    const subject = stoppedHardSubject(ledger.restamp(gridId, lastSign), clock.nowMs(), site.zone);
    lastSign = undefined;
    if (subject) alerts.happened(subject);
  };
  keeper.onChange((change) => {
    tellOfStop();
    alerts.clockMoved(change.correctionMs);
    notifier?.clockMoved(change.correctionMs);
    live.clockMoved(change.correctionMs, isTrusted(change.to));
    const subject = clockCorrectedSubject(change, site.zone);
    if (subject) alerts.happened(subject);
    health.feed();
  });
  const history = createHistoryKeeper({
    store: telemetry,
    behind: () => projector.behind(),
    isPressed,
    clock,
    realClock,
    logger: logger.child('history'),
  });
  const { parts, uplink, quality, write, line, faultWords } = gatewayParts({
    config,
    profiles,
    version: gatewayVersion,
    log,
    seals: createSealStore(telemetryDatabase, log.epoch),
    formerEpochs: formerEpochs(log),
    sink,
    documents: desired,
    commands: {
      enabled: config.commands.enabled,
      announced: (message) => remote.announced(message),
      go: (message) => remote.go(message),
    },
    onActs: async (events) => void (await Promise.all(events.map((event) => alerts.append(event)))),
    clock,
    realClock,
    random,
    logger,
    clockTrust,
    // A simulation tells nothing of the machine it runs on.
    storage: () => (ports.inProcess ? {} : storageFigures(config.data_dir)),
    ...(ports.inProcess ? { destination: ports.inProcess.destination } : {}),
    clockOffsetMs: () => clock.offsetMs(),
    onCloudTime: (nowMs, exactToMs) => void keeper.offerCloud(nowMs, exactToMs),
  });
  const retention = createRetention({
    settings: config.retention,
    gatewayId: site.gateway_id,
    log,
    store: telemetry,
    files: [
      createFileRoom(logPath, logStore.database, () => log.trusted()),
      createFileRoom(join(config.data_dir, databaseFiles.telemetry), () => telemetryDatabase),
    ],
    receipted: () => (uplink ? log.cursor(uplinkCursor) : undefined),
    unneeded: () => Math.min(...statesOfReaders.map((name) => log.state(name)?.number ?? 0)),
    diskUsedPct: () => (ports.inProcess ? undefined : diskUsedPct(config.data_dir)),
    gaveUp: () => uplink?.siteChanged(),
    // While times are being put right, nobody can tell what is old.
    trust: () => (projector.repairing() || projector.behind() > 0 ? 'floor' : clock.trust()),
    clock,
    realClock,
    logger: logger.child('retention'),
  });
  const notifier = config.notify && makeNotifier(config.notify);
  function makeNotifier(settings: NonNullable<GatewayConfig['notify']>) {
    const store = createNotifyStore(settingsDatabase);
    const notifyLog = logger.child('notify');
    const pin = 'pin';
    return createNotifier({
      config: settings,
      site,
      channels: makeChannels({
        config: settings,
        secrets: notifySecrets,
        pinState: { get: () => store.state(pin), put: (value) => store.putState(pin, value) },
        clock,
        realClock,
        logger: notifyLog,
        modemWaits: ports.modemWaits,
      }),
      store,
      active: () => alertStore.list(gridId, { status: 'active' }),
      figure: (metric, value) => alerts.onInternalFigure(metric, value),
      timeKnown: () => isTrusted(clock.trust()),
      speed: config.clock?.speed,
      clock,
      realClock,
      logger: notifyLog,
    });
  }
  const health = createHealth({
    dataDir: config.data_dir,
    log,
    walBytes: logStore.walBytes,
    linesDown: () => lines.downCount,
    damagedFiles: () => data.damagedFiles(),
    brokenRules: ruleProblems.length,
    intake: intake.counters,
    broker,
    plainDevices: config.mqtt_plain.lan ? plainDevices(config) : undefined,
    projector,
    alerts,
    uplink,
    notifier,
    villageClock: clock,
    keeper,
    clock,
  });
  const grid = createGridPort({
    desired: desired.port,
    site,
    nowMs: () => clock.nowMs(),
    uplink: () => uplink?.stats(),
    live,
    quality,
    log,
    alerts,
    telemetry,
    projector,
    commands,
  });
  const manifests = createManifests({
    log,
    zone: site.zone,
    async countsBefore(timesMs) {
      await projector.settle();
      // Without a wait in between: all speak of the same frames.
      return {
        number: log.newestNumber() - projector.behind(),
        counts: timesMs.map((timeMs) => telemetry.completeness(site.grid_id, timeMs)),
      };
    },
    trust: () => clock.trust(),
    clock,
    realClock,
    logger: logger.child('manifest'),
  });
  const balance = createBalanceCheck({
    grid,
    log,
    figure: (metric, value) => alerts.onInternalFigure(metric, value),
    timesAreRight: () => isTrusted(clock.trust()) && !projector.repairing(),
    clock,
    logger: logger.child('balance'),
  });
  const insight = createInsight({
    grid,
    log,
    usual,
    figure: (metric, value) => alerts.onInternalFigure(metric, value),
    timesAreRight: () => isTrusted(clock.trust()) && !projector.repairing(),
    clock,
    logger: logger.child('insight'),
  });
  const api: ApiPorts = {
    identity: {
      kind: 'gateway',
      serverId: site.gateway_id,
      version: gatewayVersion,
      gridId,
      silentAfterMs: null,
      clockTrust,
    },
    auth: accounts,
    people: accounts,
    grids: createGridsPort({ ...grid, insight: insight.site }, alerts.shown),
    health: health.port,
    clock: keeper,
    notify: notifier,
  };
  const server = createApiServer({
    ports: api,
    clock,
    realClock,
    random,
    log: logger.child('api'),
    listen: listen(config),
    appDirectory: config.app_dir,
    speed: config.clock?.speed,
  });

  const lifecycle = createLifecycle({ log: logger, clock: realClock });
  lifecycle.add({
    name: 'stores',
    start() {
      data.start();
      ballast.start();
    },
    async stop() {
      await ballast.stop();
      await logStore.close();
      data.stop();
    },
  });
  lifecycle.add(projector);
  lifecycle.add(keeper);
  lifecycle.add({
    name: 'newest values',
    async start() {
      // What was committed since the last seal is read again from the log. A long way to go is gone in the background:
      // devices are not kept waiting for it.
      const restored = projector.catchUp().then(() => live.restore(telemetry.latest(gridId), isTrusted(clock.trust())));
      restored.catch(() => {});
      if (projector.behind() <= framesWorthWaiting) await Promise.race([restored, realClock.sleep(longestWaitMs)]);
    },
    stop() {},
  });
  lifecycle.add(history);
  lifecycle.add(retention);
  lifecycle.add(alerts);
  lifecycle.add(desired);
  // Only what is sent as measured can be compared sample by sample.
  if (uplink && config.uplink?.plan === 'raw') lifecycle.add(manifests);
  if (!ports.inProcess) {
    lifecycle.add(balance);
    lifecycle.add(insight);
  }
  if (notifier) lifecycle.add(notifier);
  lifecycle.add({ name: 'word of a power cut', start: tellOfStop, stop() {} });
  lifecycle.add({
    name: 'broker',
    start: () => (ports.inProcess ? undefined : broker.start()),
    stop() {
      commands.stop();
      const stopped = ports.inProcess ? undefined : broker.stop();
      // What waits for the hold is acknowledged before the connections end.
      void log.flush();
      return stopped;
    },
  });
  for (const part of parts) lifecycle.add(part);
  if (connections.length > 0) lifecycle.add(linesLent(config.data_dir, line, logger));
  if (!ports.inProcess) lifecycle.add(health.part);
  let served: readonly ApiAddress[] = [];
  if (!ports.inProcess)
    lifecycle.add({
      name: 'api',
      async start() {
        served = (await server.start()).addresses;
      },
      stop: () => server.stop(),
    });

  const addresses = (): GatewayAddresses => {
    const { mqtt, mqtts } = broker.ports;
    const at = (host: string) => (host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host);
    return {
      http: served.find((one) => !one.tls)?.url,
      https: served.find((one) => one.tls)?.url,
      mqtt: `mqtt://${at(config.mqtt_plain.host)}:${mqtt}`,
      mqtts: config.mqtts ? `mqtts://${at(config.mqtts.host)}:${mqtts}` : undefined,
    };
  };
  return {
    async start() {
      await lifecycle.start();
      return addresses();
    },
    stop: () => lifecycle.stop(),
    lifecycle,
    addresses,
    api,
    accounts,
    log,
    clock,
    broker,
    devices,
    sink,
  };
}

/** Lends the lines of the drivers to tools on this box. A folder where no socket can be made lends none. */
function linesLent(
  dataDir: string,
  lineOf: Parameters<typeof lendLines>[1],
  logger: Logger,
): { name: string; start(): Promise<void>; stop(): Promise<void> } {
  let lent: Awaited<ReturnType<typeof lendLines>> | undefined;
  return {
    name: 'lines lent',
    async start() {
      lent = await lendLines(join(dataDir, linesSocket), lineOf).catch((error: unknown) => {
        logger.warn('lines cannot be lent to a scan', { error });
        return undefined;
      });
    },
    stop: async () => lent?.close(),
  };
}

const mappingsOf = ({ mqtt_devices: { devices, mappings_dir } }: GatewayConfig): ReadonlyMap<string, Mapping> =>
  loadNamedMappings(
    devices.map(({ mapping }) => mapping),
    mappings_dir,
  );

/** Checks what the settings name beside themselves: payload mappings, and what devices make of them. Throws E_PROFILE_INVALID, E_CONFIG_INVALID. */
export function checkNamedFiles(config: GatewayConfig): void {
  const nothing = async () => {};
  createMappedNodes(config.mqtt_devices.devices, mappingsOf(config), { reading: nothing, link: nothing, answer() {} });
}

function listen({ http, https }: GatewayConfig): Listen[] {
  const listeners: Listen[] = [{ host: http.host, port: http.port }];
  if (https) {
    const tls = { key: readPem(https.key_file), cert: readPem(https.certificate_file) };
    listeners.push({ host: https.host, port: https.port, tls });
  }
  return listeners;
}
