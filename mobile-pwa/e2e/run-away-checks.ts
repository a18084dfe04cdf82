/**
 * The app away from its servers, in a real headless Chromium: no server at all, the other server behind the same address,
 * a login that ends, a phone that is full, a clock that is wrong, a new build. Throws what is not as promised.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type BrowserContext, type Page } from 'playwright-core';
import type { Front } from './front.js';
import { chromiumPath } from './run-app-checks.js';
import type { Stub } from './stub/server.js';

/** The two ends of one village and the address they share. */
export interface AwayOptions {
  readonly front: Front;
  readonly gateway: Stub;
  /** Serves a newer build. */
  readonly cloud: Stub;
  /** An attribute in the page of that build. */
  readonly mark: string;
  readonly screensDirectory?: string | undefined;
}

const patienceMs = 60_000;
const gridHash = '#/grid/kisima';

/** Waits until the text of the page fits. */
async function says(page: Page, pattern: RegExp, where = 'body'): Promise<void> {
  await page
    .waitForFunction(
      ([source, flags, selector]) =>
        [...document.querySelectorAll<HTMLElement>(selector ?? '')].some((one) =>
          new RegExp(source ?? '', flags).test(one.innerText),
        ),
      [pattern.source, pattern.flags, where],
      { timeout: patienceMs },
    )
    .catch(async (error: unknown) => {
      const text = await page.evaluate(() => document.body.innerText.slice(0, 1500));
      throw new Error(`${where} never said ${pattern}; the page says:\n${text}`, { cause: error });
    });
}

/** Waits until `fits` holds outside of the page. */
async function until(what: string, fits: () => boolean | Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + patienceMs;
  while (!(await fits())) {
    if (performance.now() > untilMs) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function logIn(page: Page, within = ''): Promise<void> {
  await page.waitForSelector(`${within} input[name=password]`, { timeout: patienceMs });
  await page.fill(`${within} input[name=username]`, 'amina');
  await page.fill(`${within} input[name=password]`, 'kisima-1');
  await page.click(`${within} button[type=submit]`);
}

/** Opens the app at the front, logged in at the gateway, kept by its worker. */
async function open(context: BrowserContext, front: Front): Promise<Page> {
  const page = await context.newPage();
  await page.goto(front.url, { waitUntil: 'load' });
  await logIn(page);
  await page.waitForSelector('.tabs', { timeout: patienceMs });
  await page.evaluate(async () => void (await navigator.serviceWorker.ready));
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null, undefined, { timeout: patienceMs });
  return page;
}

/** What the phone keeps in a store, as text. */
const kept = (page: Page, database: string, store: string): Promise<string> =>
  page.evaluate(
    async ([database = '', store = '']) => {
      // Opening it would make it.
      if (!(await indexedDB.databases()).some(({ name }) => name === database)) return '';
      return new Promise<string>((resolve) => {
        const opening = indexedDB.open(database);
        opening.onsuccess = () => {
          const all = opening.result.transaction(store).objectStore(store).getAll();
          all.onsuccess = () => {
            resolve(JSON.stringify(all.result));
            opening.result.close();
          };
        };
      });
    },
    [database, store],
  );

const go = (page: Page, hash: string) =>
  page.evaluate((to) => {
    location.hash = to;
  }, hash);

/** Runs everything, one after the other. */
export async function runAwayChecks({ front, gateway, cloud, mark, screensDirectory }: AwayOptions): Promise<void> {
  if (screensDirectory !== undefined) mkdirSync(screensDirectory, { recursive: true });
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox'] });
  const picture = async (page: Page, name: string) => {
    if (screensDirectory !== undefined)
      await page.screenshot({ path: join(screensDirectory, `away-${name}-360x640.png`) });
  };
  try {
    const context = await browser.newContext({
      viewport: { width: 360, height: 640 },
      deviceScaleFactor: 2,
      reducedMotion: 'reduce',
    });
    front.to(gateway.url);
    const page = await open(context, front);
    const hot = gateway.villages[0]?.alerts.find(({ rule_id }) => rule_id === 'high_equipment_temperature');
    assert.ok(hot);
    const alertHash = `${gridHash}/alerts/${hot.alert_id}`;
    await go(page, gridHash);
    await says(page, /Gateway · live/, '.src');
    await go(page, alertHash);
    await page.waitForSelector('.act .pri', { timeout: patienceMs });
    // The phone keeps what it shows within two seconds.
    await until('the alert is kept on the phone', async () =>
      (await kept(page, 'villagrid', 'alerts')).includes(hot.alert_id),
    );

    // No server at all: the app opens, an act is kept through a reload, and sent once when a server is back.
    front.to(null);
    await page.reload({ waitUntil: 'load' });
    await says(page, /This phone · saved .*no connection/, '.src');
    await page.click('.act .pri');
    await says(page, /waiting to send/);
    await page.click('.act .sub:has-text("Give to")');
    await page.click('dialog .btn.pri');
    await says(page, /Given by Amina, .* waiting to send/);
    await picture(page, 'waiting');
    await page.reload({ waitUntil: 'load' });
    await says(page, /You have seen it, .* waiting to send/);
    assert.equal(gateway.acts.length, 0);
    front.to(gateway.url);
    await until('both acts are sent', () => gateway.acts.length === 2);
    await page.waitForFunction(() => !/waiting to send/.test(document.body.innerText), undefined, {
      timeout: patienceMs,
    });
    await says(page, /Gateway · live/, '.src');

    // A login that ends in the middle of a note.
    await page.click('.act .sub:has-text("note")');
    await page.fill('dialog textarea', 'The fan stands still');
    gateway.endLogins();
    await page.waitForSelector('dialog.overlay[open] input[name=password]', { timeout: patienceMs });
    await picture(page, 'login-again');
    await logIn(page, 'dialog.overlay');
    await page.waitForSelector('dialog.overlay', { state: 'detached', timeout: patienceMs });
    assert.equal(await page.inputValue('dialog textarea'), 'The fan stands still');
    await page.click('dialog .note-buttons button:last-child');
    await until('the note is sent', () => gateway.acts.length === 3);

    // The other server behind the same address: it has a login of its own, and then nobody taps anything.
    front.to(cloud.url);
    await page.waitForSelector('dialog.overlay[open] input[name=password]', { timeout: patienceMs });
    await logIn(page, 'dialog.overlay');
    await says(page, /Cloud · live/, '.src');
    front.to(gateway.url);
    await says(page, /Gateway · live/, '.src');
    front.to(cloud.url);
    await says(page, /Cloud · live/, '.src');
    assert.equal(await page.$('dialog.overlay'), null);

    // Refused: told why, and the alert is as it was.
    cloud.refusing = 'This needs the role operator on grid kisima.';
    await page.click('.act .sub:has-text("Pause")');
    await page.fill('dialog input', 'Known');
    await page.click('dialog .btn.pri');
    await says(page, /Paused by Amina: not taken. This needs the role operator/);
    await picture(page, 'refused');
    cloud.refusing = null;
    await page.click('.refused button');

    // The phone's clock is an hour behind: said, and what is done is dated by the server's clock.
    gateway.clockOffMs = 3_600_000;
    front.to(gateway.url);
    await go(page, gridHash);
    await says(page, /This phone’s clock is .* behind/);
    await picture(page, 'clock');
    await go(page, alertHash);
    await page.click('.act .sub:has-text("note")');
    await page.fill('dialog textarea', 'By which clock?');
    await page.click('dialog .note-buttons button:last-child');
    await until('the note is sent', () => gateway.acts.length === 4);
    const note = gateway.villages[0]?.alerts
      .find(({ alert_id }) => alert_id === hot.alert_id)
      ?.timeline.find((entry) => entry.note === 'By which clock?');
    assert.ok(Math.abs((note?.at_ms ?? 0) - Date.now() - 3_600_000) < 120_000);
    gateway.clockOffMs = 0;

    // A network that lets no WebSocket through: as live by the second way, which the connection sheet tells.
    gateway.noSockets = true;
    front.to(null);
    front.to(gateway.url);
    await go(page, gridHash);
    await page.click('.top .src');
    await says(page, /Live, by the second way/, 'dialog');
    await picture(page, 'events');
    await page.keyboard.press('Escape');
    gateway.set('kisima', 'consumption_kw', 3.21);
    await says(page, /3\.21/, '.kpi');
    gateway.noSockets = false;

    // History that was seen opens without a server, and says how much of the period is here.
    await go(page, `${gridHash}/history`);
    await page.click('.sec-seg button:has-text("7 d")');
    await page.waitForSelector('.history-plot[aria-busy=false] .u-over', { timeout: patienceMs });
    await until('the history is kept', async () =>
      (await kept(page, 'villagrid-history', 'infos')).includes('"stepMs":900000'),
    );
    front.to(null);
    await page.reload({ waitUntil: 'load' });
    await page.click('.sec-seg button:has-text("7 d")');
    await says(page, /From this phone: .* of this period is here/);
    await page.waitForSelector('.history-plot .u-over', { timeout: patienceMs });
    await picture(page, 'history');

    // The gateway by its address, where nobody answers by name: told, with the way to its plain page.
    await context.route('http://10.77.0.1:8080/**', (route) =>
      route.fulfill({
        json: { kind: 'gateway', server_id: 'gw-kisima', grid_id: 'kisima' },
        headers: { 'access-control-allow-origin': '*' },
      }),
    );
    await page.click('.top .src');
    await says(page, /nobody answers/, '[data-way=own]');
    await says(page, /Gateway answers\.\s+Open its plain page/, '[data-way=address]');
    await says(page, /This phone: saved \d\d:\d\d/, '[data-way=saved]');
    await page.locator('[data-way=address]').scrollIntoViewIfNeeded();
    await picture(page, 'ways');
    await page.keyboard.press('Escape');
    await context.unroute('http://10.77.0.1:8080/**');

    // A phone that is full: said, and nothing else breaks.
    // (As Chromium refuses when its quota is used up; the real quota is looked at again only after many seconds.)
    await page.evaluate(() => {
      const { put } = IDBObjectStore.prototype;
      const phone = window as unknown as { emptied?: () => void };
      phone.emptied = () => (IDBObjectStore.prototype.put = put);
      IDBObjectStore.prototype.put = () => {
        throw new DOMException('no room', 'QuotaExceededError');
      };
    });
    await go(page, alertHash);
    await page.click('.act .sub:has-text("note")');
    await page.fill('dialog textarea', 'The phone is full');
    await page.click('dialog .note-buttons button:last-child');
    await says(page, /waiting to send/);
    await says(page, /This phone is full. Keep the app open/, '.banner');
    await picture(page, 'full');
    front.to(gateway.url);
    await until('the note is sent', () => gateway.acts.length === 5);
    await says(page, /Gateway · live/, '.src');
    await page.evaluate(() => (window as unknown as { emptied: () => void }).emptied());
    await page.waitForSelector('.banner', { state: 'detached', timeout: patienceMs });
    assert.equal(new Set(gateway.acts).size, gateway.acts.length);
    await checkUpdate(context, page);
    await context.close();
  } finally {
    await browser.close();
  }

  /** A newer build at the cloud, two open pages, and an older one at the gateway. */
  async function checkUpdate(context: BrowserContext, page: Page): Promise<void> {
    /** Looks for another build; tells what became of it. */
    const look = () =>
      page.evaluate(async () => {
        const registration = await navigator.serviceWorker.ready;
        await registration.update();
        const worker = registration.installing ?? registration.waiting;
        while (worker?.state === 'installing') await new Promise((resolve) => setTimeout(resolve, 20));
        return worker?.state ?? 'none';
      });
    const marked = (one: Page) => one.evaluate((attribute) => document.querySelector(`[${attribute}]`) !== null, mark);
    const other = await context.newPage();
    await other.goto(`${front.url}/${gridHash}/alerts/${gateway.villages[0]?.alerts[0]?.alert_id}`);
    await other.click('.act .sub:has-text("note")');
    await other.fill('dialog textarea', 'Half a sentence');
    front.to(cloud.url);
    await look();
    await says(page, /New version ready/, '.banner');
    await picture(page, 'update');
    assert.equal(await marked(page), false, 'nobody asked for it yet');
    await page.click('.banner button:has-text("Use it now")');
    await until('the new build is there', async () => {
      await page.waitForLoadState('load');
      return marked(page).catch(() => false);
    });
    assert.equal(await marked(other), false, 'a page in the middle of a note is left alone');
    assert.equal(await other.inputValue('dialog textarea'), 'Half a sentence');
    // A screen of the former build that the new one no longer has: kept for the page that is still open.
    await other.keyboard.press('Escape');
    await go(other, `${gridHash}/devices`);
    await other.waitForSelector('.device', { timeout: patienceMs });
    await other.close();
    front.to(gateway.url);
    assert.match(await look(), /none|redundant/, 'the older build of the gateway is not installed');
    assert.equal(await page.$('.banner'), null);
    await page.reload({ waitUntil: 'load' });
    await says(page, /Gateway · live/, '.src');
    assert.equal(await marked(page), true, 'the newer build stays');
  }
}
