/** Writes the generated reference pages beside this file. */
import { writeFileSync } from 'node:fs';
import { referencePages } from './pages.js';

for (const [name, text] of Object.entries(referencePages())) writeFileSync(new URL(name, import.meta.url), text);
