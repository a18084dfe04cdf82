/** `villagrid rule list` and `rule check`: which rules a site has, and whether its own are right, before a gateway uses them. */
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { metricDefinition, ruleKinds, VillagridError, type Rule } from '@villagrid/contracts';
import { loadGatewayConfig } from '@villagrid/gateway/config';
import { loadSiteRules, readRuleFile, ruleFiles, siteDefaults } from '@villagrid/gateway/field';
import type { Command } from 'commander';
import type { CommandPorts } from './command.js';

/** The group of commands; further ones of it are added to what this gives. */
export function addRuleCommands(program: Command, ports: CommandPorts): Command {
  const rule = program.command('rule').description('alert rules: the defaults, and those of a site');
  addList(rule, ports);
  addCheck(rule, ports);
  return rule;
}

function siteOf(folder: string) {
  const config = loadGatewayConfig({ path: join(resolve(folder), 'gateway.yaml') });
  const { site, limits, rules_dir } = config;
  return { site, defaults: siteDefaults(site, limits), folder: rules_dir };
}

/** What a rule watches and when, in one line. */
function inOneLine({ kind, selector, parameters, schedule }: Rule): string {
  const unit = 'metric' in selector ? (metricDefinition(selector.metric)?.unit ?? '') : '';
  const what = ruleKinds[kind]?.describe(parameters as never, unit) ?? kind;
  const of = 'metric' in selector ? selector.metric : 'devices';
  const { scope: _scope, metric: _metric, ...only } = selector as Record<string, unknown>;
  const which = Object.entries(only).map(([name, value]) => `${name} ${String(value)}`);
  const when = [
    schedule?.hours?.map(({ from, to }) => `${from} to ${to}`).join(', '),
    schedule?.days?.join(' '),
    schedule?.months && `months ${schedule.months.join(' ')}`,
  ].filter(Boolean);
  const subject = kind === 'expression' && of !== 'devices' ? '' : `${[of, ...which].join(', ')}: `;
  return `${subject}${what}${when.length > 0 ? ` (${when.join('; ')})` : ''}`;
}

function addList(rule: Command, { print }: CommandPorts): void {
  rule
    .command('list')
    .description('the rules in force, with their limits')
    .requiredOption('--folder <folder>', "the gateway's folder")
    .option('--json', 'answer as JSON')
    .addHelpText('after', '\nExample:\n  villagrid rule list --folder /etc/villagrid\n')
    .action((options: { folder: string; json?: boolean }) => {
      const { site, defaults, folder } = siteOf(options.folder);
      const { rules, files, problems } = loadSiteRules(folder, { site, defaults });
      if (options.json) {
        print(JSON.stringify({ rules: rules.map((one) => ({ ...one, file: files.get(one.id) ?? null })), problems }));
        return;
      }
      for (const one of rules) {
        const mark = one.enabled ? one.severity : 'off';
        print(`${one.id.padEnd(28)} ${mark.padEnd(9)} ${inOneLine(one)}${files.has(one.id) ? '  [own file]' : ''}`);
      }
      for (const problem of problems) print(`not used: ${problem}`);
    });
}

function addCheck(rule: Command, { print, exitCode }: CommandPorts): void {
  rule
    .command('check')
    .description('check files of rules: form, limits, formulas, and whether the site has what they watch')
    .argument('[file...]', "files or folders; the gateway's own folder of rules when left out")
    .requiredOption('--folder <folder>', "the gateway's folder, whose site they are for")
    .option('--json', 'answer as JSON')
    .addHelpText(
      'after',
      '\nA file named as a default rule (villagrid rule list) changes it; any other is a rule of its own.\nExit code: 0 all are right, 1 something is wrong.\n\nExamples:\n  villagrid rule check --folder /etc/villagrid\n  villagrid rule check ./mill_at_night.yaml --folder /etc/villagrid\n',
    )
    .action((given: readonly string[], options: { folder: string; json?: boolean }) => {
      const { site, defaults, folder } = siteOf(options.folder);
      const files =
        given.length === 0
          ? ruleFiles(folder)
          : given.flatMap((one) => (isFolder(one) ? ruleFiles(resolve(one)) : [resolve(one)]));
      const checked = files.map((path) => {
        try {
          return { file: path, rule: readRuleFile(path, { site, defaults }) };
        } catch (error) {
          if (!(error instanceof VillagridError)) throw error;
          return { file: path, problem: error.detail };
        }
      });
      exitCode(checked.some(({ problem }) => problem !== undefined) ? 1 : 0);
      if (options.json) {
        print(JSON.stringify(checked));
        return;
      }
      if (checked.length === 0) print(`There are no files of rules${folder === undefined ? '' : ` in ${folder}`}.`);
      for (const { rule: one, problem } of checked)
        print(problem === undefined && one ? `ok   ${one.id}: ${inOneLine(one)}` : `BAD  ${problem}`);
    });
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
