/** Says which imports of the repository are forbidden, and whom to ask instead. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkImports } from './check.js';
import { arrows } from './table.js';

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const { modules, imports, faults } = checkImports(root, arrows);
for (const fault of faults) process.stdout.write(`${fault}\n`);
process.stdout.write(`${modules} modules, ${imports} imports, ${faults.length} of them forbidden\n`);
process.exitCode = faults.length > 0 ? 1 : 0;
