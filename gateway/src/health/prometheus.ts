/** Numbers in the Prometheus text form. */

/** One family of numbers: a value, or one per label value. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly values: number | { readonly label: string; readonly by: Readonly<Record<string, number>> };
}

/** Writes families as text, each line ended. */
export function prometheusText(families: readonly MetricFamily[]): string {
  const lines: string[] = [];
  for (const { name, help, type, values } of families) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    if (typeof values === 'number') lines.push(`${name} ${plain(values)}`);
    else
      for (const [key, value] of Object.entries(values.by))
        lines.push(`${name}{${values.label}="${key.replace(/["\\\n]/g, '_')}"} ${plain(value)}`);
  }
  return `${lines.join('\n')}\n`;
}

const plain = (value: number): string => (Number.isFinite(value) ? String(value) : 'NaN');
