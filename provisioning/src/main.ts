#!/usr/bin/env node
/** The process of the command line: argv, clock, randomness, streams. */
import { createLogger, cryptoRandom, realClock } from '@villagrid/runtime';
import { runCli } from './cli.js';
import { askHidden } from './site/ask.js';

// Whoever reads us may have enough: `villagrid profile list | head`.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });

const clock = realClock();
process.exitCode = await runCli(process.argv.slice(2), {
  realClock: clock,
  random: cryptoRandom(),
  log: createLogger({ name: 'villagrid', level: 'warn', clock }),
  print: (text) => process.stdout.write(`${text}\n`),
  printError: (text) => process.stderr.write(`${text}\n`),
  readStdin: async () => {
    let text = '';
    for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk as string;
    return text;
  },
  ask: (question) => askHidden(question, process.stdin, process.stderr),
});
