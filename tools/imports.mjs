#!/usr/bin/env node
// Who may import whom: see tools/src/imports/table.ts. Runs from source, so that it needs no build.
import { register } from 'tsx/esm/api';

register();
await import('./src/imports/main.ts');
