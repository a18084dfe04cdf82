import t from 'tap';
import { backoffDelayMs, seededRandom } from '../index.js';

t.test('the wait stays within its bounds, grows, and is spread over the whole range', async (t) => {
  const random = seededRandom(1);
  const waits = (attempt: number) =>
    Array.from({ length: 500 }, () => backoffDelayMs(attempt, { minMs: 1000, maxMs: 300_000, random }));
  for (const attempt of [0, 1, 5, 20, 5000]) {
    const all = waits(attempt);
    const ceiling = Math.min(300_000, 1000 * 2 ** (attempt + 1));
    t.ok(
      all.every((wait) => wait >= 1000 && wait <= ceiling),
      `attempt ${attempt} within 1000 and ${ceiling}`,
    );
    t.ok(Math.max(...all) > ceiling * 0.95 && Math.min(...all) < 1000 + ceiling * 0.05, `attempt ${attempt} is spread`);
  }
});
