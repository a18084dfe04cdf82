/** What administrators and remote operators do in the app, in a real Chromium: people, commands, a large fleet, the wall. */
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { chromiumPath } from './run-app-checks.js';

interface Finding {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly target: readonly string[] }[];
}

const patienceMs = 60_000;
/** Longest a tap may keep the page busy, ms; generous, as the machine may be slow: without pages of fifty it takes seconds. */
const busyMs = 1500;

/** Does it all; gives what went wrong. */
export async function runOfficeChecks(options: {
  readonly gatewayUrl: string;
  readonly cloudUrl: string;
  readonly username: string;
  readonly password: string;
  /** Directory for pictures; none are taken when it is left out. */
  readonly screensDirectory?: string | undefined;
}): Promise<string[]> {
  const problems: string[] = [];
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  const { screensDirectory } = options;
  if (screensDirectory !== undefined) mkdirSync(screensDirectory, { recursive: true });
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox'] });
  const open = async (url: string, width: number, height: number): Promise<Page> => {
    const context = await browser.newContext({ viewport: { width, height }, reducedMotion: 'reduce' });
    const page = await context.newPage();
    page.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
    page.setDefaultTimeout(patienceMs);
    await page.goto(url);
    await page.fill('input[name=username]', options.username);
    await page.fill('input[name=password]', options.password);
    await page.click('button[type=submit]');
    await page.waitForSelector('.tabs');
    return page;
  };
  const go = async (page: Page, hash: string, ready: string) => {
    // The login may go to its own first screen a moment after the tabs are there: nobody is quicker than that but a test.
    for (const endMs = performance.now() + patienceMs; ; ) {
      await page.evaluate((to) => {
        if (location.hash !== to) location.hash = to;
      }, hash);
      const found = await page.waitForSelector(ready, { timeout: 5000 }).catch(() => undefined);
      if (found !== undefined) return;
      if (performance.now() > endMs) throw new Error(`${hash}: ${ready} was waited for in vain`);
    }
  };
  const picture = async (page: Page, name: string) => {
    if (screensDirectory !== undefined) await page.screenshot({ path: join(screensDirectory, `stub-${name}.png`) });
  };
  const accessible = async (page: Page, name: string) => {
    if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
    const found = await page.evaluate(async () => {
      const { axe } = window as unknown as { axe: { run(context: unknown): Promise<{ violations: Finding[] }> } };
      return (await axe.run(document)).violations;
    });
    for (const { id, impact, nodes } of found)
      if (impact === 'serious' || impact === 'critical')
        problems.push(`${name}: accessibility: ${id} at ${nodes[0]?.target.join(' ')}`);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (over > 0) problems.push(`${name}: horizontal overflow of ${over} px`);
  };
  const expect = async (page: Page, what: string, selector: string) => {
    if ((await page.$(selector)) === null) problems.push(what);
  };
  try {
    const phone = await open(options.gatewayUrl, 360, 640);
    await go(phone, '#/people', '.person');
    await phone.click('.people-foot .pri');
    await phone.fill('dialog input[name=shown]', 'Wema');
    await phone.fill('dialog input[name=account]', 'wema');
    await phone.selectOption('dialog select[name=role]', 'installer');
    await picture(phone, 'people-add-360x640');
    await accessible(phone, 'adding a person');
    await phone.click('dialog button[type=submit]');
    await phone.waitForSelector('.word-box .word');
    await picture(phone, 'people-word-360x640');
    await expect(phone, 'a person who was added is not in the list', '.person:has-text("Wema"):has-text("installer")');
    await phone.click('.word-box .btn');
    await expect(phone, 'a word stays on the screen', 'body:not(:has(.word-box))');
    // One's own account offers nothing; another's is shut out after it was asked by name.
    await phone.click('.person:has-text("Amina") summary');
    await expect(phone, 'one’s own account can be changed', '.person:has-text("Amina"):not(:has(.buttons))');
    await phone.click('.person:has-text("Juma") summary');
    await phone.click('.person:has-text("Juma") .btn:has-text("Shut out")');
    await phone.click('.person:has-text("Juma") .btn.pri:has-text("Juma")');
    await phone.waitForSelector('.person:has-text("Juma") .gone');
    await go(phone, '#/grid/kisima/audit', '.audit-list li');
    await phone.selectOption('.audit-find select', 'people');
    await phone.waitForSelector('.audit-list li:has-text("Amina shut Juma out")');

    await go(phone, '#/grid/kisima/devices', '.device');
    await phone.click('.device:has-text("Inverter 1") summary');
    await phone.click('.device[open] .command-open .btn');
    await phone.click('dialog .chip:has-text("solar and mains")');
    await phone.click('dialog .offer .btn:has-text("Choose")');
    await phone.waitForSelector('dialog .ask:has-text("Inverter 1")');
    await picture(phone, 'command-ask-360x640');
    await accessible(phone, 'a command');
    await phone.click('dialog .ask .pri');
    await phone.waitForSelector('dialog .outcome:has-text("Done")');
    await picture(phone, 'command-done-360x640');
    await phone.keyboard.press('Escape');
    if (await phone.$('.device:not([open]):has(.command-open):has-text("Meter")'))
      problems.push('a device without commands offers some');

    await go(phone, '#/grid/kisima/wall', '.wall-figures .val');
    await expect(phone, 'the wall has navigation', 'body:not(:has(.tabs))');
    await phone.click('.wall .start');
    await phone.waitForSelector('.wall footer:has-text("Sound on")');
    await phone.context().setOffline(true);
    await phone.waitForSelector('.wall-figures .val');
    await phone.context().setOffline(false);
    await phone.context().close();

    const fresh = await (await browser.newContext({ viewport: { width: 360, height: 640 } })).newPage();
    fresh.setDefaultTimeout(patienceMs);
    await fresh.goto(options.gatewayUrl);
    await fresh.fill('input[name=username]', 'neema');
    await fresh.fill('input[name=password]', 'k7m2p-x9qrt-4hnws');
    await fresh.click('button[type=submit]');
    await fresh.fill('input[name=new-password]', 'a password of mine');
    await picture(fresh, 'login-one-time-word-360x640');
    await accessible(fresh, 'choosing a password');
    await fresh.click('button[type=submit]');
    await fresh.waitForSelector('[data-verdict]');
    await go(fresh, '#/grid/kisima/more', '.more-rows');
    await expect(fresh, 'an operator is shown what only administrators may', 'body:not(:has(a[href="#/people"]))');
    await fresh.context().close();

    for (const [width, height, row] of [
      [360, 640, '.fleet .row'],
      [1280, 800, '.fleet-table tbody tr'],
    ] as const) {
      const page = await open(options.cloudUrl, width, height);
      await go(page, '#/fleet', row);
      await picture(page, `fleet-${width}x${height}`);
      await accessible(page, `fleet ${width}`);
      await page.evaluate(() => {
        document.documentElement.dataset.theme = 'sunlight';
      });
      await picture(page, `fleet-sunlight-${width}x${height}`);
      await accessible(page, `fleet ${width} sunlight`);
      if (width < 600) await page.selectOption('.fleet-bar select', 'all');
      else await page.click('.fleet .chip:has-text("All")');
      const rows = await page.locator(row).count();
      if (rows !== 50) problems.push(`${rows} rows of a fleet of a thousand at once`);
      const longest = await page.evaluate(async () => {
        let most = 0;
        const seen = new PerformanceObserver((list) => {
          for (const { duration } of list.getEntries()) most = Math.max(most, duration);
        });
        seen.observe({ type: 'longtask' });
        const input = document.querySelector<HTMLInputElement>('.fleet input[type=search]');
        for (const text of ['a', 'am', 'ama', 'aman', 'amani', 'amani 9', 'amani 99']) {
          if (input !== null) input.value = text;
          input?.dispatchEvent(new Event('input', { bubbles: true }));
          await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
        }
        seen.disconnect();
        return most;
      });
      await page.waitForFunction((selector) => {
        const rows = [...document.querySelectorAll(selector)];
        return rows.length < 5 && rows.some(({ textContent }) => textContent?.includes('Amani 99') === true);
      }, row);
      if (longest > busyMs) problems.push(`searching the fleet keeps the page busy for ${Math.round(longest)} ms`);
      await go(page, '#/', '.grid-row, .overview');
      await page.context().close();
    }
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  } finally {
    await browser.close();
  }
  return problems;
}
