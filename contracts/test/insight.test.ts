/** Tests of the usual day, of explained anomalies and of forecasts. */
import t from 'tap';
import { learnQuarter, localQuarter, usualDayFrom, usualDayOf, usualDayState, usualRange } from '@villagrid/contracts';

const zone = 'Asia/Kathmandu';
const firstMs = Date.UTC(2026, 2, 1) - 20_700_000;

/** Windows of whole days of a value that depends on day and quarter hour. */
function windowsOf(days: number, value: (day: number, quarter: number) => number) {
  const columns = { t: [] as number[], min: [], mean: [] as number[], max: [], last: [], count: [] };
  for (let day = 0; day < days; day += 1)
    for (let quarter = 0; quarter < 96; quarter += 1) {
      columns.t.push(firstMs + (day * 96 + quarter) * 900_000);
      columns.mean.push(value(day, quarter));
    }
  return columns;
}

t.test('the usual range is that of the same quarter hour of the local day, also in a zone of :45', async (t) => {
  const evening = (day: number, quarter: number) => (quarter >= 72 && quarter < 88 ? 9 : 3) + (day % 5) / 10;
  const profile = usualDayOf(zone, new Map([['consumption_kw', windowsOf(14, evening)]]));
  const range = usualRange(profile, 'consumption_kw', 80);
  t.match(range, { days: 14 });
  t.ok(range!.low >= 9 && range!.high <= 9.4 && range!.low < range!.middle && range!.middle < range!.high);
  t.ok(usualRange(profile, 'consumption_kw', 40)!.high <= 3.4);
  t.equal(usualRange(profile, 'generation_kw', 40), undefined);
});

t.test('one wild day in twenty does not widen what is usual beyond recognition', async (t) => {
  const profile = usualDayOf(zone, new Map([['x', windowsOf(20, (day) => (day === 7 ? 500 : 3 + (day % 4) / 10))]]));
  t.ok(usualRange(profile, 'x', 40)!.high < 3.5);
});

t.test('what is usual follows a village that changes, and forgets what is long ago', async (t) => {
  const profile = usualDayOf(zone, new Map([['x', windowsOf(60, (day) => (day < 30 ? 3 : 6))]]));
  t.match(usualRange(profile, 'x', 10), { low: 6, middle: 6, high: 6, days: 21 });
});

t.test('the usual day survives a restart', async (t) => {
  const profile = usualDayOf(zone, new Map([['x', windowsOf(9, (day, quarter) => Math.sin(day * 7 + quarter))]]));
  const { date } = localQuarter(zone, firstMs + 20 * 86_400_000);
  learnQuarter(profile, 'x', date, 3, 0.25);
  const back = usualDayFrom(JSON.parse(JSON.stringify(usualDayState(profile))), zone)!;
  for (let quarter = 0; quarter < 96; quarter += 1) {
    const [was, is] = [usualRange(profile, 'x', quarter)!, usualRange(back, 'x', quarter)!];
    t.ok(Math.abs(was.low - is.low) < 1e-3 && Math.abs(was.high - is.high) < 1e-3 && was.days === is.days);
  }
  t.equal(usualDayFrom({ zone }, zone), undefined, 'what is no state is not believed');
  t.equal(usualDayFrom(usualDayState(profile), 'Africa/Nairobi'), undefined, 'nor one of another zone');
});
