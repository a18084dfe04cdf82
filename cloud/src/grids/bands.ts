/** Normal bands of a grid's figures, from the rules in force. */
import type { Rule } from '@villagrid/contracts';

/** Where a figure is normal; one side may be open. */
export interface Band {
  readonly low?: number;
  readonly high?: number;
}

/** The tightest limits of the threshold rules per metric. */
export function bandsOf(rules: readonly Rule[]): Readonly<Record<string, Band>> {
  const bands: Record<string, { low?: number; high?: number }> = {};
  for (const { kind, enabled, selector, parameters } of rules) {
    if (kind !== 'threshold' || !enabled || !('metric' in selector)) continue;
    const { above, below } = parameters as { above?: unknown; below?: unknown };
    const band = (bands[selector.metric] ??= {});
    if (typeof above === 'number') band.high = Math.min(above, band.high ?? above);
    if (typeof below === 'number') band.low = Math.max(below, band.low ?? below);
  }
  return bands;
}
