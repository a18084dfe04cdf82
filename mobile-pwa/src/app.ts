/** The app's state and what can be done with it. Screens read signals; only the functions here change them. */
import {
  newId,
  type AlertView,
  type Clock,
  type ClockAnswer,
  type Discovery,
  type GridState,
  type LiveFrame,
  type RandomSource,
} from '@villagrid/contracts';
import { batch, computed, signal, type ReadonlySignal, type Signal } from '@preact/signals';
import { align, dayMs, dayStepMs, type DayHistory } from './chart/day.js';
import { told, type Act } from './local/acts.js';
import type { LocalStore, SavedLogin } from './local/database.js';
import type { Deliverer } from './local/deliver.js';
import { applyFrame, keptAlerts, mergeAlerts, speaks, type GridView } from './live/apply.js';
import { openChannel, type Carrier, type Channel, type ChannelState } from './live/channel.js';
import { ApiFailure, createApi, type Api } from './origin/api.js';
import { ended, loginAt, valid } from './origin/roaming.js';
import { parseRoute, type Route } from './ui/routes.js';

/** What the dashboard draws of the last 24 hours. */
export const dayMetrics = ['consumption_kw', 'generation_kw', 'battery_soc_pct'] as const;

/** Everything the screens read. */
export interface AppState {
  /** The phone's clock, once a second while the page is shown, Unix ms. */
  readonly phoneNowMs: Signal<number>;
  /** The server's clock as this phone knows it. */
  readonly nowMs: ReadonlySignal<number>;
  readonly offsetMs: Signal<number>;
  readonly route: Signal<Route>;
  readonly discovery: Signal<Discovery | null>;
  /** Whether discovery is still on its way or failed. */
  readonly serverState: Signal<'looking' | 'found' | 'none'>;
  readonly lastServer: Signal<{ id: string | null; kind: 'gateway' | 'cloud' | null; build: string | null }>;
  /** Who is known at the server that answers; its token is empty after it ended. */
  readonly login: Signal<SavedLogin | null>;
  /** The login screen lies over the app because a login ended. */
  readonly loginExpired: Signal<boolean>;
  /** Looking at saved values without a login. */
  readonly peeking: Signal<boolean>;
  readonly grids: Signal<readonly GridState[]>;
  readonly gridsAtMs: Signal<number | null>;
  readonly gridsState: Signal<'loading' | 'ok' | 'failed'>;
  readonly views: Signal<Readonly<Record<string, GridView>>>;
  readonly days: Signal<Readonly<Record<string, DayHistory>>>;
  readonly channel: Signal<ChannelState | 'idle'>;
  /** What the channel is carried by while it is live. */
  readonly carrier: Signal<Carrier>;
  /** The grid the channel follows. */
  readonly followed: Signal<string | null>;
  readonly acts: Signal<readonly Act[]>;
  readonly persistent: boolean;
  /** The phone took the last thing it was to keep; false: it is full. */
  readonly kept: Signal<boolean>;
  /** Text for the live region: a new alert, once. */
  readonly announcement: Signal<string>;
  readonly updateReady: Signal<boolean>;
  readonly sheetOpen: Signal<boolean>;
}

/** State and actions. */
export interface App {
  readonly state: AppState;
  readonly clock: Clock;
  readonly api: Api;
  /** Follows a grid live; the former one is let go. */
  follow(gridId: string | null): void;
  /** `chosen` instead of a one-time word. */
  logIn(username: string, password: string, chosen?: string): Promise<void>;
  logOut(): Promise<void>;
  refreshGrids(): Promise<void>;
  /** Fetches open alerts of grids that are not followed, for lists over all grids. */
  refreshAlertsOfAll(): Promise<void>;
  refreshAlert(gridId: string, alertId: string): Promise<void>;
  refreshDevices(gridId: string): Promise<void>;
  act(
    what: Pick<Act, 'type' | 'note' | 'assignee' | 'replaces' | 'durationS'> & { readonly alert: AlertView },
  ): Promise<void>;
  /** Puts the login off: saved values stay readable, and what is done waits. */
  logInLater(): void;
  dismissAct(id: string): Promise<void>;
  /** Offers this phone's time to the gateway; rejects with ApiFailure. */
  offerClock(gridId: string): Promise<ClockAnswer>;
  /** Tries everything that waits: discovery, channel, acts. */
  tryNow(): void;
  clearSaved(): Promise<void>;
  visible(shown: boolean): void;
  go(address: string, replace?: boolean): void;
}

/** Makes the app from its ports and what the phone holds. */
export async function createApp(ports: {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly store: LocalStore;
  /** Words for a new alert, from the message catalogue. */
  readonly announce: (alert: AlertView) => string;
}): Promise<App> {
  const { clock, random, store } = ports;
  const [meta] = await store.all('meta');
  const logins = new Map((await store.all('logins')).map((login) => [login.server_id, login]));
  const savedGrids = await store.all('latest');
  const savedAlerts = new Map((await store.all('alerts')).map((one) => [one.grid_id, one.alerts]));
  const savedDays = await store.all('series');

  store.full = async () => (await import('./local/keeper.js')).makeRoom(clock.nowMs());
  const phoneNowMs = signal(clock.nowMs());
  const offsetMs = signal(meta?.offsetMs ?? 0);
  const lastServer: AppState['lastServer'] = signal({
    id: meta?.lastServerId ?? null,
    kind: meta?.lastServerKind ?? null,
    build: meta?.lastBuild ?? null,
  });
  const state: AppState = {
    phoneNowMs,
    offsetMs,
    nowMs: computed(() => phoneNowMs.value + offsetMs.value),
    route: signal(parseRoute(location.hash)),
    discovery: signal(null),
    serverState: signal('looking'),
    lastServer,
    login: signal((lastServer.value.id === null ? undefined : logins.get(lastServer.value.id)) ?? null),
    loginExpired: signal(false),
    peeking: signal(false),
    grids: signal(meta?.grids ?? []),
    gridsAtMs: signal(meta?.gridsAtMs ?? null),
    gridsState: signal('loading'),
    views: signal(
      Object.fromEntries(
        savedGrids.map((one) => [one.grid_id, { ...one, alerts: savedAlerts.get(one.grid_id) ?? [] }]),
      ),
    ),
    days: signal(Object.fromEntries(savedDays.map(({ grid_id, day }) => [grid_id, day]))),
    channel: signal('idle'),
    carrier: signal('socket'),
    followed: signal(null),
    acts: signal(await store.all('acts')),
    persistent: store.persistent,
    kept: store.kept,
    announcement: signal(''),
    updateReady: signal(false),
    sheetOpen: signal(false),
  };

  const token = () => state.login.value?.token || null;
  /** A server said that the login is over. Another server may have answered, which has a login of its own. */
  const onUnauthorised = async () => {
    const login = state.login.value;
    if (!valid(login) || !(await discover()) || state.login.value !== login) return;
    const over = ended(login);
    logins.set(over.server_id, over);
    void store.put('logins', over);
    batch(() => {
      state.login.value = over;
      state.loginExpired.value = true;
    });
  };
  const api = createApi({ clock, token, onUnauthorised: () => void onUnauthorised() });

  const setServerNow = (nowMs: number) => {
    const phone = clock.nowMs();
    // A jitter of the network must not make every age jump: small differences are left alone.
    if (Math.abs(nowMs - phone - offsetMs.value) > 300)
      batch(() => {
        phoneNowMs.value = phone;
        offsetMs.value = nowMs - phone;
      });
  };

  let saveMetaSoon = false;
  const saveMeta = () => {
    if (saveMetaSoon) return;
    saveMetaSoon = true;
    clock.after(200, () => {
      saveMetaSoon = false;
      void store.put(
        'meta',
        {
          lastServerId: lastServer.value.id,
          lastServerKind: lastServer.value.kind,
          lastBuild: lastServer.value.build,
          offsetMs: offsetMs.value,
          grids: state.grids.value,
          gridsAtMs: state.gridsAtMs.value,
        },
        'meta',
      );
    });
  };

  const writtenAlerts = new Map<string, readonly AlertView[]>();
  const unsaved = new Set<string>();
  /** Saves a grid at most every two seconds: writing each tick would wear the phone's flash for nothing. */
  const saveGrid = (gridId: string) => {
    if (unsaved.has(gridId)) return;
    unsaved.add(gridId);
    clock.after(2000, () => {
      unsaved.delete(gridId);
      const view = state.views.value[gridId];
      if (view === undefined) return;
      const { summary, devices, answeredAtMs, alerts } = view;
      void store.put('latest', { grid_id: gridId, summary, devices, answeredAtMs });
      // A long list is written when it changed, not with each tick.
      if (writtenAlerts.get(gridId) !== alerts) void store.put('alerts', { grid_id: gridId, alerts });
      writtenAlerts.set(gridId, alerts);
      saveMeta();
    });
  };
  const setView = (gridId: string, view: GridView) => {
    const before = state.views.value[gridId];
    state.views.value = { ...state.views.value, [gridId]: view };
    if (before !== undefined && before.alerts !== view.alerts) {
      const known = new Set(before.alerts.map(({ alert_id }) => alert_id));
      const fresh = view.alerts.find((alert) => speaks(alert) && !known.has(alert.alert_id));
      if (fresh !== undefined) state.announcement.value = ports.announce(fresh);
    }
    if (before?.alerts !== view.alerts) dropTold(view.alerts);
    saveGrid(gridId);
  };
  const setAlerts = (gridId: string, alerts: readonly AlertView[]) => {
    const view = state.views.value[gridId];
    if (view !== undefined) setView(gridId, { ...view, alerts });
  };
  /** Drops acts that a server has, whoever told it. */
  const dropTold = (alerts: readonly AlertView[]) => {
    const there = told(state.acts.value, alerts);
    if (there.size === 0) return;
    state.acts.value = state.acts.value.filter(({ id }) => !there.has(id));
    for (const id of there) void store.remove('acts', id);
  };

  async function refreshDay(gridId: string): Promise<void> {
    try {
      const view = state.views.value[gridId];
      const extra = view === undefined ? [] : Object.keys(view.summary.figures).filter(hasSparkline);
      const metrics = [...dayMetrics, ...extra.filter((metric) => !dayMetrics.includes(metric as never))];
      const history = await api.history(gridId, metrics, { period: '24h', points: 288 });
      const day: DayHistory = {
        ...align(history, {
          fromMs: history.to_ms - dayMs,
          toMs: history.to_ms,
          stepMs: Math.max(dayStepMs, history.step_ms ?? 0),
        }),
        fetchedAtMs: history.to_ms,
      };
      state.days.value = { ...state.days.value, [gridId]: day };
      void store.put('series', { grid_id: gridId, day });
    } catch {
      // The saved day stays; its age is visible in the chart itself.
    }
  }
  /** The server that last listed a grid's alerts. */
  const alertsFrom = new Map<string, string | null>();
  async function refreshAlerts(gridId: string): Promise<void> {
    const alertsNow = () => state.views.value[gridId]?.alerts ?? [];
    const before = alertsNow();
    const known = new Set(before.map(({ alert_id }) => alert_id));
    try {
      const page = await api.alerts(gridId, { limit: '200' });
      const server = lastServer.value.id;
      const sameServer = alertsFrom.get(gridId) === server;
      const [whole, nowMs] = [page.next_cursor === null, state.nowMs.value];
      alertsFrom.set(gridId, server);
      setAlerts(gridId, keptAlerts(page.alerts, before, alertsNow(), { whole, sameServer, nowMs }));
      // The past is fetched once: what this phone knew reaches back from the end of the page.
      if (whole || known.has(page.alerts.at(-1)?.alert_id ?? '')) return;
      const { olderAlerts } = await import('./live/older-alerts.js');
      await olderAlerts(api, gridId, page.next_cursor, nowMs, (more) =>
        setAlerts(gridId, mergeAlerts(alertsNow(), more)),
      );
    } catch {
      // Saved alerts stay.
    }
  }

  let channel: Channel | undefined;
  let dayTimerMs = 0;
  const onFrame = (gridId: string) => (frame: LiveFrame) => {
    batch(() => {
      if (frame.type === 'snapshot') setServerNow(frame.summary.now_ms);
      else if (frame.type === 'values' || frame.type === 'ping') setServerNow(frame.now_ms);
      const next = applyFrame(state.views.value[gridId], frame);
      if (next !== undefined) setView(gridId, next);
    });
    if (frame.type === 'snapshot') {
      void refreshAlerts(gridId);
      void refreshDay(gridId);
      void sendActs();
    }
    // Today's energy and the grid list move slowly; a summary a minute keeps them true.
    if (frame.type === 'values' && clock.monotonicMs() - dayTimerMs > 60_000) {
      dayTimerMs = clock.monotonicMs();
      void pollSummary(gridId, false);
    }
  };
  async function pollSummary(gridId: string, withAlerts: boolean): Promise<boolean> {
    try {
      const summary = await api.summary(gridId);
      setServerNow(summary.now_ms);
      const before = state.views.value[gridId];
      setView(gridId, {
        summary,
        alerts: before?.alerts ?? [],
        devices: before?.devices ?? [],
        answeredAtMs: summary.now_ms,
      });
      if (withAlerts) {
        void refreshAlerts(gridId);
        if (
          state.days.value[gridId] === undefined ||
          summary.now_ms - (state.days.value[gridId]?.fetchedAtMs ?? 0) > 600_000
        )
          void refreshDay(gridId);
        const { devices } = await api.devices(gridId);
        const view = state.views.value[gridId];
        if (view !== undefined) setView(gridId, { ...view, devices });
        void sendActs();
      }
      return true;
    } catch (error) {
      return error instanceof ApiFailure && error.kind === 'refused';
    }
  }

  let deliverer: Deliverer | undefined;
  /** Sends what waits, if anything does. */
  async function sendActs(fresh = true): Promise<void> {
    if (token() === null || !state.acts.value.some((act) => act.state === 'waiting')) return;
    try {
      const { createDeliverer } = await import('./local/deliver.js');
      deliverer ??= createDeliverer({
        clock,
        random,
        store,
        api,
        acts: state.acts,
        username: () => (valid(state.login.value) ? state.login.value.username : null),
        nowMs: () => clock.nowMs() + offsetMs.value,
        onTaken: ({ gridId }, alert) => {
          const view = state.views.value[gridId];
          if (view !== undefined) setAlerts(gridId, mergeAlerts(view.alerts, [alert]));
        },
      });
      await deliverer.run(fresh);
    } catch {
      // This part of the app is not on the phone yet and no server gave it: tried again when one answers.
    }
  }

  async function refreshGrids(): Promise<void> {
    if (token() === null) return;
    try {
      const { grids, now_ms } = await api.grids();
      batch(() => {
        setServerNow(now_ms);
        state.grids.value = grids;
        state.gridsAtMs.value = now_ms;
        state.gridsState.value = 'ok';
      });
      saveMeta();
    } catch {
      state.gridsState.value = 'failed';
    }
  }

  /** Asks who answers at this address, and takes the login of that server. False when nobody answers. */
  async function discover(): Promise<boolean> {
    try {
      const found = await api.discover();
      const other = lastServer.value.id !== found.server_id;
      batch(() => {
        setServerNow(found.now_ms);
        state.discovery.value = found;
        state.serverState.value = 'found';
        if (other) state.login.value = loginAt(found.server_id, state.login.value, logins);
        if (other) loginPutOff = false;
        state.loginExpired.value = state.login.value !== null && token() === null && !loginPutOff;
        lastServer.value = { id: found.server_id, kind: found.kind, build: found.build };
      });
      saveMeta();
      if (other) {
        // The channel belongs to the former server.
        const gridId = state.followed.value;
        follow(null);
        follow(gridId);
        void refreshGrids();
        void sendActs();
      }
      return true;
    } catch {
      if (state.discovery.value === null) state.serverState.value = 'none';
      return false;
    }
  }
  let loginPutOff = false;

  function follow(gridId: string | null): void {
    if (state.followed.value === gridId && (channel !== undefined || gridId === null)) return;
    channel?.close();
    channel = undefined;
    state.followed.value = gridId;
    state.channel.value = 'idle';
    if (gridId === null || token() === null) return;
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    channel = openChannel({
      gridId,
      address: `${scheme}//${location.host}/api/live/${encodeURIComponent(gridId)}`,
      token,
      clock,
      random,
      onFrame: onFrame(gridId),
      onState: (next, carrier) => {
        state.channel.value = next;
        if (carrier !== undefined) state.carrier.value = carrier;
      },
      onUnauthorised: () => void onUnauthorised(),
      onLost: () => void discover(),
      poll: async () => token() !== null && (await pollSummary(gridId, true)),
    });
  }

  const app: App = {
    state,
    clock,
    api,
    follow,
    refreshGrids,
    async logIn(username, password, chosen) {
      if (state.discovery.value === null) await discover();
      const answer = await api.login(username, password, chosen);
      const serverId = state.discovery.value?.server_id ?? lastServer.value.id ?? location.host;
      const login: SavedLogin = {
        server_id: serverId,
        token: answer.token,
        username: answer.user.username,
        displayName: answer.user.display_name,
        role: answer.user.role,
      };
      logins.set(serverId, login);
      await store.put('logins', login);
      const gridId = state.followed.value;
      batch(() => {
        lastServer.value = { ...lastServer.value, id: serverId };
        state.login.value = login;
        state.loginExpired.value = false;
        state.peeking.value = false;
        state.gridsState.value = 'loading';
      });
      saveMeta();
      follow(null);
      follow(gridId);
      await refreshGrids();
      void sendActs();
    },
    async logOut() {
      await api.logout().catch(() => undefined);
      const login = state.login.value;
      follow(null);
      if (login !== null) {
        logins.delete(login.server_id);
        await store.remove('logins', login.server_id);
      }
      batch(() => {
        state.login.value = null;
        state.loginExpired.value = false;
        state.peeking.value = false;
      });
      app.go('#/');
    },
    async refreshAlertsOfAll() {
      // A fleet of a thousand is not fetched for one list: those with most alerts first, as many as are looked at.
      const wanted = state.grids.value
        .filter((grid) => grid.open_alerts > 0 || state.views.value[grid.grid_id] === undefined)
        .sort((a, b) => b.open_alerts - a.open_alerts)
        .slice(0, 50);
      for (const { grid_id } of wanted) {
        if (grid_id === state.followed.value) continue;
        if (state.views.value[grid_id] === undefined) await pollSummary(grid_id, false);
        await refreshAlerts(grid_id);
      }
    },
    async refreshAlert(gridId, alertId) {
      try {
        const alert = await api.alert(gridId, alertId);
        if (state.views.value[gridId] === undefined) await pollSummary(gridId, false);
        const view = state.views.value[gridId];
        if (view !== undefined) setAlerts(gridId, mergeAlerts(view.alerts, [alert]));
      } catch {
        // Shown as "not on this phone" until somebody answers.
      }
    },
    async refreshDevices(gridId) {
      try {
        const { devices } = await api.devices(gridId);
        const view = state.views.value[gridId];
        if (view !== undefined) setView(gridId, { ...view, devices });
      } catch {
        // The saved list stays, aged by this phone.
      }
    },
    async act({ alert, ...what }) {
      const login = state.login.value;
      if (login === null) return;
      const act: Act = {
        id: newId(clock.nowMs(), random),
        gridId: alert.grid_id,
        alertId: alert.alert_id,
        ...what,
        occurredAtMs: Math.round(clock.nowMs() + offsetMs.value),
        username: login.username,
        displayName: login.displayName,
        tries: 0,
        state: 'waiting',
        refusal: null,
      };
      // Kept before it is shown as done: a phone that dies now still sends it later.
      await store.put('acts', act);
      state.acts.value = [...state.acts.value, act];
      if (token() === null) {
        loginPutOff = false;
        state.loginExpired.value = state.serverState.value === 'found';
      }
      void sendActs(false);
    },
    logInLater() {
      loginPutOff = true;
      batch(() => {
        state.loginExpired.value = false;
        state.peeking.value = true;
      });
    },
    async dismissAct(id) {
      state.acts.value = state.acts.value.filter((act) => act.id !== id);
      await store.remove('acts', id);
    },
    async offerClock(gridId) {
      const answer = await api.offerClock(gridId);
      setServerNow(answer.now_ms);
      return answer;
    },
    tryNow() {
      void discover().then(refreshGrids);
      channel?.poke();
      void sendActs();
    },
    async clearSaved() {
      await store.clear(['latest', 'alerts', 'series', 'meta']);
      indexedDB.deleteDatabase('villagrid-history');
      store.kept.value = true;
      batch(() => {
        const keep = state.followed.value;
        const view = keep === null ? undefined : state.views.value[keep];
        state.views.value =
          keep !== null && view !== undefined && state.channel.value === 'live' ? { [keep]: view } : {};
        state.days.value = {};
      });
      saveMeta();
    },
    visible(shown) {
      channel?.visible(shown);
      if (!shown) return;
      phoneNowMs.value = clock.nowMs();
      void discover().then(refreshGrids);
      void sendActs();
    },
    go(address, replace = false) {
      if (replace) {
        history.replaceState(null, '', address);
        state.route.value = parseRoute(address);
      } else location.hash = address;
    },
  };

  clock.every(1000, () => {
    if (document.visibilityState === 'visible') phoneNowMs.value = clock.nowMs();
  });
  // Nobody answers: asking again costs nothing, and the first answer brings the channel back.
  clock.every(5000, () => {
    if (document.visibilityState === 'visible' && state.channel.value === 'down')
      void discover().then((found) => found && channel?.poke());
  });
  // The list of grids is not part of the live channel: every 15 s while somebody looks.
  clock.every(15_000, () => {
    if (document.visibilityState !== 'visible') return;
    if (state.channel.value !== 'live') void discover();
    void refreshGrids();
  });
  // The chart's history: the live values fill its end, the rest is fetched anew now and then.
  clock.every(600_000, () => {
    const gridId = state.followed.value;
    if (gridId !== null && document.visibilityState === 'visible') void refreshDay(gridId);
  });
  void discover().then(() => {
    void refreshGrids();
    void sendActs();
  });
  return app;
}

/** Figures that get a small curve on their tile. */
export function hasSparkline(metric: string): boolean {
  return (
    [
      'dc_bus_voltage_v',
      'ac_output_voltage_v',
      'irradiance_w_m2',
      'ambient_temp_c',
      'humidity_pct',
      'fuel_level_pct',
    ].includes(metric) || metric.startsWith('equipment_temp_c')
  );
}
