/** Where files of this package are, from whichever form of it runs: src, dist and bundle are each one folder deep. */
import { fileURLToPath } from 'node:url';

/** Path of a file or folder that comes with the gateway, e.g. `profiles`. `path` is relative to the package's folder. */
export const ownFile = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
