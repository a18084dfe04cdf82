/**
 * The browser test of the app: a real headless Chromium against any server that serves it (gateway, cloud or the stub).
 * Visits every screen in two sizes, takes pictures, and collects everything that is wrong.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium, type BrowserContext, type Page } from 'playwright-core';

/** Where Debian keeps its Chromium. */
export const chromiumPath = '/usr/bin/chromium';

/** What to check and where. */
export interface AppChecksOptions {
  /** Address of the server, e.g. `http://127.0.0.1:8080`. */
  readonly baseUrl: string;
  readonly username: string;
  readonly password: string;
  /** Directory for the pictures; none are taken when it is left out. */
  readonly screensDirectory?: string | undefined;
  /** Start of the pictures' names, e.g. `gateway`. */
  readonly prefix: string;
  /** Grid to look at; the first one when left out. */
  readonly gridId?: string;
  /** Sizes at which accessibility is checked, which takes most of the time; all when left out. */
  readonly accessibleAt?: readonly SizeName[];
  /** Makes a figure change, where it would not by itself within a minute. */
  readonly changeValue?: () => Promise<void> | void;
  /** Raises an alert for acknowledging, where none may be open; the check is skipped without an unseen alert. */
  readonly raiseAlert?: () => Promise<void> | void;
}

/** What was looked at. `problems` is empty when all is well. */
export interface AppChecksReport {
  /** Screens that were looked at, by the names of their pictures. */
  readonly pictures: readonly string[];
  readonly problems: readonly string[];
  /** Checks that could not be made, with the reason. */
  readonly skipped: readonly string[];
}

const sizes = [
  { name: '360x640', width: 360, height: 640, scale: 2 },
  { name: '1280x800', width: 1280, height: 800, scale: 1 },
] as const;
type SizeName = (typeof sizes)[number]['name'];
const patienceMs = 60_000;

/** Looks for what no screen may show. Runs in the page. */
function lookAround(): string[] {
  const found: string[] = [];
  const root = document.documentElement;
  if (root.scrollWidth > window.innerWidth) {
    const wide = [...document.querySelectorAll<HTMLElement>('body *')].filter(
      (element) => element.getBoundingClientRect().right > window.innerWidth + 1,
    );
    found.push(
      `horizontal overflow of ${root.scrollWidth - window.innerWidth} px by ${wide.slice(-1).map((element) => `<${element.localName} class="${element.className}">`)}`,
    );
  }
  const text = document.body.innerText;
  const labels = [...document.querySelectorAll('[aria-label]')]
    .map((element) => element.getAttribute('aria-label') ?? '')
    .join('\n');
  const wrong = /.{0,30}(\bNaN\b|\bundefined\b|\bnull\b|\[object|\bInfinity\b|\{\w+\}).{0,20}/.exec(
    `${text}\n${labels}`,
  );
  if (wrong !== null) found.push(`text "${wrong[0].trim()}"`);
  for (const element of document.querySelectorAll<HTMLElement>('[data-figure]')) {
    const shown = (element.textContent ?? '').replaceAll(/\s+/g, ' ').trim();
    const unit = /\d\s?(m?W|kW|MW|k?Wh|MWh|%|m?V|A|Hz|°C|°F|W\/m²|h|min|s|kWh\/kWp|times?|cycles)(\s|$|[–,.)])/;
    if (/\d/.test(shown) && !unit.test(shown)) found.push(`figure ${element.dataset.figure} without unit: "${shown}"`);
    if (shown === '') found.push(`figure ${element.dataset.figure} is empty`);
  }
  if (document.querySelectorAll('h1').length !== 1) found.push(`${document.querySelectorAll('h1').length} h1 headings`);
  for (const element of document.querySelectorAll<HTMLElement>('button, a[href], input, summary')) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || element.closest('.sr, .skip, table, [inert]') !== null) continue;
    // A thin line may have a larger target: an invisible part of its own laid around it.
    const around = getComputedStyle(element, '::after');
    const height =
      around.position === 'absolute' && around.content !== 'none'
        ? Math.max(box.height, Number.parseFloat(around.height) || 0)
        : box.height;
    if (height < 44)
      found.push(
        `target of ${Math.round(box.width)}x${Math.round(box.height)} px: ${element.textContent?.slice(0, 30)}`,
      );
  }
  return found;
}

/** Waits until a screen is busy no more and its content has stood for a moment. Runs in the page: names no function. */
async function untilDrawn(mostMs: number): Promise<void> {
  const elements = document.body.getElementsByTagName('*');
  const beganMs = performance.now();
  let [known, changedMs] = [-1, beganMs];
  while (performance.now() - beganMs < mostMs && performance.now() - changedMs < 60) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    if (known === elements.length && document.querySelector('main [aria-busy=true]') === null) continue;
    [known, changedMs] = [elements.length, performance.now()];
  }
}

/** Runs all checks. Throws with the list of problems when there are any; undefined when Chromium is missing. */
export async function runAppChecks(options: AppChecksOptions): Promise<AppChecksReport | undefined> {
  if (!existsSync(chromiumPath)) return undefined;
  const { screensDirectory } = options;
  if (screensDirectory !== undefined) mkdirSync(screensDirectory, { recursive: true });
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  const pictures: string[] = [];
  const problems: string[] = [];
  const skipped: string[] = [];
  const browser = await chromium.launch({
    executablePath: chromiumPath,
    args: ['--no-sandbox', '--ignore-certificate-errors'],
  });
  try {
    for (const size of sizes) {
      const context = await browser.newContext({
        viewport: { width: size.width, height: size.height },
        deviceScaleFactor: size.scale,
        ignoreHTTPSErrors: true,
        reducedMotion: 'reduce',
      });
      const page = await context.newPage();
      let offline = false;
      page.on('console', (message) => {
        if (message.type() === 'error' && !offline)
          problems.push(`${size.name}: console: ${message.text()} ${message.location().url}`);
      });
      page.on('pageerror', (error) => problems.push(`${size.name}: page error: ${error.message}`));

      const picture = async (name: string, fullPage = false): Promise<string> => {
        const file = `${options.prefix}-${name}-${size.name}.png`;
        if (screensDirectory !== undefined) await page.screenshot({ path: join(screensDirectory, file), fullPage });
        return file;
      };
      const look = async (name: string) => {
        await page.evaluate(untilDrawn, 5000);
        pictures.push(await picture(name));
        for (const problem of await page.evaluate(lookAround)) problems.push(`${size.name} ${name}: ${problem}`);
        if (options.accessibleAt?.includes(size.name) === false) return;
        if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
        const findings = await page.evaluate(async () => {
          const { axe } = window as unknown as {
            axe: {
              run(
                context: unknown,
                options: unknown,
              ): Promise<{ violations: { id: string; impact: string; nodes: { target: string[] }[] }[] }>;
            };
          };
          const { violations } = await axe.run(document, { resultTypes: ['violations'] });
          return violations
            .filter(({ impact }) => impact === 'serious' || impact === 'critical')
            .map(
              ({ id, nodes }) =>
                `${id} at ${nodes
                  .slice(0, 3)
                  .map(({ target }) => target.join(' '))
                  .join(', ')}`,
            );
        });
        for (const finding of findings) problems.push(`${size.name} ${name}: accessibility: ${finding}`);
      };
      /** In both themes; on the phone also at the smallest width there is. */
      const lookInBoth = async (name: string) => {
        await look(name);
        const theme = await page.evaluate(() => {
          const before = document.documentElement.dataset.theme ?? '';
          document.documentElement.dataset.theme = 'sunlight';
          return before;
        });
        await look(`${name}-sunlight`);
        if (size.width < 600) {
          await page.setViewportSize({ width: 320, height: size.height });
          await page.evaluate(untilDrawn, 5000);
          for (const problem of await page.evaluate(lookAround)) problems.push(`320 px ${name}: ${problem}`);
          await page.setViewportSize({ width: size.width, height: size.height });
        }
        await page.evaluate((to) => {
          document.documentElement.dataset.theme = to;
        }, theme);
      };
      const go = async (hash: string, ready: string) => {
        await page.evaluate((to) => {
          location.hash = to;
        }, hash);
        await page.waitForSelector(ready, { timeout: patienceMs });
      };

      await page.goto(options.baseUrl, { waitUntil: 'load' });
      await page.waitForSelector('input[name=password]', { timeout: patienceMs });
      await page.waitForSelector('.origin b', { timeout: patienceMs });
      await look('login');
      await page.fill('input[name=username]', options.username);
      await page.fill('input[name=password]', 'surely not the password');
      const wrongLogin = page.waitForResponse((response) => response.url().endsWith('/api/auth/login'));
      offline = true; // A refused login is a console error of the browser's own making.
      await page.click('button[type=submit]');
      await wrongLogin;
      await page.waitForSelector('.login-error span', { timeout: patienceMs });
      offline = false;
      await page.fill('input[name=password]', options.password);
      await page.click('button[type=submit]');
      await page.waitForSelector('.tabs', { timeout: patienceMs });
      const gridId = options.gridId ?? (await firstGrid(page));
      await page.waitForSelector('.grid-row, [data-verdict], .empty', { timeout: patienceMs });
      if ((await page.$('.grid-row')) !== null) await look('home');

      const grid = `#/grid/${encodeURIComponent(gridId)}`;
      await go(grid, '[data-verdict]');
      await page.waitForSelector('.kpi .val', { timeout: patienceMs });
      await page
        .waitForSelector('.u-over, .note-line', { timeout: patienceMs })
        .catch(() => problems.push(`${size.name}: the day chart is not drawn`));
      await look('dashboard');
      await checkLive(page, size.name);
      await picture('dashboard-long', true);

      await go(`${grid}/alerts`, '.alert-rows, .empty');
      await look('alerts');
      await checkActs(page, context, size.name, grid, look, go, (value) => {
        offline = value;
      });
      await go(`${grid}/history`, '.history-plot .u-over, .history-plot .empty');
      await look('history');
      if ((await page.$('.ctl .wide-btn')) !== null) {
        await page.click('.ctl .wide-btn');
        await page.waitForSelector('.history-table td', { timeout: patienceMs });
        await look('history-table');
      }
      for (const period of ['7 d', '30 d', '1 y']) {
        await page.click(`.sec-seg button:has-text("${period}")`);
        await page.waitForSelector('.history-plot[aria-busy=false]', { timeout: patienceMs });
        for (const problem of await page.evaluate(lookAround))
          problems.push(`${size.name} history ${period}: ${problem}`);
      }
      await go(`${grid}/rules`, '.rule');
      await page.click('.rule summary:has-text("Battery is low")');
      await page.fill('.limit:has-text("Below") input[type=number]', '25');
      await page.click('.rule-body .btn.pri');
      await page.waitForSelector('.rule-result .tried.changed', { timeout: patienceMs });
      const answerSeen = await page.evaluate(() => {
        const { top } = document.querySelector('.rule-result .tried')?.getBoundingClientRect() ?? { top: -1 };
        return top >= 0 && top < window.innerHeight - 64;
      });
      if (!answerSeen) problems.push(`${size.name}: the answer of a tried rule is out of sight`);
      await page.locator('.rule-body .btn.pri').scrollIntoViewIfNeeded();
      await look('rules-tried');
      await go(`${grid}/reports`, '.reports-body[aria-busy=false]');
      await look('reports');
      await picture('reports-long', true);
      for (const period of ['Day', 'Year']) {
        await page.click(`.sec-seg button:has-text("${period}")`);
        await page.waitForSelector(
          '.reports-body[aria-busy=false] .report-state, .reports-body[aria-busy=false] .empty',
          {
            timeout: patienceMs,
          },
        );
        await look(`reports-${period.toLowerCase()}`);
      }
      // A village that was just started has no whole quarter of an hour yet, and no report.
      if ((await page.$('.reports .ctl .wide-btn')) === null)
        skipped.push(`${size.name}: reports table: nothing to report yet`);
      else {
        await page.click('.reports .ctl .wide-btn');
        await page.waitForSelector('.history-table td', { timeout: patienceMs });
        for (const problem of await page.evaluate(lookAround)) problems.push(`${size.name} reports table: ${problem}`);
      }
      if ((await page.$('.download .btn')) === null) skipped.push(`${size.name}: download: this person may not export`);
      else {
        const coming = page.waitForEvent('download', { timeout: patienceMs });
        await page.click('.download .btn');
        const name = (await coming).suggestedFilename();
        if (!/^villagrid_.*\.csv$/.test(name)) problems.push(`${size.name}: the downloaded file is called ${name}`);
      }
      await go(`${grid}/devices`, '.device, .empty');
      await look('devices');
      await go(`${grid}/more`, '.more-rows');
      await look('more');
      const admin = (await page.$('a[href="#/people"]')) !== null;
      await go(`${grid}/completeness`, '.verdict');
      await lookInBoth('completeness');
      await go(`${grid}/wall`, '.wall-figures .val');
      await lookInBoth('wall');
      if (admin) {
        await go('#/people', '.person');
        await lookInBoth('people');
        await go(`${grid}/audit`, '.audit-list');
        await lookInBoth('audit');
      }
      await go(`${grid}/more`, '.more-rows');
      await page.click('.top .src');
      await page.waitForSelector('dialog[open]', { timeout: patienceMs });
      await look('connection');
      await page.keyboard.press('Escape');

      await go(grid, '[data-verdict]');
      await page.click('.screen .top > .hit:last-child');
      await page.waitForFunction(() => document.documentElement.dataset.theme === 'sunlight');
      await page.waitForTimeout(400);
      await look('dashboard-sunlight');
      await page.click('.screen .top > .hit:last-child');

      // Offline: the app opens without any server and says how old everything is.
      const worker = await page.evaluate(async () => {
        if (!('serviceWorker' in navigator)) return false;
        const registration = await Promise.race([
          navigator.serviceWorker.ready,
          new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 8000)),
        ]);
        return registration !== undefined;
      });
      if (!worker)
        skipped.push(`${size.name}: offline start: this address has no service worker (not a secure origin)`);
      else {
        offline = true;
        await context.setOffline(true);
        await page.reload({ waitUntil: 'load' });
        await page.waitForSelector('[data-verdict]', { timeout: patienceMs });
        await page
          .waitForFunction(() => /This phone/.test(document.querySelector('.src')?.textContent ?? ''), undefined, {
            timeout: patienceMs,
          })
          .catch(() => problems.push(`${size.name}: offline start does not say "This phone"`));
        const saved = await page.evaluate(() => ({
          source: document.querySelector('.src')?.textContent ?? '',
          value: document.querySelector('.kpi .val')?.textContent ?? '',
        }));
        if (!/\d\d:\d\d/.test(saved.source))
          problems.push(`${size.name}: offline start without the time of saving: "${saved.source}"`);
        if (!/\d|no data/.test(saved.value))
          problems.push(`${size.name}: offline start without saved values: "${saved.value}"`);
        await look('offline');
        await context.setOffline(false);
        offline = false;
      }
      await context.close();
    }
  } finally {
    await browser.close();
  }
  if (problems.length > 0) throw new Error(`The app has ${problems.length} problems:\n- ${problems.join('\n- ')}`);
  return { pictures, problems, skipped };

  async function checkLive(page: Page, size: string): Promise<void> {
    const read = () =>
      page.evaluate(() => [...document.querySelectorAll('.val')].map((element) => element.textContent).join('|'));
    const before = await read();
    await options.changeValue?.();
    const changed = await page
      .waitForFunction(
        (old) => [...document.querySelectorAll('.val')].map((element) => element.textContent).join('|') !== old,
        before,
        { timeout: 60_000 },
      )
      .then(
        () => true,
        () => false,
      );
    if (!changed) problems.push(`${size}: no figure changed within a minute without reload`);
  }

  async function checkActs(
    page: Page,
    context: BrowserContext,
    size: string,
    grid: string,
    look: (name: string) => Promise<void>,
    go: (hash: string, ready: string) => Promise<void>,
    quiet: (value: boolean) => void,
  ): Promise<void> {
    const unseen = () =>
      page.evaluate(() =>
        [...document.querySelectorAll<HTMLAnchorElement>('.alert-rows a.row')]
          .find((row) => /not seen yet/.test(row.textContent ?? ''))
          ?.getAttribute('href'),
      );
    let href = await unseen();
    if (!href && options.raiseAlert !== undefined) {
      await options.raiseAlert();
      href = await page
        .waitForFunction(
          () =>
            [...document.querySelectorAll<HTMLAnchorElement>('.alert-rows a.row')]
              .find((row) => /not seen yet/.test(row.textContent ?? ''))
              ?.getAttribute('href'),
          undefined,
          { timeout: 30_000 },
        )
        .then(
          (handle) => handle.jsonValue(),
          () => undefined,
        );
      if (!href) problems.push(`${size}: a raised alert did not appear in the list without reload`);
    }
    if (!href) {
      skipped.push(`${size}: acknowledge: no unseen alert is open`);
      const any = await page.evaluate(() => document.querySelector('.alert-rows a.row')?.getAttribute('href'));
      if (any) {
        await go(any, '.detail h2');
        await look('alert');
      }
      return;
    }
    await go(href, '.detail h2');
    await page.waitForTimeout(600);
    await look('alert');
    const note = `Checked by the browser test, ${size}`;
    quiet(true);
    await context.setOffline(true);
    await page.click('.act .sub');
    await page.waitForSelector('dialog textarea', { timeout: patienceMs });
    await page.fill('dialog textarea', note);
    await look('note');
    await page.click('dialog button[type=submit]');
    // The socket of the live channel may outlive the cut; the act itself goes by a call of its own and must wait.
    await page
      .waitForFunction(() => /waiting to send/.test(document.body.innerText), undefined, { timeout: patienceMs })
      .catch(() => problems.push(`${size}: an act made offline is not shown as waiting`));
    await look('alert-waiting');
    await context.setOffline(false);
    const sent = await page
      .waitForFunction(
        (text) => !/waiting to send/.test(document.body.innerText) && document.body.innerText.includes(text),
        note,
        { timeout: 60_000 },
      )
      .then(
        () => true,
        () => false,
      );
    quiet(false);
    if (!sent) problems.push(`${size}: the act did not arrive after the connection came back`);
    const times = await page.evaluate((text) => document.body.innerText.split(text).length - 1, note);
    if (sent && times !== 1) problems.push(`${size}: the note is there ${times} times`);
    await go(`${grid}/alerts`, '.alert-rows, .empty');
  }
}

async function firstGrid(page: Page): Promise<string> {
  const handle = await page.waitForFunction(
    () => {
      const row = document.querySelector('.grid-row')?.getAttribute('href') ?? location.hash;
      return /#\/grid\/([^/?]+)/.exec(row)?.[1];
    },
    undefined,
    { timeout: patienceMs },
  );
  return decodeURIComponent((await handle.jsonValue()) ?? '');
}
