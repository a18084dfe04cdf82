/** `villagrid notify`: try a way of telling people, see how all of them do, give the SIM's PIN and the mail password. */
import { existsSync, mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  messageOf,
  newId,
  notifyChannels,
  notifyTestText,
  VillagridError,
  type NotifyChannelName,
  type NotifyStatus,
} from '@villagrid/contracts';
import { loadGatewayConfig, readNotifySecrets } from '@villagrid/gateway';
import { makeChannels, mustBePhoneNumber, type NotifyChannel } from '@villagrid/gateway/notify';
import { createNotifyStore, openDatabase } from '@villagrid/runtime';
import { Argument, type Command } from 'commander';
import { askGateway, gatewayRuns } from '../site/ask-gateway.js';
import { readText, writeSecret } from '../site/files.js';
import { gatewayFiles } from '../site/gateway-site.js';
import { settingsDatabase } from '../site/people.js';
import type { CommandPorts } from './command.js';

interface AskOptions {
  readonly folder: string;
  readonly username?: string;
  readonly passwordStdin?: boolean;
  readonly json?: boolean;
}

type Shown = NotifyStatus['channels'][number];

/** The network takes up to two minutes for a message, and the SIM one to be found. */
const testWithinMs = 240_000;
const noWay = 'No way is set up.';
const secretNames = { 'sms-pin': 'sms_pin', 'email-password': 'email_password' } as const;

export function addNotifyCommands(program: Command, ports: CommandPorts): void {
  const { print, exitCode, readStdin, ask, random, realClock } = ports;
  const notify = program.command('notify').description('telling people of alerts: SMS, e-mail, relay');
  const folder = ['--folder <folder>', "the gateway's folder"] as const;
  const username = [
    '--username <name>',
    'an installer, when the gateway runs: it owns the modem and is asked',
  ] as const;
  const passwordStdin = ['--password-stdin', 'read the password from standard input instead of asking'] as const;

  const credentials = async ({ username: name, passwordStdin: stdin }: AskOptions) => {
    if (name === undefined)
      throw new VillagridError('E_REQUEST_INVALID', 'The gateway runs and is asked; it wants to know who asks.', {
        next: 'Give --username of an installer, or stop the gateway.',
      });
    const typed = stdin ? await readStdin() : await ask(`Password of ${name}: `);
    if (typed === undefined)
      throw new VillagridError('E_REQUEST_INVALID', 'There is no password, and nobody to ask for it.', {
        next: 'Give --password-stdin.',
      });
    return { username: name, password: typed.replace(/\r?\n$/, '') };
  };

  notify
    .command('test')
    .description('send a test by one way')
    .addArgument(new Argument('<channel>', 'the way').choices([...notifyChannels]))
    .requiredOption(...folder)
    .option('--to <where>', 'number (+255712345678) or e-mail address; nothing for a relay')
    .option(...username)
    .option(...passwordStdin)
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nExit code: 0 it went out, 1 it did not, 2 wrong command line.\n\nExamples:\n  villagrid notify test sms --to +255712345678 --folder /etc/villagrid --username asha\n  villagrid notify test relay --folder /etc/villagrid\n',
    )
    .action(async (channel: NotifyChannelName, options: AskOptions & { to?: string }) => {
      if (channel !== 'relay' && options.to === undefined)
        throw new VillagridError('E_REQUEST_INVALID', 'A test needs somebody who gets it.', { next: 'Give --to.' });
      const at = resolve(options.folder);
      const { notify: config } = loadGatewayConfig({ path: gatewayFiles(at).config });
      if (config?.[channel] === undefined)
        throw new VillagridError('E_NOTIFY_FAILED', config === undefined ? noWay : `${channel} is not set up.`, {
          next: 'docs/how-to/tell-people.md shows how.',
        });
      const to = options.to ?? '';
      const shown = (await gatewayRuns(at))
        ? ((await askGateway(at, await credentials(options), (gridId) => `/api/notify/${gridId}/test`, {
            body: { channel, to },
            withinMs: testWithinMs,
            refused: 'E_NOTIFY_FAILED',
          })) as Shown)
        : await direct(at, (channels) => tryOne(at, channels, channel, to));
      if (options.json) print(JSON.stringify(shown));
      else print(`${channel}: the test went out${to === '' ? '' : ` to ${to}`}. ${shown.detail}.`);
    });

  notify
    .command('status')
    .description('how all ways do: signal, credit, what was sent')
    .requiredOption(...folder)
    .option(...username)
    .option(...passwordStdin)
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nExit code: 0 all work, 1 one does not.\n\nExample:\n  villagrid notify status --folder /etc/villagrid --username asha\n',
    )
    .action(async (options: AskOptions) => {
      const at = resolve(options.folder);
      const status = (await gatewayRuns(at))
        ? ((await askGateway(at, await credentials(options), (gridId) => `/api/notify/${gridId}`)) as NotifyStatus)
        : await direct(at, (channels) => lookAtAll(at, channels));
      if (options.json) print(JSON.stringify(status));
      else for (const line of statusLines(status)) print(line);
      exitCode(status.channels.some((one) => one.state === 'failing') ? 1 : 0);
    });

  notify
    .command('secret')
    .description(
      "give the PIN of the modem's SIM or the password of the mail account; kept in a file only its owner reads",
    )
    .addArgument(new Argument('<name>', 'which').choices(Object.keys(secretNames)))
    .requiredOption(...folder)
    .option('--stdin', 'read it from standard input instead of asking')
    .addHelpText('after', '\nExample:\n  villagrid notify secret sms-pin --folder /etc/villagrid\n')
    .action(async (name: keyof typeof secretNames, options: { folder: string; stdin?: boolean }) => {
      const { notify: config } = loadGatewayConfig({ path: gatewayFiles(resolve(options.folder)).config });
      if (!config)
        throw new VillagridError('E_CONFIG_INVALID', 'There is no notify in gateway.yaml.', {
          next: 'Set it first; docs/how-to/tell-people.md shows how.',
        });
      const value = (options.stdin ? await readStdin() : await ask(`${name}: `))?.replace(/\r?\n$/, '');
      if (value === undefined || value === '')
        throw new VillagridError('E_REQUEST_INVALID', 'Nothing was given.', { next: 'Type it, or give --stdin.' });
      if (name === 'sms-pin' && !/^\d{4,8}$/.test(value))
        throw new VillagridError('E_REQUEST_INVALID', 'A PIN is 4 to 8 digits.', { next: 'Nothing was written.' });
      const path = config.secrets_file;
      // A file that is damaged is told, not written over.
      const known = existsSync(path) ? (readText(path), readNotifySecrets(path)) : {};
      const given = name === 'sms-pin' ? { sms_pin_given: newId(realClock.nowMs(), random) } : {};
      writeSecret(path, `${JSON.stringify({ ...known, [secretNames[name]]: value, ...given }, null, 2)}\n`);
      print(`${name}: written. Restart the gateway so that it takes it.`);
    });

  /** The channels themselves, while no gateway owns their lines. */
  async function direct<T>(at: string, work: (channels: readonly NotifyChannel[]) => Promise<T>): Promise<T> {
    const { notify: config, data_dir: dataDir } = loadGatewayConfig({ path: gatewayFiles(at).config });
    if (!config)
      throw new VillagridError('E_CONFIG_INVALID', 'There is no notify in gateway.yaml.', {
        next: 'Set it first; docs/how-to/tell-people.md shows how.',
      });
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const database = openDatabase({ path: resolve(dataDir, settingsDatabase), migrations: [] });
    const store = createNotifyStore(database);
    const channels = makeChannels({
      config,
      secrets: readNotifySecrets(config.secrets_file),
      pinState: { get: () => store.state('pin'), put: (value) => store.putState('pin', value) },
      clock: realClock,
      realClock,
      logger: ports.log,
    });
    try {
      return await work(channels);
    } finally {
      await Promise.all(channels.map((one) => one.close()));
      database.close();
    }
  }

  async function tryOne(
    at: string,
    channels: readonly NotifyChannel[],
    name: NotifyChannelName,
    to: string,
  ): Promise<Shown> {
    const channel = channels.find((one) => one.name === name);
    if (!channel)
      throw new VillagridError('E_REQUEST_INVALID', `${name} is not set up here; the settings are notify.${name}.`, {
        next: 'docs/how-to/tell-people.md shows how.',
      });
    const { site } = loadGatewayConfig({ path: gatewayFiles(at).config });
    try {
      await channel.send({
        to: name === 'sms' ? mustBePhoneNumber(to) : to,
        severity: 'low',
        text: notifyTestText({ place: site.name, zone: site.zone, language: 'en' }),
      });
      // Long enough to hear it.
      if (name === 'relay') await realClock.sleep(2000);
    } catch (error) {
      throw new VillagridError('E_NOTIFY_FAILED', `${messageOf(error)}.`);
    }
    return { ...(await lookAt(channel)), sent: 1, last_sent_ms: Math.round(realClock.nowMs()) };
  }

  async function lookAtAll(at: string, channels: readonly NotifyChannel[]): Promise<NotifyStatus> {
    const { notify: config, site } = loadGatewayConfig({ path: gatewayFiles(at).config });
    const shown: Shown[] = [];
    for (const channel of channels) shown.push(await lookAt(channel));
    return { grid_id: site.grid_id, people: config?.people.length ?? 0, waiting: 0, channels: shown, recent: [] };
  }
}

async function lookAt(channel: NotifyChannel): Promise<Shown> {
  const nothing = { signal_dbm: null, balance: null, sent: 0, failed: 0, last_sent_ms: null };
  try {
    return { channel: channel.name, ...nothing, ...withNulls(await channel.check()) };
  } catch (error) {
    return { channel: channel.name, ...nothing, state: 'failing', detail: messageOf(error) };
  }
}

const withNulls = ({
  state,
  detail,
  signal_dbm = null,
  balance = null,
}: Awaited<ReturnType<NotifyChannel['check']>>) => ({
  state,
  detail,
  signal_dbm,
  balance,
});

function* statusLines({ people, waiting, channels, recent }: NotifyStatus): Generator<string> {
  if (channels.length === 0) yield `${noWay} docs/how-to/tell-people.md shows how.`;
  for (const { channel, state, detail, sent, failed, last_sent_ms: lastMs } of channels) {
    yield `${channel.padEnd(6)} ${(state === 'failing' ? 'FAILS' : state).padEnd(8)} ${detail}`;
    if (sent + failed > 0)
      yield `${''.padEnd(16)}${sent} sent, ${failed} failed${lastMs === null ? '' : `, last ${new Date(lastMs).toISOString()}`}`;
  }
  if (people > 0) yield `${people} people, ${waiting} of them are to be told something`;
  for (const { at_ms: atMs, recipient, channel, subject, error } of recent)
    yield `${new Date(atMs).toISOString()}  ${recipient}, ${channel}: ${subject}${error === null ? '' : `  NOT: ${error}`}`;
}
