/** Screens that are fetched when first opened, so that the first dashboard is small. The worker keeps them all offline. */
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** A component whose code is loaded at first use. `module` must give it under `name`. */
export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let loaded: ComponentType<P> | undefined;
  let loading: Promise<void> | undefined;
  const fetchOnce = () => {
    loading ??= load().then(
      (component) => {
        loaded = component;
      },
      () => {
        // No server and not kept yet: asked again at the next opening.
        loading = undefined;
      },
    );
    return loading;
  };
  return function Lazy(props: P) {
    const [, ready] = useState(loaded !== undefined);
    useEffect(() => {
      let gone = false;
      if (loaded === undefined) void fetchOnce().then(() => (gone ? undefined : ready(loaded !== undefined)));
      return () => {
        gone = true;
      };
    }, []);
    const Component = loaded;
    return Component === undefined ? <div class="screen" aria-busy="true" /> : <Component {...props} />;
  };
}
