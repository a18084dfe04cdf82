/** The page of device models: what each has, what it feeds, where its facts are from and how it was verified. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { faultMetric, loadProfiles, type ModelPoint, type Profile, type ProfilePoint } from '@villagrid/gateway/field';

const fixtures = fileURLToPath(new URL('../../gateway/src/devices/fixtures/README.md', import.meta.url));
const simulated = fileURLToPath(new URL('../../simulator/src/reference/devices.ts', import.meta.url));

const cell = (text: string): string => text.replaceAll('|', '\\|');
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows.map((row) => `| ${row.map(cell).join(' | ')} |`),
  ].join('\n');

/** Ids named in the second column of the fixtures' table, with what the dump is. */
function dumps(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of readFileSync(fixtures, 'utf8').split('\n')) {
    const [, file = '', ids = '', what = ''] = line.split('|').map((part) => part.trim());
    if (!file.endsWith('.json')) continue;
    const kind = what.startsWith('REAL')
      ? 'dump of a device'
      : what.startsWith('worked')
        ? "maker's examples"
        : 'image';
    for (const id of ids.split(', ')) found.set(id, kind);
  }
  return found;
}

/** Ids the simulator serves over a real socket. */
function simulatedIds(): ReadonlySet<string> {
  const line = /export type ProfileId =([^;]*);/.exec(readFileSync(simulated, 'utf8'))?.[1] ?? '';
  return new Set([...line.matchAll(/'([^']+)'/g)].map(([, id = '']) => id));
}

const connection = ({ transport: { tcp, rtu } }: Profile): string =>
  [
    rtu ? `RS-485 ${rtu.baud} baud, parity ${rtu.parity}, unit ${rtu.unit}` : '',
    tcp ? `TCP ${tcp.port}, unit ${tcp.unit}` : '',
  ]
    .filter(Boolean)
    .join('; ');

const pointsOf = ({ points = [], sunspec }: Profile): ReadonlyArray<ProfilePoint | ModelPoint> => [
  ...points,
  ...(sunspec?.models ?? []).flatMap((model) => model.points),
];

const metricsOf = (profile: Profile): string[] => [
  ...new Set([
    ...[...pointsOf(profile), ...(profile.computed ?? [])].flatMap(({ metric }) => metric ?? []),
    ...(pointsOf(profile).some(({ trouble }) => trouble?.off ?? trouble?.fault) ? [faultMetric] : []),
  ]),
];

const steps = ({ scale, offset, scale_factor: factor, mask }: ProfilePoint | ModelPoint): string =>
  [
    scale === undefined ? '' : `× ${scale}`,
    factor === undefined ? '' : `× 10^${factor}`,
    offset === undefined ? '' : `${offset < 0 ? '−' : '+'} ${Math.abs(offset)}`,
    mask === undefined ? '' : `bits ${typeof mask === 'number' ? `0x${mask.toString(16)}` : mask}`,
  ]
    .filter(Boolean)
    .join(' ');

function metricOf({
  metric,
  metric_factor: factor = 1,
}: {
  metric?: string | undefined;
  metric_factor?: number | undefined;
}): string {
  if (metric === undefined) return '';
  return factor < 0 ? `\`${metric}\`, turned round` : `\`${metric}\``;
}

/** What a point feeds, and what it tells of the device itself. */
function feeds(point: ProfilePoint | ModelPoint): string {
  const { trouble } = point;
  const tells = trouble && (trouble.off || trouble.fault ? `\`${faultMetric}\`` : 'words of a fault');
  return [metricOf(point), tells].filter(Boolean).join(', ');
}

function row(profile: Profile, point: ProfilePoint | ModelPoint): string[] {
  const { repeat } = point;
  const where = 'address' in point ? point.address : `+${point.model_offset}`;
  const times = repeat ? `, ${repeat.count} times, every ${repeat.stride}` : '';
  return [
    `\`${point.key}\``,
    [point.printed, point.meaning].filter(Boolean).join(': '),
    `${where}${times}`,
    `${point.function ?? profile.function}`,
    [point.type, steps(point)].filter(Boolean).join(' '),
    point.unit ?? '',
    feeds(point),
  ];
}

const pointHead = ['point', 'maker: meaning', 'address', 'function', 'type', 'unit', 'metric'];

function section(profile: Profile): string {
  const parts = [`## ${profile.id}`, `${profile.vendor}: ${profile.models.join(', ')}. ${connection(profile)}.`];
  if (profile.points)
    parts.push(
      table(
        pointHead,
        profile.points.map((point) => row(profile, point)),
      ),
    );
  for (const model of profile.sunspec?.models ?? [])
    parts.push(
      `Model ${model.ids.join(', ')}: ${model.name}`,
      table(
        pointHead,
        model.points.map((point) => row(profile, point)),
      ),
    );
  for (const { key, multiply, unit, ...fed } of profile.computed ?? [])
    parts.push(`Computed: \`${key}\` = ${multiply.join(' × ')}, ${unit}, feeds ${metricOf(fed)}.`);
  parts.push(profile.quirks.map((quirk) => `- ${quirk}`).join('\n'));
  const sources = Object.entries(profile.sources).map(
    ([name, version]) => `${name} (${/^[0-9a-f]{40}$/.test(version) ? version.slice(0, 10) : version})`,
  );
  if (sources.length > 0) parts.push(`Facts from: ${sources.join(', ')}.`);
  return parts.filter(Boolean).join('\n\n');
}

const intro = `# Device models

<!-- generated: docs/reference/write.ts -->

What the gateway reads over Modbus. One YAML file in [gateway/profiles](../../gateway/profiles) each; a model that is not here is added by
[one file](../how-to/add-a-device-model.md), and without any file by the profile \`generic\` and points in the settings.

**Verified** says how much stands behind a profile. *Vectors*: registers and values worked out by the maker's rule, apart from this
software, for every point. *Dump*: answers recorded from a device, with known values. *Maker's examples*: frames printed in the maker's
text. *Simulator*: read over a real socket in every test run. **None was verified on hardware of ours**: compare with the device's display
at the first contact (\`villagrid profile try\`).`;

const notRead = `## What is not read

- **Pylontech US2000, US3000, US5000**: an ASCII protocol over RS-485, no Modbus. Read them through the inverter or GX device they are on.
- **JK BMS of the BD series** (protocol 4E 57) and other battery protocols over CAN: likewise.
- **Studer Xcom-232i** (SCOM protocol): use the Xcom-485i.
- **Solarman Wi-Fi sticks** of Deye and Sunsynk, Wi-Fi dongles of SRNE: they wrap frames their own way. Use the RS-485 port.
- **Coils and discrete inputs** (functions 1 and 2): the status bits of Seplos, "over temperature" and "night" of EPEver.
- **Named alarms** of DSE controllers: their layout differs from model to model.
- **Nothing is written** to any device unless a site switches commands on and names them
  ([what it can be told](../how-to/add-a-device-model.md#what-it-can-be-told)).`;

/** The page as text. */
export function devicesPage(): string {
  const dumped = dumps();
  const simulators = simulatedIds();
  const profiles = [...loadProfiles().values()];
  const overview = table(
    ['profile', 'models', 'kind', 'connection', 'feeds', 'verified'],
    profiles.map((profile) => {
      const { id, vendor, models, kind } = profile;
      const verified = [
        profile.site_points ? '' : 'vectors',
        dumped.get(id) ?? '',
        simulators.has(id) ? 'simulator' : '',
      ].filter(Boolean);
      return [
        `[${id}](#${id})`,
        `${vendor}: ${models.join(', ')}`,
        kind,
        connection(profile),
        metricsOf(profile)
          .map((metric) => `\`${metric}\``)
          .join(' ') || 'what the site gives',
        verified.join(', ') || 'by the site',
      ];
    }),
  );
  return `${[intro, overview, notRead, ...profiles.map(section)].join('\n\n')}\n`;
}
