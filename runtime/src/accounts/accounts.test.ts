import { join } from 'node:path';
import { readFileSync, readdirSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { Grant } from '@villagrid/contracts';
import {
  createAccounts,
  cryptoRandom,
  hashSecret,
  isSecretHash,
  openDatabase,
  realClock,
  verifySecret,
  type Accounts,
} from '../index.js';
import { memoryLog, tempDir, testClock } from '../testing/index.js';

// Slow hashes on a busy machine.
t.setTimeout(180_000);
const password = 'correct horse battery';
const viewer: Grant = { role: 'viewer', scope: { kind: 'grid', grid_id: 'alpha' } };
const admin: Grant = { role: 'admin', scope: { kind: 'everything' } };
const minute = 60_000;
const day = 24 * 60 * minute;

function setUp(t: Test, path = join(tempDir(t), 'accounts.db')) {
  const database = openDatabase({ path });
  t.teardown(() => database.close());
  const clock = testClock();
  const { log, lines } = memoryLog({ foldAfter: 1000 });
  const accounts = createAccounts({ database, realClock: clock, random: cryptoRandom(), log });
  return { accounts, clock, database, lines, path };
}

const add = (accounts: Accounts, username = 'operator', grants: readonly Grant[] = [viewer]) =>
  accounts.addUser({ username, displayName: 'Operator', password, grants });

t.test('the right name and password give a token that names the person; a wrong one gives nothing', async (t) => {
  const { accounts } = setUp(t);
  const account = await add(accounts);
  const login = await accounts.login(' OPERATOR ', password, '10.0.0.2');
  t.match(login?.token, /^[A-Za-z0-9_-]{43}$/);
  t.equal(login?.expiresInS, 30 * 24 * 3600);
  const person = { user_id: account.userId, username: 'operator', display_name: 'Operator', grants: [viewer] };
  t.same(login?.principal, person);
  t.same(await accounts.authenticate(login?.token ?? ''), person);
  for (const [name, secret] of [
    ['operator', 'wrong horse battery'],
    ['operator', ''],
    ['manager', password],
    ['', ''],
    ["operator' OR 1=1 --", password],
  ] as const) {
    t.equal(await accounts.login(name, secret, '10.0.0.3'), undefined, JSON.stringify(name));
  }
  const other = (login?.token ?? '').replace(/^./, (first) => (first === 'A' ? 'B' : 'A'));
  for (const token of [other, '', 'none', `${login?.token}=`, 'x'.repeat(100_000), null as unknown as string])
    t.equal(await accounts.authenticate(token), undefined);
});

t.test('a login ends by logging out, after 30 days, by a new password; others go on', async (t) => {
  const { accounts, clock } = setUp(t);
  await add(accounts);
  const token = async () => (await accounts.login('operator', password, 'a'))?.token ?? '';
  const [first, second] = [await token(), await token()];
  t.not(first, second);
  await accounts.logout(first);
  await accounts.logout(first);
  t.equal(await accounts.authenticate(first), undefined);
  t.ok(await accounts.authenticate(second));
  await clock.advance(30 * day - 1);
  t.ok(await accounts.authenticate(second), 'a millisecond before its end');
  await clock.advance(1);
  t.equal(await accounts.authenticate(second), undefined);
  const third = await token();
  await accounts.setPassword('operator', 'another long one');
  t.equal(await accounts.authenticate(third), undefined);
  t.equal(await accounts.login('operator', password, 'a'), undefined);
  t.ok(await accounts.login('operator', 'another long one', 'a'));
});

t.test('a jump of the wall clock neither ends a login nor lengthens it, also over a restart', async (t) => {
  const { accounts, clock, database, lines } = setUp(t);
  await add(accounts);
  const token = (await accounts.login('operator', password, 'a'))?.token ?? '';
  clock.stepWall(6 * 365 * day);
  t.ok(await accounts.authenticate(token), 'clock put right by years');
  clock.stepWall(-12 * 365 * day);
  await clock.advance(20 * day);
  t.ok(await accounts.authenticate(token));
  const later = testClock(0);
  const again = createAccounts({ database, realClock: later, random: cryptoRandom(), log: memoryLog().log });
  t.ok(await again.authenticate(token), 'after a restart');
  await later.advance(10 * day);
  t.equal(await again.authenticate(token), undefined, '20 days before and 10 after it');
  t.ok(lines.length > 0);
});

t.test('disabling and other grants hold at once, for logins that exist', async (t) => {
  const { accounts } = setUp(t);
  await add(accounts);
  await add(accounts, 'manager', [admin]);
  const token = (await accounts.login('operator', password, 'a'))?.token ?? '';
  accounts.setGrants('operator', [admin]);
  t.same((await accounts.authenticate(token))?.grants, [admin]);
  accounts.setGrants('operator', []);
  t.same((await accounts.authenticate(token))?.grants, []);
  const taken = accounts.audit(0, Number.MAX_SAFE_INTEGER).find(({ grants }) => grants.length === 0);
  t.match(taken, { kind: 'grants_changed', grants: [], grantsBefore: [admin] }, 'also where it was held before');
  accounts.disable('operator');
  t.equal(await accounts.authenticate(token), undefined);
  t.equal(await accounts.login('operator', password, 'a'), undefined);
  t.same(
    accounts.list().map(({ username, disabled }) => [username, disabled]),
    [
      ['manager', false],
      ['operator', true],
    ],
  );
  t.equal(accounts.count(), 2);
  accounts.enable('operator');
  t.equal(await accounts.authenticate(token), undefined, 'an ended login stays ended');
  t.ok(await accounts.login('operator', password, 'a'));
});

t.test('a card that takes nothing shuts nobody out: a login holds until the next start, and its end too', async (t) => {
  const { accounts, clock, database } = setUp(t);
  await add(accounts);
  const before = await accounts.login('operator', password, '10.0.0.2');
  database.pragma('query_only = 1');
  const login = await accounts.login('operator', password, '10.0.0.2');
  t.equal((await accounts.authenticate(login?.token ?? ''))?.username, 'operator');
  await clock.advance(11 * minute);
  t.equal((await accounts.authenticate(before?.token ?? ''))?.username, 'operator', 'who was in stays in');
  await accounts.logout(before?.token ?? '');
  t.equal(await accounts.authenticate(before?.token ?? ''), undefined);
  database.pragma('query_only = 0');
  accounts.disable('operator');
  t.equal(await accounts.authenticate(login?.token ?? ''), undefined);
  accounts.enable('operator');
  t.equal(await accounts.authenticate(login?.token ?? ''), undefined, 'nor when the account is enabled again');
  t.equal(await accounts.authenticate(before?.token ?? ''), undefined);
});

t.test('ten failed tries of a name within 15 minutes, then it must wait, from any address', async (t) => {
  const { accounts, clock } = setUp(t);
  await add(accounts);
  for (const name of ['operator', 'nobody']) {
    // All at once: those that overtake the count must not pass.
    const tries = Array.from({ length: 14 }, (_, i) => accounts.login(name, 'wrong', `${name}-${i}`));
    const outcomes = await Promise.allSettled(tries);
    t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 10, name);
    await t.rejects(accounts.login(name, password, 'elsewhere'), { code: 'E_LOGIN_SLOW_DOWN', status: 429 });
  }
  await clock.advance(15 * minute - 1);
  await t.rejects(accounts.login('operator', password, 'elsewhere'), { code: 'E_LOGIN_SLOW_DOWN' });
  await clock.advance(1);
  t.ok(await accounts.login('operator', password, 'elsewhere'));
});

t.test('a login that works forgives the name its failed tries, not the address', async (t) => {
  const { accounts } = setUp(t);
  await add(accounts);
  for (let i = 0; i < 9; i += 1) t.equal(await accounts.login('operator', 'wrong', '10.0.0.9'), undefined);
  t.ok(await accounts.login('Operator', password, '10.0.0.9'));
  t.equal(await accounts.login('operator', 'wrong', '10.0.0.9'), undefined);
  await t.rejects(accounts.login('operator', password, '10.0.0.9'), { code: 'E_LOGIN_SLOW_DOWN' });
  t.ok(await accounts.login('operator', password, '10.0.0.8'), 'one failed try of the name is left of ten');
});

t.test('ten failed tries from an address, then it must wait, with any name; others need not', async (t) => {
  const { accounts } = setUp(t);
  await add(accounts);
  for (let i = 0; i < 10; i += 1) t.equal(await accounts.login(`user${i}`, 'wrong', '::ffff:10.0.0.9'), undefined);
  await t.rejects(accounts.login('operator', password, '10.0.0.9'), { code: 'E_LOGIN_SLOW_DOWN' });
  t.ok(await accounts.login('operator', password, '10.0.0.8'));
});

t.test('a name that does not exist takes as long as one that does', async (t) => {
  const { accounts } = setUp(t);
  await add(accounts);
  const clock = realClock();
  const median = async (name: string) => {
    const times: number[] = [];
    for (let i = 0; i < 5; i += 1) {
      const start = clock.monotonicMs();
      await accounts.login(name, 'wrong', `${name}-${i}`);
      times.push(clock.monotonicMs() - start);
    }
    return times.sort((a, b) => a - b)[2] as number;
  };
  await accounts.login('first', 'wrong', 'warm up');
  const [known, unknown] = [await median('operator'), await median('nobody')];
  t.ok(unknown > known / 2 && unknown < known * 2, `known ${known.toFixed(0)} ms, unknown ${unknown.toFixed(0)} ms`);
});

t.test('neither passwords nor tokens are in the files or the log', async (t) => {
  const { accounts, lines, path } = setUp(t);
  await add(accounts);
  const token = (await accounts.login('operator', password, 'a'))?.token ?? '';
  await accounts.login('canary-typed-as-name', 'canary-wrong-password', 'a');
  await accounts.setPassword('operator', 'canary-new-password');
  const folder = join(path, '..');
  const files = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'latin1'));
  const everything = [...files, JSON.stringify(lines)].join('\n');
  t.ok(everything.includes('login failed') && everything.includes('$scrypt$ln=15,r=8,p=1$'));
  for (const secret of [password, token, Buffer.from(token, 'base64url').toString('latin1'), 'canary'])
    t.notOk(everything.includes(secret), secret.slice(0, 6));
});

t.test('what an account may not be is told by field', async (t) => {
  const { accounts } = setUp(t);
  await add(accounts);
  await t.rejects(add(accounts, 'Operator'), { code: 'E_CONFLICT', detail: /"operator" is taken/ });
  const both = await Promise.allSettled([add(accounts, 'twin'), add(accounts, 'twin')]);
  t.match(both.find((one) => one.status === 'rejected')?.reason, { code: 'E_CONFLICT' });
  for (const [change, detail] of [
    [{ username: '' }, /username/],
    [{ username: 'a b' }, /username/],
    [{ username: 'x'.repeat(65) }, /username/],
    [{ displayName: ' ' }, /display_name/],
    [{ password: 'short' }, /8 to 1024/],
    [{ grants: [{ ...viewer, role: 'king' }] }, /grants\[0\]\.role/],
    [{ grants: [{ role: 'viewer', scope: { kind: 'grid' } }] }, /grants\[0\]\.scope/],
  ] as const) {
    const account = { username: 'another', displayName: 'Another', password, grants: [viewer], ...change };
    await t.rejects(accounts.addUser(account as never), { code: 'E_REQUEST_INVALID', detail });
  }
  t.throws(() => accounts.disable('nobody'), { code: 'E_REQUEST_INVALID', detail: /"nobody"/ });
  await t.rejects(accounts.setPassword('nobody', password), { code: 'E_REQUEST_INVALID' });
});

t.test('a hashed secret is recognised, any other is not, and a text that is no hash recognises nothing', async (t) => {
  const random = cryptoRandom();
  const hash = await hashSecret('caf\u00e9', random, { logN: 10 });
  t.match(hash, /^\$scrypt\$ln=10,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  t.not(hash, await hashSecret('caf\u00e9', random, { logN: 10 }), 'salted');
  t.ok(await verifySecret('caf\u00e9', hash));
  t.ok(await verifySecret('cafe\u0301', hash), 'composed the other way');
  t.notOk(await verifySecret('cafe', hash));
  // Vector of RFC 7914 section 12: scrypt("pleaseletmein", "SodiumChloride", 16384, 8, 1, 64).
  const rfc = Buffer.from(
    '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
    'hex',
  );
  const salt = Buffer.from('SodiumChloride').toString('base64').replace(/=+$/, '');
  const stored = `$scrypt$ln=14,r=8,p=1$${salt}$${rfc.toString('base64').replace(/=+$/, '')}`;
  t.ok(isSecretHash(stored));
  t.ok(await verifySecret('pleaseletmein', stored));
  for (const text of ['', 'plain', hash.slice(0, -30), hash.replace('ln=10', 'ln=31'), hash.replace('r=8', 'r=99')]) {
    t.notOk(isSecretHash(text), text);
    t.notOk(await verifySecret('caf\u00e9', text));
  }
});

t.test(
  'what the command line changes holds for logins of the running server within a quarter of a second',
  async (t) => {
    const { accounts, clock, path } = setUp(t);
    await add(accounts);
    const { token = '' } = (await accounts.login('operator', password, '10.0.0.2')) ?? {};
    t.match(await accounts.authenticate(token), { grants: [viewer] });
    const other = openDatabase({ path });
    t.teardown(() => other.close());
    const { log } = memoryLog({ foldAfter: 1000 });
    const commandLine = createAccounts({ database: other, realClock: clock, random: cryptoRandom(), log });
    commandLine.setGrants('operator', [admin]);
    await clock.advance(250);
    t.match(await accounts.authenticate(token), { grants: [admin] });
    commandLine.disable('operator');
    await clock.advance(250);
    t.equal(await accounts.authenticate(token), undefined);
    commandLine.enable('operator');
    t.equal(await accounts.authenticate(token), undefined, 'its logins were ended');
  },
);

t.test('a one-time word is good for choosing a password, within a week, and never again', async (t) => {
  const { accounts, clock } = setUp(t);
  await add(accounts);
  const by = { actor: { user_id: 'a1', name: 'Manager' }, atMs: 5 };
  const before = (await accounts.login('operator', password, 'a'))?.token ?? '';
  await accounts.setOneTimeWord('operator', 'word-word-word', by);
  t.equal(await accounts.authenticate(before), undefined, 'logins ended');
  t.equal(accounts.list()[0]?.passwordDue, true);
  const login = await accounts.login('operator', 'word-word-word', 'a');
  t.match([login?.principal.password_due, login?.expiresInS], [true, 3600]);
  t.equal((await accounts.authenticate(login?.token ?? ''))?.password_due, true);
  const id = login?.principal.user_id ?? '';
  t.equal(await accounts.choosePassword(id, 'another word', 'chosen by me'), undefined, 'a wrong word');
  await t.rejects(accounts.choosePassword(id, 'word-word-word', 'short'), { code: 'E_REQUEST_INVALID' });
  await t.rejects(accounts.choosePassword(id, 'word-word-word', 'word-word-word'), { code: 'E_REQUEST_INVALID' });
  const own = await accounts.choosePassword(id, 'word-word-word', 'chosen by me', 7);
  t.equal(await accounts.authenticate(login?.token ?? ''), undefined, 'the login of the word ended');
  t.notOk((await accounts.authenticate(own?.token ?? ''))?.password_due);
  t.equal(await accounts.login('operator', 'word-word-word', 'a'), undefined);
  t.match(accounts.audit(0, 10), [
    { kind: 'password_chosen', atMs: 7, actor: { name: 'Operator' } },
    { kind: 'word_given', atMs: 5, actor: by.actor, displayName: 'Operator' },
  ]);
  t.notMatch(JSON.stringify(accounts.audit(0, 10)), /word-word|chosen by/, 'no secret in it');
  await accounts.setOneTimeWord('operator', 'word-word-word', by);
  await clock.advance(7 * day + 1);
  t.equal(await accounts.login('operator', 'word-word-word', 'a'), undefined, 'after a week');
});
