/** Who may import whom: the one table of the arrows between workspaces and between the gateway's rooms. */

/** What the modules of a workspace may import. */
export interface WorkspaceArrows {
  /** Other workspaces, by folder; `all` for what stands over the whole. */
  readonly imports: readonly string[] | 'all';
  /** What to do instead of a forbidden arrow, and whom to ask. */
  readonly ask: string;
  /** True where modules run without Node, so that `node:` must not be imported. */
  readonly pure?: true;
  /** True where devDependencies count for all modules: what is bundled, or never installed in a village. */
  readonly development?: true;
  /** Folders of other workspaces that may be reached by path, from tests only. */
  readonly reaches?: readonly string[];
}

/** What the modules of a room may import inside their workspace. */
export interface RoomArrows {
  /** Rooms (`log`) or single files of them (`drivers/port.ts`); `all` for the composition root. */
  readonly imports: readonly string[] | 'all';
  readonly ask: string;
}

/** Names of a workspace's exports that some places must not know. */
export interface NameRule {
  readonly from: string;
  readonly names: RegExp;
  /** Folders the rule is for, from the root. */
  readonly in: readonly string[];
  readonly except: readonly string[];
  readonly ask: string;
}

/** The whole table. */
export interface ArrowTable {
  readonly scope: string;
  readonly workspaces: Readonly<Record<string, WorkspaceArrows>>;
  /** Rooms of a workspace, by the first part of their path below `src`. Workspaces without an entry are free inside. */
  readonly rooms: Readonly<Record<string, Readonly<Record<string, RoomArrows>>>>;
  readonly names: readonly NameRule[];
  /** Fewer modules than this were not all of them: a check that reads nothing finds nothing. */
  readonly leastModules: number;
}

const overAll = 'This stands over the whole and may import everything.';

/** The arrows of this repository. Change docs/architecture.md with it. */
export const arrows: ArrowTable = {
  scope: '@villagrid/',
  workspaces: {
    contracts: {
      imports: [],
      pure: true,
      ask: 'contracts is pure and imports nobody: take a port (contracts/src/ports), and let the caller do it.',
    },
    runtime: { imports: ['contracts'], ask: 'What runtime needs of a server is a port that the server fills.' },
    api: {
      imports: ['contracts', 'runtime'],
      ask: 'The API asks through ApiPorts (api/src/ports.ts), which gateway and cloud fill.',
    },
    gateway: {
      imports: ['contracts', 'runtime', 'api'],
      ask: 'Gateway and cloud share contracts, runtime and api, and meet on the wire only.',
    },
    cloud: {
      imports: ['contracts', 'runtime', 'api'],
      ask: 'Gateway and cloud share contracts, runtime and api, and meet on the wire only.',
    },
    'mobile-pwa': {
      imports: ['contracts'],
      pure: true,
      development: true,
      ask: 'The app knows contracts and the API, nothing of the servers.',
    },
    provisioning: {
      imports: ['contracts', 'runtime', 'gateway'],
      ask: 'The installer uses what gateway exports in gateway/src/index.ts; the cloud is reached as a process.',
    },
    simulator: {
      imports: ['contracts', 'runtime'],
      ask: 'The simulator is the far side of the wire and knows nothing of what it tests.',
    },
    world: { imports: 'all', development: true, reaches: ['mobile-pwa/e2e'], ask: overAll },
    tools: { imports: 'all', development: true, ask: overAll },
    docs: { imports: 'all', development: true, ask: overAll },
    systemd: { imports: 'all', development: true, ask: overAll },
  },
  rooms: {
    gateway: {
      'main.ts': { imports: ['app.ts', 'config'], ask: 'The process reads arguments; app.ts composes.' },
      'index.ts': {
        imports: ['app.ts', 'config', 'log/packed.ts'],
        ask: 'Outside, a gateway is its settings and createGateway; benches count what its log holds.',
      },
      'field.ts': {
        imports: ['links', 'devices', 'drivers', 'scan', 'rules'],
        ask: 'Tools and reference pages see profiles, links, drivers, the scan and rule files, nothing that stores.',
      },
      'app.ts': { imports: 'all', ask: '' },
      'parts.ts': {
        imports: ['config', 'drivers', 'log', 'uplink'],
        ask: 'parts.ts makes drivers and uplinks; what they need comes in PartsContext.',
      },
      'places.ts': { imports: [], ask: 'Where files are, and nothing of what is in them.' },
      config: { imports: [], ask: 'Settings are read before anything else is there.' },
      clock: { imports: [], ask: 'The clock stands below all rooms.' },
      broker: { imports: ['config'], ask: 'The broker gives what comes to functions that app.ts hands to it.' },
      links: { imports: [], ask: 'A link carries bytes and knows no device.' },
      devices: { imports: ['places.ts'], ask: 'Profiles and plans are pure; drivers use them.' },
      drivers: {
        imports: ['links', 'devices'],
        ask: 'Drivers know no store: what they learn goes to a DriverSink (drivers/port.ts).',
      },
      mappings: {
        imports: ['places.ts'],
        ask: 'Payload mappings are pure: what becomes of a message, and nothing else.',
      },
      nodes: {
        imports: ['config', 'mappings'],
        ask: 'Nodes know no store and no broker: what they say goes to a sink, what is said to them comes out of app.ts.',
      },
      scan: {
        imports: ['links', 'devices', 'drivers'],
        ask: 'The scan looks at a line and at profiles, and stores nothing.',
      },
      intake: {
        imports: ['log', 'clock', 'drivers/port.ts'],
        ask: 'Intake knows the log, and of drivers the reading; who else listens is told by `arrived`.',
      },
      log: { imports: ['clock'], ask: 'The log knows none of its readers: they come by onCommit, join and read.' },
      live: { imports: [], ask: 'What is now is fed by app.ts and asked by others.' },
      alerts: {
        imports: ['log', 'live', 'clock'],
        ask: 'Rules know no driver: they see samples and figures, whoever measured them.',
      },
      balance: {
        imports: ['log'],
        ask: 'The balance reads history through the API’s port, and says what it found as a figure of the gateway.',
      },
      insight: {
        imports: ['log'],
        ask: 'What is found is read from history through the API’s port, and said as a figure of the gateway.',
      },
      project: { imports: ['log'], ask: 'The projector reads the log and writes runtime’s stores.' },
      store: { imports: [], ask: 'The history store knows no log: frames are given to it, and their numbers.' },
      retention: {
        imports: ['log', 'store'],
        ask: 'What is deleted is asked of the log and of the history store; what others still need comes as numbers.',
      },
      manifest: { imports: ['log'], ask: 'What a day holds is asked of functions of app.ts, and said in the log.' },
      notify: {
        imports: ['config/notify-schema.ts', 'config/notify-secrets.ts', 'links'],
        ask: 'Telling people hears of alerts from app.ts, and knows no store but its own.',
      },
      uplink: { imports: ['log'], ask: 'The uplink reads the log with a cursor, and nothing else.' },
      grid: {
        imports: ['log', 'live', 'alerts', 'project', 'store', 'uplink'],
        ask: 'This room fills the API’s port from the rooms that know; it has no SQL of its own.',
      },
      backup: {
        imports: ['config', 'log', 'store/schema.ts'],
        ask: 'A backup reads settings and databases from outside the daemon; no room of the daemon asks for it.',
      },
      desired: {
        imports: ['rules'],
        ask: 'Documents know a store of runtime and, of rules, what a site changes; what they change comes as functions of app.ts.',
      },
      health: {
        imports: ['log', 'alerts', 'project', 'intake', 'uplink', 'clock', 'notify'],
        ask: 'Health asks rooms for counters; no room asks health.',
      },
    },
  },
  names: [
    {
      from: 'runtime',
      names: /Database|^migrate/,
      in: ['api', 'gateway'],
      except: ['gateway/src/app.ts', 'gateway/src/log', 'gateway/src/store', 'gateway/src/backup'],
      ask: 'Routes and rooms know no SQL: ask the log (gateway/src/log), history (gateway/src/store) or a store of runtime.',
    },
    {
      from: 'runtime',
      names: /Store$/,
      in: ['gateway/src/drivers', 'gateway/src/links', 'gateway/src/devices', 'gateway/src/broker'],
      except: [],
      ask: 'Drivers and the broker know no store: what they learn goes to a DriverSink or to intake.',
    },
  ],
  leastModules: 300,
};
