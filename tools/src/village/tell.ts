/** A village's answers as text for people. Programs take --json. */

/** A part as the start knows it. */
export interface Part {
  readonly part: string;
  readonly running: boolean;
  readonly pid: number | null;
}

/** What is shown of the simulator's answer to `status`. */
export interface VillageStatus {
  readonly time_ms: number;
  readonly grids: readonly GridStatus[];
}

interface GridStatus {
  readonly grid_id: string;
  readonly name: string;
  readonly village: {
    readonly consumption_kw: number;
    readonly generation_kw: number;
    readonly battery_power_kw: number;
    readonly battery_soc_pct: number;
    readonly battery_voltage_v: number;
    readonly irradiance_wm2: number;
    readonly ambient_c: number;
    readonly dark: boolean;
    readonly inverters: ReadonlyArray<{
      readonly id: string;
      readonly power_kw: number;
      readonly temperature_c: number;
      readonly state: number;
    }>;
  };
  readonly nodes: Readonly<
    Record<string, { connected: boolean; dead: boolean; waiting: number; acknowledged: number; given_up: number }>
  >;
  readonly modbus: Readonly<Record<string, { port: number; requests: number; silent: boolean; slow_ms: number }>>;
  readonly wan?: { readonly cut: boolean; readonly half_open: boolean; readonly delay_ms: number; connections: number };
  readonly faults: ReadonlyArray<{ name: string; device_id?: string; metric?: string; since_ms: number }>;
}

/** The columns of rows, each as wide as it needs to be; the last is not filled up. */
export function columns(rows: ReadonlyArray<readonly string[]>, indent = '  '): string {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows
    .map((row) => indent + row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(width(i)))).join('  '))
    .join('\n');
}

const kw = (value: number) => `${value.toFixed(2)} kW`;
/** Village time; a village may run faster than we do. */
const timeOf = (ms: number) => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
const inverterStates: Readonly<Record<number, string>> = {
  2: 'sleeping',
  3: 'starting',
  4: 'working',
  5: 'throttled',
  7: 'fault',
  8: 'standby',
};

/** Parts and villages; `village` is undefined while the simulator does not run. */
export function statusText(parts: readonly Part[], village: VillageStatus | undefined): string {
  const rows = parts.map(({ part, running, pid }) => [part, running ? `runs, pid ${pid}` : 'stopped']);
  const told = [`Parts\n${columns(rows)}`];
  if (village === undefined) told.push('The simulator does not run, so nothing is known of the village.');
  for (const grid of village?.grids ?? []) told.push(gridText(grid, village?.time_ms ?? 0));
  return told.join('\n\n');
}

function gridText({ grid_id, name, village, nodes, modbus, wan, faults }: GridStatus, timeMs: number): string {
  const battery = village.battery_power_kw;
  const figures = [
    ['time in the village', timeOf(timeMs)],
    ['consumption', `${kw(village.consumption_kw)}${village.dark ? ', dark: the feeders are off' : ''}`],
    ['generation', kw(village.generation_kw)],
    [
      'battery',
      `${village.battery_soc_pct.toFixed(1)} %, ${village.battery_voltage_v.toFixed(1)} V, ` +
        (Math.abs(battery) < 0.005
          ? 'at rest'
          : `${battery > 0 ? 'charging' : 'discharging'} ${kw(Math.abs(battery))}`),
    ],
    ['sun, air', `${Math.round(village.irradiance_wm2)} W/m², ${village.ambient_c.toFixed(1)} °C`],
    ...village.inverters.map((one) => [
      one.id,
      `${inverterStates[one.state] ?? one.state}, ${kw(one.power_kw)}, ${one.temperature_c.toFixed(1)} °C`,
    ]),
  ];
  const nodeRows = Object.entries(nodes).map(([id, node]) => [
    id,
    node.dead ? 'dead' : node.connected ? 'connected' : 'not connected',
    `${node.acknowledged} acknowledged, ${node.waiting} waiting${node.given_up > 0 ? `, ${node.given_up} given up` : ''}`,
  ]);
  const modbusRows = Object.entries(modbus).map(([id, device]) => [
    id,
    device.silent ? 'silent' : device.slow_ms > 0 ? 'slow' : 'answers',
    `port ${device.port}, ${device.requests} requests`,
  ]);
  const road =
    wan === undefined
      ? []
      : [
          [
            'link to the cloud',
            wan.cut ? 'cut' : wan.half_open ? 'half-open' : wan.delay_ms > 0 ? 'slow' : 'good',
            `${wan.connections} connections`,
          ],
        ];
  const faultRows = faults.map((fault) => [
    'fault',
    fault.name,
    `${[fault.device_id, fault.metric].filter(Boolean).join(':') || 'the whole village'}, since ${timeOf(fault.since_ms)}`,
  ]);
  return [
    `${name} (${grid_id})`,
    columns(figures),
    columns([...nodeRows, ...modbusRows, ...road, ...(faultRows.length > 0 ? faultRows : [['faults', 'none', '']])]),
  ].join('\n');
}

/** The faults there are. */
export function faultsText(faults: ReadonlyArray<{ name: string; target: string; help: string }>): string {
  const aims: Readonly<Record<string, string>> = {
    grid: '-',
    'device-metric': 'device[:metric]',
    modbus: 'Modbus device',
  };
  return columns(
    [
      ['NAME', 'TARGET', 'WHAT HAPPENS'],
      ...faults.map(({ name, target, help }) => [name, aims[target] ?? target, help]),
    ],
    '',
  );
}

/** What is on after a fault was switched. */
export function faultText(
  gridId: string,
  name: string,
  on: boolean,
  faults: ReadonlyArray<{ name: string; device_id?: string }>,
): string {
  const active = faults.map((one) => (one.device_id === undefined ? one.name : `${one.name} ${one.device_id}`));
  return `${name} is ${on ? 'on' : 'off'}. Faults of ${gridId} now: ${active.join(', ') || 'none'}.`;
}
