/**
 * Accounts of people on one server: passwords, grants, logins. Structurally the AuthPort of the API, which this package
 * does not know. Used by the gateway, the single-machine cloud and the installer's command line.
 */
import { createHash } from 'node:crypto';
import {
  newId,
  roles,
  VillagridError,
  type Clock,
  type Grant,
  type Principal,
  type RandomSource,
} from '@villagrid/contracts';
import type { Logger } from '../log/logger.js';
import { migrateModule, type Migration } from '../sqlite/migrate.js';
import type { SqliteDatabase } from '../sqlite/open.js';
import { createHeldLogins } from './held-logins.js';
import { createRunningTime } from './running-time.js';
import { hashSecret, isSecretHash, verifySecret } from './secret-hash.js';
import { createTryLimit } from './try-limit.js';

/** Life of a login when nothing else is asked, seconds of running time: 30 days. */
export const defaultTokenLifeS = 30 * 24 * 3600;
/** Failed tries within `failedTriesWindowMs` after which an account or address must wait. */
export const failedTriesAllowed = 10;
export const failedTriesWindowMs = 15 * 60 * 1000;
/** Shortest password a person may have, characters. */
export const shortestPassword = 8;

/** Life of a one-time word, seconds of running time: a week, as people are not reached every day. */
export const oneTimeWordLifeS = 7 * 24 * 3600;

/** Life of a login by a one-time word: long enough to choose a password, seconds. */
const provisionalLifeS = 3600;
/** Entries of the audit that are kept; the oldest go. */
const mostAudited = 20_000;
/** Logins of one account at a time; the oldest goes. */
const mostLoginsPerAccount = 50;
/** Logins waiting for their turn; more are asked to come back. */
const mostWaiting = 200;
/** Logins whose person is remembered between requests. */
const mostRemembered = 200;
/** In place of a hash where there is no password: no secret fits it. */
const noPassword = '!';
/** How often is looked whether another process has changed the accounts: so soon it is noticed, milliseconds. */
const lookAgainMs = 250;
const tokenForm = /^[A-Za-z0-9_-]{43}$/;
const usernameForm = /^[\p{L}\p{N}][\p{L}\p{N}._@+-]{0,63}$/u;

/** A login that worked. The token is opaque to everybody but the server. */
export interface AccountLogin {
  readonly token: string;
  readonly expiresInS: number;
  readonly principal: Principal;
}

/** An account as an administrator sees it. */
export interface Account {
  readonly userId: string;
  readonly username: string;
  readonly displayName: string;
  readonly grants: readonly Grant[];
  readonly disabled: boolean;
  readonly createdAtMs: number;
  /** Whether it waits for its person to come with a one-time word and choose a password. */
  readonly passwordDue: boolean;
}

/** Who changes accounts, and when, Unix milliseconds: for the audit. */
export interface AccountAct {
  readonly actor: { readonly user_id: string; readonly name: string };
  readonly atMs: number;
}

/** What was done to accounts. */
export type AccountAuditKind =
  | 'account_added'
  | 'grants_changed'
  | 'account_disabled'
  | 'account_enabled'
  | 'word_given'
  | 'password_set'
  | 'password_chosen';

/** One line of the audit; never a secret. */
export interface AccountAudit extends AccountAct {
  readonly id: string;
  readonly kind: AccountAuditKind;
  readonly userId: string;
  readonly displayName: string;
  /** Grants it had from then on, and before: who loses a role is the affair of those where it was held. */
  readonly grants: readonly Grant[];
  readonly grantsBefore: readonly Grant[];
}

/** What a new account needs. */
export interface NewAccount {
  /** Letters, digits and . _ @ + -, at most 64; upper and lower case are the same. */
  readonly username: string;
  readonly displayName: string;
  /** At least 8 characters. */
  readonly password: string;
  readonly grants: readonly Grant[];
  /** Whether the password is a one-time word: good for a week, and for nothing but choosing a password. */
  readonly oneTime?: boolean;
}

/** An account as another server tells it. */
export interface ToldAccount extends Omit<NewAccount, 'password'> {
  readonly disabled: boolean;
  /** As `hashSecret` makes it. */
  readonly passwordHash?: string | undefined;
}

/** Accounts of one server. Those who are named are named by username; E_REQUEST_INVALID when there is nobody of that name. */
export interface Accounts {
  /**
   * Undefined for a wrong name or password, or a disabled account (which of them is never told); VillagridError
   * E_LOGIN_SLOW_DOWN after 10 failed tries within 15 min for this name or from this address.
   */
  login(username: string, password: string, remoteAddress: string): Promise<AccountLogin | undefined>;
  /** The person behind a token, with the grants of this moment; undefined when unknown, ended or disabled. */
  authenticate(token: string): Promise<Principal | undefined>;
  /** The same for a token that was asked for shortly before; undefined says nothing of it. */
  remembered(token: string): Principal | undefined;
  logout(token: string): Promise<void>;
  /** Adds an account. E_CONFLICT when the name is taken, E_REQUEST_INVALID when a field is not acceptable. `by` as everywhere: the command line when left out. */
  addUser(account: NewAccount, by?: AccountAct): Promise<Account>;
  /** Sets a new password and ends all logins of the account. */
  setPassword(username: string, password: string, by?: AccountAct): Promise<void>;
  /** The same with a word that is good for a week, and for nothing but choosing a password. */
  setOneTimeWord(username: string, word: string, by?: AccountAct): Promise<void>;
  /**
   * A person's own change: checks the present password, ends all logins and gives a new one. Undefined when the present
   * one is wrong; E_REQUEST_INVALID when the new one is not acceptable, E_LOGIN_SLOW_DOWN as for a login.
   */
  choosePassword(userId: string, present: string, password: string, atMs?: number): Promise<AccountLogin | undefined>;
  /** Replaces the grants; holds at once, also for logins that exist. */
  setGrants(username: string, grants: readonly Grant[], by?: AccountAct): void;
  /** Shuts an account out at once and ends its logins. */
  disable(username: string, by?: AccountAct): void;
  /** Lets a disabled account in again; it logs in anew. */
  enable(username: string, by?: AccountAct): void;
  /**
   * Makes an account what the other side says it is, or adds it. A hash that differs replaces the password and ends its
   * logins; without one a new account cannot log in until it is given a password. E_REQUEST_INVALID for a field that is
   * not acceptable.
   */
  put(account: ToldAccount): void;
  /** What was done to accounts in [fromMs, toMs), newest first, at most 5,000. */
  audit(fromMs: number, toMs: number): readonly AccountAudit[];
  /** All accounts by name. */
  list(): readonly Account[];
  count(): number;
}

export interface AccountsOptions {
  readonly database: SqliteDatabase;
  /** Real time, not the village's: it dates accounts and measures logins and tries. */
  readonly realClock: Clock;
  /** Unpredictable randomness: tokens and salts come from it. */
  readonly random: RandomSource;
  readonly log: Logger;
  readonly tokenLifeS?: number;
}

/** Tables of the accounts. `createAccounts` runs them itself (module `accounts`). */
export const accountMigrations: readonly Migration[] = [
  `CREATE TABLE IF NOT EXISTS account (
     user_id TEXT PRIMARY KEY,
     username TEXT NOT NULL UNIQUE,
     display_name TEXT NOT NULL,
     password_hash TEXT NOT NULL,
     grants TEXT NOT NULL,
     disabled INTEGER NOT NULL DEFAULT 0,
     created_at_ms INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE IF NOT EXISTS account_login (
     token_sha256 BLOB PRIMARY KEY,
     user_id TEXT NOT NULL REFERENCES account (user_id) ON DELETE CASCADE,
     ends_at_running_ms INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX IF NOT EXISTS account_login_by_user ON account_login (user_id, ends_at_running_ms);
   CREATE TABLE IF NOT EXISTS account_running_time (elapsed_ms INTEGER NOT NULL);
   INSERT INTO account_running_time SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM account_running_time)`,
  `ALTER TABLE account ADD COLUMN word_ends_at_running_ms INTEGER;
   CREATE TABLE account_audit (
     audit_id TEXT PRIMARY KEY,
     at_ms INTEGER NOT NULL,
     actor_id TEXT NOT NULL,
     actor_name TEXT NOT NULL,
     kind TEXT NOT NULL,
     user_id TEXT NOT NULL,
     display_name TEXT NOT NULL,
     grants TEXT NOT NULL,
     grants_before TEXT NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX account_audit_by_time ON account_audit (at_ms)`,
];

interface AccountRow {
  readonly user_id: string;
  readonly username: string;
  readonly display_name: string;
  readonly password_hash: string;
  readonly grants: string;
  readonly disabled: number;
  readonly created_at_ms: number;
  /** Running time until which the password is a one-time word; null when it is the person's own. */
  readonly word_ends_at_running_ms: number | null;
}

interface AuditRow {
  readonly audit_id: string;
  readonly at_ms: number;
  readonly actor_id: string;
  readonly actor_name: string;
  readonly kind: AccountAuditKind;
  readonly user_id: string;
  readonly display_name: string;
  readonly grants: string;
  readonly grants_before: string;
}

/** Opens the accounts in a database of the caller; makes their tables when they are missing. */
export function createAccounts({
  database,
  realClock,
  random,
  log,
  tokenLifeS = defaultTokenLifeS,
}: AccountsOptions): Accounts {
  migrateModule(database, 'accounts', accountMigrations);
  const runningTime = createRunningTime(database, realClock);
  const held = createHeldLogins(mostLoginsPerAccount);
  const limit = { failures: failedTriesAllowed, windowMs: failedTriesWindowMs };
  const triesOfName = createTryLimit(limit);
  const triesOfAddress = createTryLimit(limit);
  const inTurn = createQueue(mostWaiting);
  /** Checked for names that do not exist, so that they take as long as those that do. */
  let nobodysHash: Promise<string> | undefined;

  const byName = database.prepare<[string], AccountRow>('SELECT * FROM account WHERE username = ?');
  const byId = database.prepare<[string], AccountRow>('SELECT * FROM account WHERE user_id = ? AND disabled = 0');
  const byAnyId = database.prepare<[string], AccountRow>('SELECT * FROM account WHERE user_id = ?');
  const all = database.prepare<[], AccountRow>('SELECT * FROM account ORDER BY username');
  const counted = database.prepare<[], number>('SELECT count(*) FROM account').pluck();
  const insert = database.prepare<[string, string, string, string, string, number, number | null]>(
    `INSERT INTO account (user_id, username, display_name, password_hash, grants, created_at_ms, word_ends_at_running_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
  );
  const updatePassword = database.prepare<[string, number | null, string]>(
    'UPDATE account SET password_hash = ?, word_ends_at_running_ms = ? WHERE user_id = ?',
  );
  const insertAudit = database.prepare<[string, number, string, string, string, string, string, string, string]>(
    'INSERT INTO account_audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const deleteOldAudit = database.prepare<[number]>(
    'DELETE FROM account_audit WHERE audit_id IN (SELECT audit_id FROM account_audit ORDER BY at_ms DESC, audit_id DESC LIMIT -1 OFFSET ?)',
  );
  const auditBetween = database.prepare<[number, number], AuditRow>(
    'SELECT * FROM account_audit WHERE at_ms >= ? AND at_ms < ? ORDER BY at_ms DESC, audit_id DESC LIMIT 5000',
  );
  const updateGrants = database.prepare<[string, string]>('UPDATE account SET grants = ? WHERE user_id = ?');
  const updateShown = database.prepare<[string, string, string]>(
    'UPDATE account SET display_name = ?, grants = ? WHERE user_id = ?',
  );
  const updateDisabled = database.prepare<[number, string]>('UPDATE account SET disabled = ? WHERE user_id = ?');
  const insertLogin = database.prepare<[Buffer, string, number]>('INSERT INTO account_login VALUES (?, ?, ?)');
  const personOf = database.prepare<[Buffer, number], AccountRow & { readonly ends_at_running_ms: number }>(
    `SELECT account.*, ends_at_running_ms FROM account_login JOIN account USING (user_id)
     WHERE token_sha256 = ? AND ends_at_running_ms > ? AND disabled = 0`,
  );
  // Changes when somebody else, the command line for instance, has written.
  const written = database.prepare<[], number>('PRAGMA data_version').pluck();
  /** Persons by token, until anything is written to the accounts here or elsewhere. */
  const remembered = new Map<string, { readonly principal: Principal; readonly endsMs: number }>();
  let rememberedAt: number | undefined;
  let lookedMs = Number.NEGATIVE_INFINITY;
  const forgetPersons = () => remembered.clear();
  const deleteLogin = database.prepare<[Buffer]>('DELETE FROM account_login WHERE token_sha256 = ?');
  const deleteLogins = database.prepare<[string]>('DELETE FROM account_login WHERE user_id = ?');
  const deleteEnded = database.prepare<[number]>('DELETE FROM account_login WHERE ends_at_running_ms <= ?');
  const deleteOldest = database.prepare<[string, number]>(
    `DELETE FROM account_login WHERE token_sha256 IN (
       SELECT token_sha256 FROM account_login WHERE user_id = ? ORDER BY ends_at_running_ms DESC LIMIT -1 OFFSET ?)`,
  );

  const named = (username: string): AccountRow => {
    const row = byName.get(canonicalName(username));
    if (!row) throw new VillagridError('E_REQUEST_INVALID', `there is no account of the name ${quoted(username)}.`);
    return row;
  };

  /** Writes down who did what to an account, beside what they did. */
  const note = (kind: AccountAuditKind, userId: string, by: AccountAct | undefined, grantsBefore?: string) => {
    const account = byAnyId.get(userId);
    if (account === undefined) return;
    const { actor, atMs } = by ?? { actor: { user_id: '', name: 'command line' }, atMs: realClock.nowMs() };
    insertAudit.run(
      newId(atMs, random),
      Math.floor(atMs),
      actor.user_id,
      actor.name,
      kind,
      userId,
      account.display_name,
      account.grants,
      grantsBefore ?? account.grants,
    );
    deleteOldAudit.run(mostAudited);
  };
  const lifeOf = (account: AccountRow): number =>
    account.word_ends_at_running_ms === null ? tokenLifeS : Math.min(tokenLifeS, provisionalLifeS);
  const startLogin = database.transaction((account: AccountRow, tokenHash: Buffer) => {
    const now = runningTime.nowMs();
    runningTime.keep(true);
    deleteEnded.run(now);
    insertLogin.run(tokenHash, account.user_id, now + lifeOf(account) * 1000);
    deleteOldest.run(account.user_id, mostLoginsPerAccount);
    forgetPersons();
  });
  const heldPerson = (hash: Buffer): AccountRow | undefined => {
    const userId = held.userOf(hash, runningTime.nowMs());
    return userId === undefined ? undefined : byId.get(userId);
  };
  const wordEndMs = () => runningTime.nowMs() + oneTimeWordLifeS * 1000;
  const setPasswordOf = database.transaction(
    (userId: string, hash: string, kind: AccountAuditKind, by: AccountAct | undefined) => {
      updatePassword.run(hash, kind === 'word_given' ? wordEndMs() : null, userId);
      deleteLogins.run(userId);
      held.endAllOf(userId);
      note(kind, userId, by);
      forgetPersons();
    },
  );
  const setDisabled = database.transaction((userId: string, disabled: boolean, by: AccountAct | undefined) => {
    updateDisabled.run(disabled ? 1 : 0, userId);
    if (disabled) {
      deleteLogins.run(userId);
      held.endAllOf(userId);
    }
    note(disabled ? 'account_disabled' : 'account_enabled', userId, by);
    forgetPersons();
  });
  const setGrantsOf = database.transaction((userId: string, grants: string, by: AccountAct | undefined) => {
    const before = byAnyId.get(userId)?.grants;
    updateGrants.run(grants, userId);
    note('grants_changed', userId, by, before);
    forgetPersons();
  });
  const insertAccount = database.transaction(
    (id: string, { oneTime, grants }: NewAccount, name: string, shown: string, hash: string, by?: AccountAct) => {
      const createdMs = Math.floor(realClock.nowMs());
      insert.run(id, name, shown, hash, JSON.stringify(grants), createdMs, oneTime === true ? wordEndMs() : null);
      note('account_added', id, by);
    },
  );

  const putAccount = database.transaction((account: ToldAccount) => {
    const { username, displayName, grants, disabled, passwordHash } = account;
    const name = canonicalName(username);
    if (!usernameForm.test(name)) throw new VillagridError('E_REQUEST_INVALID', wrongName(name));
    if (passwordHash !== undefined && !isSecretHash(passwordHash))
      throw new VillagridError('E_REQUEST_INVALID', `the password hash of ${quoted(name)} is none.`);
    checkGrants(grants);
    const grantsText = JSON.stringify(grants);
    const by = { actor: { user_id: '', name: 'other side' }, atMs: realClock.nowMs() };
    const known = byName.get(name);
    const userId = known?.user_id ?? newId(realClock.nowMs(), random);
    if (known) {
      updateShown.run(displayName, grantsText, userId);
      if (passwordHash !== undefined && passwordHash !== known.password_hash)
        setPasswordOf(userId, passwordHash, 'password_set', by);
      if (known.grants !== grantsText) note('grants_changed', userId, by, known.grants);
    } else {
      const nowMs = Math.floor(realClock.nowMs());
      insert.run(userId, name, displayName, passwordHash ?? noPassword, grantsText, nowMs, null);
      note('account_added', userId, by);
    }
    if (disabled !== (known !== undefined && known.disabled !== 0)) setDisabled(userId, disabled, by);
    forgetPersons();
    log.info('an account is as the other side says', { user_id: userId, grants, disabled });
  });

  const refuseWhenTooMany = (name: string, address: string) => {
    const now = realClock.monotonicMs();
    const waitMs = Math.max(triesOfName.waitMs(name, now), triesOfAddress.waitMs(address, now));
    if (waitMs > 0) {
      throw new VillagridError(
        'E_LOGIN_SLOW_DOWN',
        `${failedTriesAllowed} tries failed within ${failedTriesWindowMs / 60_000} minutes for this name or from this address; the next is possible in ${Math.ceil(waitMs / 1000)} s.`,
      );
    }
  };

  /** Who a token was, as long as nobody wrote anything since. */
  const recall = (token: string, nowMs: number): Principal | undefined => {
    if (nowMs - lookedMs >= lookAgainMs || nowMs < lookedMs) {
      lookedMs = nowMs;
      const version = written.get();
      if (version !== rememberedAt) forgetPersons();
      rememberedAt = version;
    }
    const known = remembered.get(token);
    return known !== undefined && known.endsMs > nowMs ? known.principal : undefined;
  };

  /** A new login of an account. */
  const begin = (account: AccountRow): AccountLogin => {
    const token = Buffer.from(random.bytes(32)).toString('base64url');
    try {
      startLogin(account, sha256(token));
    } catch (error) {
      // Whoever is to mend a full card must be able to look.
      held.add(sha256(token), account.user_id, runningTime.nowMs() + lifeOf(account) * 1000);
      log.warn('a login could not be written; it holds until the next start', { user_id: account.user_id, error });
    }
    return { token, expiresInS: lifeOf(account), principal: principalOf(account) };
  };

  return {
    remembered(token) {
      if (!remembered.has(token)) return undefined;
      runningTime.keep();
      return recall(token, runningTime.nowMs());
    },
    async login(username, password, remoteAddress) {
      const name = canonicalName(username);
      const address = canonicalAddress(remoteAddress);
      refuseWhenTooMany(name, address);
      // One at a time: tries that came together are counted one after the other, and memory holds one scrypt.
      return inTurn(async () => {
        refuseWhenTooMany(name, address);
        const account = byName.get(name);
        nobodysHash ??= hashSecret('', random);
        const right = await verifySecret(password, account?.password_hash ?? (await nobodysHash));
        // Asked again after the wait: it may have been disabled, or its password changed, meanwhile.
        const present = byName.get(name);
        if (!right || !account || !present || present.disabled || present.password_hash !== account.password_hash) {
          const now = realClock.monotonicMs();
          triesOfName.fail(name, now);
          triesOfAddress.fail(address, now);
          // Never the name that was typed: people type passwords into the wrong field.
          log.warn('login failed', { user_id: account?.user_id ?? null, address });
          return undefined;
        }
        if (present.word_ends_at_running_ms !== null && present.word_ends_at_running_ms <= runningTime.nowMs()) {
          log.warn('a one-time word came too late', { user_id: present.user_id, address });
          return undefined;
        }
        const login = begin(present);
        // The person knows the secret after all; the address may still be trying other names.
        triesOfName.forget(name);
        log.info('logged in', { user_id: present.user_id, address });
        return login;
      });
    },
    async choosePassword(userId, present, password, atMs) {
      const named = byId.get(userId);
      if (named === undefined) return undefined;
      refuseWhenTooMany(named.username, userId);
      checkPassword(password);
      if (password === present)
        throw new VillagridError('E_REQUEST_INVALID', 'the new password must be another than the present one.');
      return inTurn(async () => {
        refuseWhenTooMany(named.username, userId);
        const account = byId.get(userId);
        if (account === undefined || !(await verifySecret(present, account.password_hash))) {
          triesOfName.fail(named.username, realClock.monotonicMs());
          return undefined;
        }
        const hash = await hashSecret(password, random);
        if (byId.get(userId)?.password_hash !== account.password_hash) return undefined;
        const actor = { user_id: userId, name: account.display_name };
        setPasswordOf(userId, hash, 'password_chosen', { actor, atMs: atMs ?? realClock.nowMs() });
        log.info('a person chose a password, their logins ended', { user_id: userId });
        return begin(byId.get(userId) ?? account);
      });
    },
    async authenticate(token) {
      if (typeof token !== 'string' || !tokenForm.test(token)) return undefined;
      runningTime.keep();
      const nowMs = runningTime.nowMs();
      const known = recall(token, nowMs);
      if (known !== undefined) return known;
      if (remembered.size >= mostRemembered) forgetPersons();
      const hash = sha256(token);
      if (held.hasEnded(hash)) return undefined;
      const row = personOf.get(hash, nowMs);
      if (row === undefined) {
        const unwritten = heldPerson(hash);
        return unwritten && principalOf(unwritten);
      }
      const principal = principalOf(row);
      remembered.set(token, { principal, endsMs: row.ends_at_running_ms });
      return principal;
    },
    async logout(token) {
      if (typeof token !== 'string' || !tokenForm.test(token)) return;
      forgetPersons();
      const hash = sha256(token);
      if (held.end(hash)) return;
      try {
        deleteLogin.run(hash);
      } catch (error) {
        held.markEnded(hash);
        log.warn('the end of a login could not be written; it holds until the next start', { error });
      }
    },
    async addUser(given, by) {
      const { username, displayName, password, grants } = given;
      const name = canonicalName(username);
      if (!usernameForm.test(name)) {
        throw new VillagridError('E_REQUEST_INVALID', wrongName(username));
      }
      const shown = displayName.trim();
      if (shown.length < 1 || shown.length > 100)
        throw new VillagridError('E_REQUEST_INVALID', 'display_name must have 1 to 100 characters.');
      checkPassword(password);
      checkGrants(grants);
      const taken = () => new VillagridError('E_CONFLICT', `the name ${quoted(name)} is taken; choose another one.`);
      if (byName.get(name)) throw taken();
      const hash = await hashSecret(password, random);
      const nowMs = realClock.nowMs();
      try {
        insertAccount(newId(nowMs, random), given, name, shown, hash, by);
      } catch (error) {
        if (byName.get(name)) throw taken();
        throw error;
      }
      const account = accountOf(named(name));
      log.info('account added', { user_id: account.userId, grants: account.grants });
      return account;
    },
    async setPassword(username, password, by) {
      const { user_id: userId } = named(username);
      checkPassword(password);
      setPasswordOf(userId, await hashSecret(password, random), 'password_set', by);
      log.info('a new secret was set for an account, its logins ended', { user_id: userId });
    },
    async setOneTimeWord(username, word, by) {
      const { user_id: userId } = named(username);
      checkPassword(word);
      setPasswordOf(userId, await hashSecret(word, random), 'word_given', by);
      log.info('a one-time word was given to an account, its logins ended', { user_id: userId });
    },
    setGrants(username, grants, by) {
      const { user_id: userId } = named(username);
      checkGrants(grants);
      setGrantsOf(userId, JSON.stringify(grants), by);
      log.info('grants changed', { user_id: userId, grants });
    },
    disable(username, by) {
      const { user_id: userId } = named(username);
      setDisabled(userId, true, by);
      log.info('account disabled', { user_id: userId });
    },
    enable(username, by) {
      const { user_id: userId } = named(username);
      setDisabled(userId, false, by);
      log.info('account enabled', { user_id: userId });
    },
    put: (account) => putAccount(account),
    audit: (fromMs, toMs) =>
      auditBetween.all(fromMs, toMs).map((row) => ({
        id: row.audit_id,
        atMs: row.at_ms,
        actor: { user_id: row.actor_id, name: row.actor_name },
        kind: row.kind,
        userId: row.user_id,
        displayName: row.display_name,
        grants: JSON.parse(row.grants) as Grant[],
        grantsBefore: JSON.parse(row.grants_before) as Grant[],
      })),
    list: () => all.all().map(accountOf),
    count: () => counted.get() ?? 0,
  };
}

/** Names differ by more than case, width or blanks around them. */
function canonicalName(username: string): string {
  return username.normalize('NFKC').trim().toLowerCase();
}

/** An IPv4 address is the same over an IPv6 socket. */
function canonicalAddress(address: string): string {
  return address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '');
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}

function wrongName(username: string): string {
  return `username ${quoted(username)} must be 1 to 64 letters, digits or . _ @ + -, and begin with a letter or digit.`;
}

function sha256(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function checkPassword(password: string): void {
  if (password.length < shortestPassword || password.length > 1024) {
    throw new VillagridError(
      'E_REQUEST_INVALID',
      `the password must have ${shortestPassword} to 1024 characters; this one has ${password.length}.`,
    );
  }
}

function checkGrants(grants: readonly Grant[]): void {
  for (const [index, { role, scope }] of grants.entries()) {
    if (!roles.includes(role)) {
      throw new VillagridError('E_REQUEST_INVALID', `grants[${index}].role must be one of ${roles.join(', ')}.`);
    }
    const id = scope.kind === 'grid' ? scope.grid_id : scope.kind === 'organisation' ? scope.organisation_id : '*';
    if (!['grid', 'organisation', 'everything'].includes(scope.kind) || typeof id !== 'string' || id === '') {
      throw new VillagridError(
        'E_REQUEST_INVALID',
        `grants[${index}].scope must be {kind: grid, grid_id}, {kind: organisation, organisation_id} or {kind: everything}.`,
      );
    }
  }
}

function principalOf(row: AccountRow): Principal {
  return {
    user_id: row.user_id,
    username: row.username,
    display_name: row.display_name,
    grants: JSON.parse(row.grants) as Grant[],
    ...(row.word_ends_at_running_ms === null ? {} : { password_due: true as const }),
  };
}

function accountOf(row: AccountRow): Account {
  return {
    userId: row.user_id,
    username: row.username,
    displayName: row.display_name,
    grants: JSON.parse(row.grants) as Grant[],
    disabled: row.disabled !== 0,
    createdAtMs: row.created_at_ms,
    passwordDue: row.word_ends_at_running_ms !== null,
  };
}

/** Runs tasks one after the other; E_BUSY when too many wait. */
function createQueue(mostWaitingTasks: number) {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return <T>(task: () => Promise<T>): Promise<T> => {
    if (waiting >= mostWaitingTasks)
      return Promise.reject(new VillagridError('E_BUSY', 'too many logins wait for their turn.'));
    waiting += 1;
    const result = last.then(task).finally(() => (waiting -= 1));
    last = result.catch(() => {});
    return result;
  };
}
