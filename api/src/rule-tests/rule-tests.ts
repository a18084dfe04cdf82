/** Back-tests that people began: one at a time per grid, others wait; what was found is kept for some minutes. */
import {
  newId,
  VillagridError,
  type Clock,
  type RandomSource,
  type RuleTest,
  type RuleTestResult,
  type RuleTestState,
} from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import type { GridPort } from '../ports.js';
import { runTest, type AskedTest } from './run.js';

/** Tests of one grid that may wait for the one that runs. */
const mostWaiting = 6;
/** Finished tests of one grid that are kept, and for how long, real milliseconds. */
const mostKept = 20;
const keptMs = 10 * 60_000;

interface Job {
  readonly id: string;
  readonly grid: GridPort;
  readonly asked: AskedTest;
  state: RuleTestState;
  progress: number;
  error: RuleTest['error'];
  result: RuleTestResult | null;
  endedMs: number;
}

/** The tests of one server. */
export class RuleTests {
  readonly #options: { readonly realClock: Clock; readonly random: RandomSource; readonly log: Logger };
  /** In the order in which they were begun, per grid. */
  readonly #jobs = new Map<string, Job[]>();
  /** Grids whose history a test reads: one that was cancelled ends with its next step, and only then another begins. */
  readonly #reading = new Set<string>();
  #closed = false;

  constructor(options: { readonly realClock: Clock; readonly random: RandomSource; readonly log: Logger }) {
    this.#options = options;
  }

  /** Begins a test, at once or when those before it are done. Throws E_BUSY. */
  begin(grid: GridPort, asked: AskedTest): RuleTest {
    const { realClock, random } = this.#options;
    const jobs = this.#jobsOf(grid.gridId);
    if (this.#closed || jobs.filter(({ state }) => state === 'waiting').length >= mostWaiting)
      throw new VillagridError('E_BUSY', 'Too many tests of this grid wait already.');
    const job: Job = {
      id: newId(realClock.nowMs(), random),
      grid,
      asked,
      state: 'waiting',
      progress: 0,
      error: null,
      result: null,
      endedMs: 0,
    };
    jobs.push(job);
    this.#next(grid.gridId);
    return view(job);
  }

  /** How a test stands. Throws E_RULE_TEST_NOT_FOUND. */
  get(gridId: string, testId: string): RuleTest {
    return view(this.#find(gridId, testId));
  }

  /** Ends a test that is not done; one that is stays as it is. Throws E_RULE_TEST_NOT_FOUND. */
  cancel(gridId: string, testId: string): RuleTest {
    const job = this.#find(gridId, testId);
    if (job.state === 'waiting' || job.state === 'running') this.#end(job, 'cancelled');
    return view(job);
  }

  /** Ends all of them. */
  close(): void {
    this.#closed = true;
    for (const jobs of this.#jobs.values())
      for (const job of jobs) if (job.state === 'waiting' || job.state === 'running') this.#end(job, 'cancelled');
    this.#jobs.clear();
  }

  #jobsOf(gridId: string): Job[] {
    const oldestMs = this.#options.realClock.monotonicMs() - keptMs;
    const isDone = ({ state }: Job) => state !== 'waiting' && state !== 'running';
    const known = (this.#jobs.get(gridId) ?? []).filter((job) => !isDone(job) || job.endedMs >= oldestMs);
    const tooMany = known.filter(isDone).slice(0, -mostKept);
    const jobs = tooMany.length === 0 ? known : known.filter((job) => !tooMany.includes(job));
    this.#jobs.set(gridId, jobs);
    return jobs;
  }

  #find(gridId: string, testId: string): Job {
    const job = this.#jobsOf(gridId).find(({ id }) => id === testId);
    if (job === undefined)
      throw new VillagridError(
        'E_RULE_TEST_NOT_FOUND',
        'This grid has no test of this id; it may have ended long ago.',
      );
    return job;
  }

  #end(job: Job, state: RuleTestState): void {
    job.state = state;
    job.endedMs = this.#options.realClock.monotonicMs();
  }

  #next(gridId: string): void {
    const jobs = this.#jobs.get(gridId) ?? [];
    const next = jobs.find(({ state }) => state === 'waiting');
    if (next === undefined || this.#reading.has(gridId)) return;
    next.state = 'running';
    this.#reading.add(gridId);
    void this.#run(next).finally(() => {
      this.#reading.delete(gridId);
      this.#next(gridId);
    });
  }

  async #run(job: Job): Promise<void> {
    const { realClock, log } = this.#options;
    const isCancelled = () => job.state !== 'running';
    try {
      const result = await runTest(job.grid, job.asked, {
        monotonicMs: () => realClock.monotonicMs(),
        progress: (share) => (job.progress = Math.round(share * 1000) / 1000),
        isCancelled,
      });
      if (result === undefined || isCancelled()) return;
      job.result = result;
      job.progress = 1;
      this.#end(job, 'done');
    } catch (error) {
      if (isCancelled()) return;
      const known = error instanceof VillagridError ? error : undefined;
      if (known === undefined) log.error('a test of a rule failed', { error });
      job.error = {
        code: known?.code ?? 'E_INTERNAL',
        detail: known?.detail ?? 'The test could not be run; the log of the server says why.',
      };
      this.#end(job, 'failed');
    }
  }
}

const view = ({ id, grid, state, progress, error, result }: Job): RuleTest => ({
  test_id: id,
  grid_id: grid.gridId,
  state,
  progress,
  error,
  result,
});
