/** What tests of a whole site do as its installer would: commands in this process, and waiting until something is so. */
import { runCli } from '@villagrid/provisioning';
import { cryptoRandom, realClock, silentLogger } from '@villagrid/runtime';

const clock = realClock();

/** Waits until something is so; throws with its name when it is not within the limit. */
export async function until(what: string, met: () => boolean | Promise<boolean>, withinMs = 60_000): Promise<void> {
  for (const endMs = clock.monotonicMs() + withinMs; !(await met()); await clock.sleep(20))
    if (clock.monotonicMs() > endMs) throw new Error(`waited in vain for: ${what}`);
}

/** A command line in this process; gives its exit code and what it printed. */
export async function cli(words: string[], stdin = ''): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runCli(words, {
    realClock: clock,
    random: cryptoRandom(),
    log: silentLogger(),
    print: (text) => void out.push(text),
    printError: (text) => void err.push(text),
    readStdin: async () => stdin,
    ask: async () => undefined,
  });
  return { code, out: out.join('\n'), err: err.join('\n') };
}
