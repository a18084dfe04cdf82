/** Draws a chart once its code is there; keeps the room free before, so that nothing jumps. */
import type { FunctionComponent } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { theme } from '../ui/theme.js';
import type { PlotProps } from './plot.js';

let loaded: FunctionComponent<PlotProps> | undefined;

export function LazyPlot(props: Omit<PlotProps, 'theme'>) {
  const [, ready] = useState(loaded !== undefined);
  useEffect(() => {
    if (loaded !== undefined) return;
    let gone = false;
    import('./plot.js').then(
      (module) => {
        loaded = module.default;
        if (!gone) ready(true);
      },
      () => undefined,
    );
    return () => {
      gone = true;
    };
  }, []);
  const Plot = loaded;
  if (Plot === undefined)
    return (
      <div class="plot-room" style={{ blockSize: `${props.height + 20}px` }} role="img" aria-label={props.label} />
    );
  return <Plot {...props} theme={theme.value} />;
}
