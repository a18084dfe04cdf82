/**
 * The generated reference pages, from the schemas and catalogues themselves. Write them with
 * `node --conditions=villagrid --import=tsx docs/reference/write.ts`; docs/docs.test.ts fails when they are out of date.
 */
import { errorCatalogue, metricCatalogue, reportFigures, routes, type Access } from '@villagrid/contracts';
import { configReferenceMarkdown } from '@villagrid/runtime';
import { cloudConfigSchema, directorySchema } from '@villagrid/cloud';
import { gatewayConfigSchema } from '@villagrid/gateway';
import { devicesPage } from './devices.js';

const cell = (text: string): string => text.replaceAll('|', '\\|');

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows.map((row) => `| ${row.map(cell).join(' | ')} |`),
  ].join('\n');

const page = (title: string, intro: string, body: string): string => `# ${title}\n\n${intro}\n\n${body}\n`;

const who = (access: Access): string =>
  access.kind === 'role' || access.kind === 'anywhere'
    ? access.role
    : access.kind === 'public'
      ? 'anybody'
      : 'anybody logged in';

/** Every page by its file name in this folder. */
export function referencePages(): Readonly<Record<string, string>> {
  return {
    'configuration.md': [
      configReferenceMarkdown('gateway.yaml', gatewayConfigSchema),
      configReferenceMarkdown('cloud.yaml', cloudConfigSchema),
      configReferenceMarkdown('directory.yaml', directorySchema),
    ]
      .join('\n')
      .replace(/^/, '<!-- generated: docs/reference/write.ts -->\n\n'),
    'metrics.md': page(
      'Metrics',
      '<!-- generated: docs/reference/write.ts -->\n\nA component or phase is a suffix after a dot: `equipment_temp_c.inverter`, `ac_output_voltage_v.l2`. Values are kept at\ntheir resolution; a value outside the plausible range is kept and marked bad; an unknown metric is kept as uncertain. Bad too: a jump beyond the given one\n(until three samples agree on the new level), a value that stays exactly the same for longer than the given hours (until it changed\ntwice), and a counter that stands while 10 kWh of its power flow. Bad values are shown as bad and raise no alert of a limit.',
      table(
        ['id', 'what', 'unit', 'resolution', 'plausible range', 'windows', 'positive means', 'jump', 'stuck after'],
        Object.values(metricCatalogue).map((one) => [
          `\`${one.id}\``,
          one.label,
          one.unit,
          String(10 ** -one.precision),
          `${one.min} to ${one.max}`,
          one.aggregation,
          one.positive ?? '',
          one.jump ? `${one.jump.step}${one.jump.share ? ` + ${100 * one.jump.share} %` : ''}, ${one.jump.perS}/s` : '',
          one.stuck ? `${one.stuck.afterS / 3600} h` : '',
        ]),
      ),
    ),
    'reports.md': page(
      'Figures of reports',
      '<!-- generated: docs/reference/write.ts -->\n\nFigures of `GET /api/reports/{grid_id}`. Each carries the share that was measured, and a total its bounds: gaps filled at\nthe least and the most of the same hour of other days. Energy is counted by the devices; where there is no counter it is\nsummed from power, and says so. A gap is neither zero nor an outage. Days begin at midnight of the village.',
      table(
        ['id', 'group', 'name', 'unit', 'what it means', 'poor'],
        Object.entries(reportFigures).map(([id, one]) => [
          `\`${id}\``,
          one.group,
          one.label,
          one.unit,
          one.help,
          'limits' in one ? `${one.limits.side} ${one.limits.poor}` : '',
        ]),
      ),
    ),
    'errors.md': page(
      'Errors',
      '<!-- generated: docs/reference/write.ts -->\n\nEvery error a person or a client can meet. The API answers with a problem document that carries the code.',
      table(
        ['code', 'status', 'what', 'for', 'what to do next'],
        Object.entries(errorCatalogue).map(([code, one]) => [
          `\`${code}\``,
          String(one.status),
          one.title,
          one.reader,
          one.next,
        ]),
      ),
    ),
    'devices.md': devicesPage(),
    'api.md': page(
      'API',
      '<!-- generated: docs/reference/write.ts -->\n\nThe same on gateway and cloud. Schemas are at `/openapi.json` of a running server.',
      table(
        ['method', 'path', 'what', 'who'],
        routes.map((one) => [one.method, `\`${one.path}\``, one.summary, who(one.access)]),
      ),
    ),
  };
}
