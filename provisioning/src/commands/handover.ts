/** `villagrid handover`: what one operator leaves to the next. */
import { newId, VillagridError, type HandOverView } from '@villagrid/contracts';
import type { Command } from 'commander';
import { momentText } from '../site/village-time.js';
import { openAs, plainText, withPerson, type PersonOptions } from './as-person.js';
import type { CommandPorts } from './command.js';

type Note = HandOverView['notes'][number];

const pathOf = (gridId: string) => `/api/handover/${gridId}`;

export function addHandOverCommands(program: Command, ports: CommandPorts): void {
  const handOver = program.command('handover').description('the note that one operator leaves to the next');
  addShow(handOver, ports);
  addWrite(handOver, ports);
}

function addShow(handOver: Command, ports: CommandPorts): void {
  withPerson(handOver.command('show').description('what the last one left'), 'who asks; a viewer is enough')
    .option('--all', 'also earlier notes')
    .option('--json', 'answer as JSON; holds also earlier notes')
    .addHelpText(
      'after',
      '\nTimes are the village’s. Of two people who wrote without knowing of each other both notes are shown.\nExit code: 0 shown, 1 the gateway could not be asked or does not know the person, 2 the command line is wrong.\n\nExample:\n  villagrid handover show --folder /etc/villagrid --username asha\n',
    )
    .action(async (options: PersonOptions & { readonly all?: boolean; readonly json?: boolean }) => {
      const session = await openAs(options, ports);
      const answer = (await session.ask('GET', pathOf(session.gridId))) as HandOverView;
      if (options.json) ports.print(JSON.stringify(answer));
      else {
        const shown = answer.notes.filter(({ current }) => options.all === true || current);
        if (shown.length === 0) ports.print('Nobody left a note.');
        for (const note of shown) for (const line of noteLines(note, session.zone)) ports.print(line);
      }
      ports.exitCode(0);
    });
}

function addWrite(handOver: Command, ports: CommandPorts): void {
  withPerson(
    handOver.command('write <note>').description('leave a note to the next; the one before stays in the history'),
    'who writes; an operator',
  )
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nThe note that it replaces is printed, so that nothing of it is lost unseen.\nExit code: 0 written, 1 the gateway could not be asked or does not know the person, 2 the command line is wrong or the gateway refused.\n\nExample:\n  villagrid handover write "Battery 2 runs warm, look at 14:00" --folder /etc/villagrid --username asha\n',
    )
    .action(async (note: string, options: PersonOptions & { readonly json?: boolean }) => {
      if (note.trim() === '')
        throw new VillagridError('E_REQUEST_INVALID', 'The note is empty.', { next: 'Write it in quotes.' });
      const session = await openAs(options, ports);
      const path = pathOf(session.gridId);
      const before = ((await session.ask('GET', path)) as HandOverView).notes.filter(({ current }) => current);
      const id = newId(ports.realClock.nowMs(), ports.random);
      // Only what is shown here is replaced: a note that somebody writes in this moment stays beside it.
      const body = { act_id: id, note, replaces: before.map(({ event_id }) => event_id) };
      const answer = (await session.ask('POST', path, body)) as HandOverView;
      if (options.json) ports.print(JSON.stringify(answer.notes.find(({ event_id }) => event_id === id) ?? null));
      else {
        ports.print('Written.');
        if (before.length > 0) ports.print('It takes the place of:');
        for (const one of before) for (const line of noteLines(one, session.zone)) ports.print(line);
      }
      ports.exitCode(0);
    });
}

function noteLines({ at_ms, actor, note, current }: Note, zone: string): string[] {
  const when = `${momentText(at_ms, zone)} (${zone}), ${plainText(actor.name)}${current ? '' : ', earlier'}:`;
  return [
    when,
    ...plainText(note)
      .split('\n')
      .map((line) => `  ${line}`),
  ];
}
