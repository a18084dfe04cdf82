/**
 * The ports of the one server: what gateway and cloud must offer so that the API answers alike. Views (summary, history,
 * alert pages, device lists) are built in this room from these ports; the two servers only give facts.
 */
import type {
  Alert,
  AlertEvent,
  ClockTrust,
  CommandAnswer,
  CommandList,
  DesiredDocument,
  DesiredHistory,
  DesiredState,
  DeviceLink,
  DocumentBody,
  DocumentName,
  Granularity,
  Grant,
  GridRecord,
  Health,
  NotifyChannelName,
  NotifyStatus,
  Principal,
  Resolution,
  Role,
  Rule,
  SeriesName,
  SeriesSamples,
  Site,
  SnapshotSample,
  WindowColumns,
  DayProof,
  LogProof,
  TimeSpan,
  UplinkStatus,
} from '@villagrid/contracts';

import type { SiteInsight } from './insight/site-insight.js';

/** What this server is. */
export interface ServerIdentity {
  readonly kind: 'gateway' | 'cloud';
  readonly serverId: string;
  readonly version: string;
  /** The server's own grid on a gateway; null in the cloud. */
  readonly gridId: string | null;
  /**
   * How long a grid may say nothing until it counts as not reached, milliseconds of the village's time; null on a
   * gateway, which always reaches its own.
   */
  readonly silentAfterMs: number | null;
  clockTrust(): ClockTrust;
}

/** A login that worked. The token is opaque to everybody but the server. */
export interface Login {
  readonly token: string;
  readonly expiresInS: number;
  readonly principal: Principal;
}

/** Accounts of people. */
export interface AuthPort {
  /** Undefined for a wrong name or password (which of the two is never told); VillagridError E_LOGIN_SLOW_DOWN after too many tries. */
  login(username: string, password: string, remoteAddress: string): Promise<Login | undefined>;
  /** The person behind a token; undefined when unknown, ended or disabled. */
  authenticate(token: string): Promise<Principal | undefined>;
  /** The same where it is known without waiting; undefined says nothing of the token. */
  remembered?(token: string): Principal | undefined;
  logout(token: string): Promise<void>;
}

/** An account as an administrator sees it. */
export interface PersonAccount {
  readonly userId: string;
  readonly username: string;
  readonly displayName: string;
  readonly grants: readonly Grant[];
  readonly disabled: boolean;
  readonly createdAtMs: number;
  readonly passwordDue: boolean;
}

/** Who changes accounts, and when, Unix milliseconds. */
export interface PersonAct {
  readonly actor: { readonly user_id: string; readonly name: string };
  readonly atMs: number;
}

/** One line of what was done to accounts. */
export interface PersonAudit extends PersonAct {
  readonly id: string;
  readonly kind: string;
  readonly userId: string;
  readonly displayName: string;
  readonly grants: readonly Grant[];
  readonly grantsBefore: readonly Grant[];
}

/** Changing accounts of people; those who are named are named by username. Every change is in the audit. */
export interface PeoplePort {
  list(): readonly PersonAccount[];
  /** Throws E_CONFLICT for a name that is taken, E_REQUEST_INVALID. */
  addUser(
    account: {
      readonly username: string;
      readonly displayName: string;
      readonly password: string;
      readonly grants: readonly Grant[];
      readonly oneTime: boolean;
    },
    by: PersonAct,
  ): Promise<PersonAccount>;
  /** A word that is good for choosing a password, within a week. */
  setOneTimeWord(username: string, word: string, by: PersonAct): Promise<void>;
  /** A person's own change; undefined when the present password is another one. */
  choosePassword(userId: string, present: string, password: string, atMs: number): Promise<Login | undefined>;
  setGrants(username: string, grants: readonly Grant[], by: PersonAct): void;
  disable(username: string, by: PersonAct): void;
  enable(username: string, by: PersonAct): void;
  /** What was done in [fromMs, toMs), newest first. */
  audit(fromMs: number, toMs: number): readonly PersonAudit[];
}

/** One raw sample column set of a series. */
export interface RawColumns {
  readonly t: number[];
  readonly value: (number | null)[];
  readonly quality: number[];
}

/** Count and hash per series of samples measured before a time. */
export interface CompletenessFacts {
  /** Where counting ended, when that is not where it was asked to. */
  readonly untilMs?: number;
  readonly epoch: string | null;
  readonly completeUntilNumber: number | null;
  readonly series: ReadonlyArray<{
    readonly deviceId: string;
    readonly metric: string;
    readonly count: number;
    readonly hash: string;
  }>;
}

/** What is proven of a grid's log, and of the days asked for, in the order asked. */
export interface ProofFacts {
  readonly logs: readonly LogProof[];
  readonly days: ReadonlyArray<Omit<DayProof, 'day'>>;
}

/** What a cloud knows of a gateway. */
export interface GatewayFacts {
  readonly gatewayId: string;
  /** As its last HELLO told; null before the first. */
  readonly version: string | null;
  readonly clockTrust: ClockTrust | null;
  readonly helloMs: number | null;
  readonly diskUsedPct: number | null;
  readonly cardLifeUsedPct: number | null;
  /** Frames of its log that are not here, as far as it told of them. */
  readonly backlogFrames: number;
  /** Up to this time everything it measured is here; null before the first sample. */
  readonly completeUntilMs: number | null;
  /** Last days of which it counts other samples than are here. */
  readonly differingDays: number;
}

/** Which alerts of a grid are wanted; newest first within the order of `compareAlerts`. */
export interface AlertQuery {
  readonly status?: 'active' | 'resolved';
  /** Raised in [fromMs, toMs), Unix ms: all of these. */
  readonly raised?: { readonly fromMs: number; readonly toMs: number };
  readonly ruleId?: string;
  /** Of the resolved ones the newest so many; else 2,000, or all where a time is given. */
  readonly mostResolved?: number;
}

/** What changed in a grid, for the live channel. */
export type GridChange =
  | { readonly type: 'samples'; readonly series: ReadonlyArray<{ readonly deviceId: string; readonly metric: string }> }
  | { readonly type: 'alert'; readonly alertId: string }
  | { readonly type: 'device'; readonly deviceId: string }
  | { readonly type: 'site' };

/** A command that a person asks for. */
export interface CommandAsked {
  readonly deviceId: string;
  readonly command: string;
  readonly value: string | number;
  readonly confirmation: string | undefined;
  readonly expiresInS: number | undefined;
  readonly actor: { readonly user_id: string; readonly name: string };
  /** Whether the person holds a role on this grid. */
  readonly holds: (role: Role) => boolean;
}

/** Remote commands of one grid. */
export interface CommandPort {
  /**
   * Asks for a confirmation, or sends and waits until the device answered or the command expired. Throws E_COMMANDS_OFF,
   * E_DEVICE_NOT_FOUND, E_COMMAND_UNKNOWN, E_FORBIDDEN, E_REQUEST_INVALID, E_CONFLICT, E_NOT_DURABLE.
   */
  request(asked: CommandAsked): Promise<CommandAnswer>;
  list(): Omit<CommandList, 'grid_id'>;
}

/** A change of a document that a person asks for; its body was checked for its form. */
export interface DesiredChange {
  /** Revision that was changed. */
  readonly basedOn: number;
  readonly body: DocumentBody;
  /** New passwords by username; of others the present one stays. */
  readonly password: ReadonlyMap<string, string>;
  readonly actor: { readonly user_id: string; readonly name: string };
}

/** Documents a grid is to have. */
export interface DesiredPort {
  list(): readonly DesiredState[];
  /** The newest revision when none is named, also when there is none yet (0); undefined for one that is not kept. */
  get(name: DocumentName, rev?: number): DesiredDocument | undefined;
  history(name: DocumentName): DesiredHistory['revisions'];
  /** Changes it unless there is a newer revision than it is based on. Throws E_REQUEST_INVALID, E_NOT_DURABLE. */
  put(
    name: DocumentName,
    change: DesiredChange,
  ): Promise<
    | { readonly ok: true; readonly document: DesiredDocument }
    | { readonly ok: false; readonly present: DesiredDocument }
  >;
}

/** Everything the server knows of one grid. */
export interface GridPort {
  readonly gridId: string;
  site(): Site;
  /** The newest sample of a series, by its time. */
  latest(deviceId: string, metric: string): SnapshotSample | undefined;
  /** Metrics of a device that have a newest sample. */
  metricsOf(deviceId: string): readonly string[];
  /** What the link itself says of a device (last will, refused connection); undefined when it does not tell. */
  link(deviceId: string): 'up' | 'down' | undefined;
  /** How a device that is asked answers; undefined for others. Left out where devices are not asked: at the cloud. */
  linkQuality?(deviceId: string): DeviceLink | undefined;
  /** Newest time anything of this grid was received, Unix ms; null when never. */
  lastReportedMs(): number | null;
  windows(
    deviceId: string,
    metric: string,
    resolution: Resolution,
    fromMs: number,
    toMs: number,
  ): Promise<WindowColumns>;
  /** Samples measured in [fromMs, toMs), ascending by time, of any quality. */
  raw(deviceId: string, metric: string, fromMs: number, toMs: number): Promise<RawColumns>;
  /**
   * Samples of several series in [fromMs, toMs), of any quality, in the order asked and in small steps; columns may share
   * their times. Left out where `raw` does as well.
   */
  samples?(series: readonly SeriesName[], fromMs: number, toMs: number): Promise<readonly SeriesSamples[]>;
  /** What is known of the gateway of this grid, without reading much. Left out at a gateway. */
  gateway?(): GatewayFacts;
  /** How long each is kept, milliseconds; what is not named is kept for ever. Left out where nothing is deleted. */
  kept?(): Readonly<Partial<Record<Granularity, number>>>;
  /** Samples measured before `untilMs`. */
  completeness(untilMs: number): Promise<CompletenessFacts>;
  /** What of the gateway's log is here, missing, given up, refused. Left out where the log itself is kept: at the gateway. */
  proof?(days: readonly TimeSpan[]): Promise<ProofFacts>;
  /** The link to the cloud. Left out where there is none: at the cloud. */
  uplink?(): UplinkStatus | undefined;
  /** Somebody begins to watch live values, or the last one stopped. */
  watched?(on: boolean): void;
  /** Alerts of the grid, reduced. All active ones are always included when status is not `resolved`; of the resolved the newest 2,000, or all of the time asked for. */
  alerts(query: AlertQuery): Promise<readonly Alert[]>;
  alert(alertId: string): Promise<Alert | undefined>;
  /** What people said of the grid as a whole: planned work and hand-over notes. */
  records(): Promise<readonly GridRecord[]>;
  /** Stores a person's event by id if absent (durable when resolved), passes it on to the other side, and tells subscribers. */
  append(event: AlertEvent): Promise<void>;
  /** Origin that events born here carry. */
  readonly origin: AlertEvent['origin'];
  subscribe(listener: (change: GridChange) => void): () => void;
  /** What is found and expected here, where the server keeps it itself; the API makes its own otherwise. */
  readonly insight?: SiteInsight;
  /** Left out where commands cannot be sent from: at the cloud. */
  readonly commands?: CommandPort;
  /** Documents the grid is to have. Left out where none are kept. */
  readonly desired?: DesiredPort;
  /** Rules that watch this grid, as far as this server knows them. */
  rules(): readonly Rule[];
  /** Normal bands of figures, from the limits in force. */
  limits(): Readonly<Record<string, { readonly low?: number; readonly high?: number }>>;
}

/** The grids of this server. */
export interface GridsPort {
  list(): readonly GridPort[];
  get(gridId: string): GridPort | undefined;
  /** The grid an alert belongs to. */
  gridOfAlert(alertId: string): Promise<string | undefined>;
}

/** Liveness, readiness and numbers for monitoring. */
export interface HealthPort {
  check(): Promise<Pick<Health, 'status' | 'checks'>>;
  /** Prometheus text lines of this server beside those of the API itself. */
  prometheus(): string;
}

/** What became of a time that a phone offered. */
export type ClockOffer =
  | { readonly taken: true; readonly correctionMs: number }
  | { readonly taken: false; readonly reason: string };

/** The clock of a server that may not know the time: a gateway. */
export interface ClockPort {
  offerPhone(phoneMs: number): ClockOffer;
}

/** Telling people who have no app open. */
export interface NotifyPort {
  status(): NotifyStatus;
  /** Throws E_NOTIFY_FAILED, and E_REQUEST_INVALID for a way that is not set up. */
  test(channel: NotifyChannelName, to: string): Promise<NotifyStatus['channels'][number]>;
}

/** All ports together. */
export interface ApiPorts {
  readonly identity: ServerIdentity;
  readonly auth: AuthPort;
  /** Left out where accounts are kept by somebody else. */
  readonly people?: PeoplePort;
  readonly grids: GridsPort;
  readonly health: HealthPort;
  /** Left out by a server whose clock needs nobody. */
  readonly clock?: ClockPort;
  /** Left out where nobody is told by SMS, e-mail or relay. */
  readonly notify?: NotifyPort | undefined;
}
