/** Help and reference from the schema. */
import type { TSchema } from 'typebox';
import { describeAllowed } from './allowed.js';
import { asNode, type SchemaNode } from './schema-walk.js';

/** One setting as a person reads it. */
export interface ConfigRow {
  /** `http.port`, `devices[].id`, `users.<name>.role` */
  readonly path: string;
  /** What it may be, in words. */
  readonly type: string;
  /** The default as JSON; undefined for none. */
  readonly default: string | undefined;
  readonly required: boolean;
  readonly description: string;
}

/** Every setting of a schema, in its order. */
export function describeConfig(schema: TSchema): ConfigRow[] {
  const rows: ConfigRow[] = [];
  walk(asNode(schema), '', true, rows);
  return rows;
}

function walk(node: SchemaNode, path: string, required: boolean, rows: ConfigRow[]): void {
  const hasInside = node.properties !== undefined || node.patternProperties !== undefined;
  if (path !== '' && (!hasInside || node.description !== undefined)) {
    const standard = node.default === undefined ? undefined : JSON.stringify(node.default);
    rows.push({
      path,
      type: describeAllowed(node),
      default: standard,
      required: required && standard === undefined,
      description: node.description ?? '',
    });
  }
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    walk(child, path === '' ? key : `${path}.${key}`, required && (node.required ?? []).includes(key), rows);
  }
  for (const child of Object.values(node.patternProperties ?? {})) walk(child, `${path}.<name>`, false, rows);
  if (node.items) walkInside(node.items, `${path}[]`, rows);
  for (const variant of node.anyOf ?? []) walkInside(variant, path, rows);
}

/** What a list's items or a union's variants hold; plain ones are told by their parent's row. */
function walkInside(node: SchemaNode, path: string, rows: ConfigRow[]): void {
  if (!node.properties && !node.patternProperties && !node.anyOf && !node.items) return;
  const { description: _told, ...inside } = node;
  const known = new Set(rows.map((row) => row.path));
  const more: ConfigRow[] = [];
  walk(node.properties || node.patternProperties ? inside : node, path, true, more);
  // Variants of a union share settings (their `type`, say): each is listed once.
  rows.push(...more.filter((row) => row.path !== path && !known.has(row.path)));
}

/** The reference page of a schema, Markdown. */
export function configReferenceMarkdown(title: string, schema: TSchema): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
  const rows = describeConfig(schema).map(
    (row) =>
      `| \`${row.path}\` | ${cell(row.type)} | ${row.default === undefined ? (row.required ? 'required' : '') : `\`${cell(row.default)}\``} | ${cell(row.description)} |`,
  );
  const head = asNode(schema).description;
  return [
    `# ${title}`,
    '',
    ...(head ? [head, ''] : []),
    '| setting | allowed | default | what it is |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
