#!/usr/bin/env node
// Says where in the sources the places of a trace are: reads text from standard input, writes it with each place in the
// gateway's bundle followed by that of its source. node tools/trace.mjs < trace.txt
import { existsSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, 'gateway/bundle');
const maps = new Map();

/** The map of one of the bundle's files, of this very build. */
function mapOf(name) {
  const file = join(folder, `${name}.map`);
  if (!maps.has(name))
    maps.set(name, existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, 'utf8'))) : undefined);
  return maps.get(name);
}

const text = readFileSync(0, 'utf8');
process.stdout.write(
  text.replaceAll(/gateway\/bundle\/([\w.-]+\.js):(\d+):(\d+)/g, (place, name, line, column) => {
    const entry = mapOf(name)?.findEntry(Number(line) - 1, Number(column) - 1);
    if (entry?.originalSource === undefined) return place;
    return `${place} = ${relative(root, join(folder, entry.originalSource))}:${entry.originalLine + 1}`;
  }),
);
