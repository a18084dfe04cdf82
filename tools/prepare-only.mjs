// Installs and compiles what is missing, and nothing else.
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepare } from './prepare.mjs';

await prepare(dirname(dirname(fileURLToPath(import.meta.url))), { app: true });
