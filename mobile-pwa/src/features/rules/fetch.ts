/** What the rules' screen asks of the server. */
import type { Clock, RuleList, RuleTest, RuleTestRequest } from '@villagrid/contracts';
import type { Api } from '../../origin/api.js';

const patienceMs = 15_000;
/** How often a test is asked for, ms. */
const pollMs = 400;

const read = <T>(response: Response): Promise<T> => response.json() as Promise<T>;
const address = (gridId: string, rest = ''): string => `/api/rules/${encodeURIComponent(gridId)}${rest}`;

/** The rules of a grid. */
export const fetchRules = (api: Api, gridId: string): Promise<RuleList> =>
  api.ask<RuleList>(address(gridId), patienceMs, read);

/** A test that was begun; `stop` ends it at the server. */
export interface RunningTest {
  readonly done: Promise<RuleTest>;
  stop(): void;
}

/** Tries a rule on the past; tells how it goes until it is over. */
export function runRuleTest(
  api: Api,
  clock: Clock,
  gridId: string,
  request: RuleTestRequest,
  tell: (test: RuleTest) => void,
): RunningTest {
  let stopped = false;
  let path: string | undefined;
  const run = async (): Promise<RuleTest> => {
    let test = await api.ask<RuleTest>(address(gridId, '/tests'), patienceMs, read, { method: 'POST', body: request });
    path = address(gridId, `/tests/${test.test_id}`);
    if (stopped) end();
    while (!stopped && (test.state === 'waiting' || test.state === 'running')) {
      tell(test);
      await clock.sleep(pollMs);
      test = await api.ask<RuleTest>(path, patienceMs, read);
    }
    return test;
  };
  const end = () => {
    if (path !== undefined) api.ask<RuleTest>(path, patienceMs, read, { method: 'DELETE' }).catch(() => {});
  };
  return {
    done: run(),
    stop() {
      stopped = true;
      end();
    },
  };
}
