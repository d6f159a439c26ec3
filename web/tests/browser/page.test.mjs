// The page in a real browser against an invented server: what the viewer sees and can do, without Gelato itself.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { start } from "../mock/server.mjs";
import { executable, open, PAGES } from "./browser.mjs";

const here = executable !== undefined;
if (!here) console.log("no chromium here: the page is not tested in a browser");

let browser;
let server;
before(async () => {
  if (!here) return;
  browser = await open();
  server = await start({ rate: 12 });
});
after(async () => {
  await browser?.close();
  await server?.close();
});

const text = (page, selector) => page.locator(selector).first().innerText();

test("every page opens, has a heading and a title, asks nobody else and breaks nothing", { skip: !here }, async () => {
  const page = await browser.page({ url: server.url });
  for (const name of PAGES) {
    await page.goto(`${server.url}#/${name}`);
    await page.waitForSelector(`main.page-${name} h1`);
    assert.match(await page.title(), /^\d+\/\d+ .+ · Gelato$/);
  }
  await page.goto(`${server.url}#/nowhere`);
  await page.waitForSelector("text=There is no page");
  assert.deepEqual([...page.origins], [new URL(server.url).origin]);
  assert.deepEqual(page.problems, [], "no error, nothing refused by the content security policy");
  await page.context().close();
});

test("nothing is wider than a phone", { skip: !here }, async () => {
  const page = await browser.page({ url: server.url, width: 360, height: 780 });
  for (const name of [...PAGES, "builds/3", "hosts/3"]) {
    await page.goto(`${server.url}#/${name}`);
    await page.waitForTimeout(150);
    const wide = await page.evaluate(() => {
      const inScroller = (element) => element.closest(".table-scroll,.segmented,.behind,.stage,.nav") !== null;
      return [...document.querySelectorAll("body *")]
        .filter((element) => !inScroller(element) && element.getBoundingClientRect().right > innerWidth + 1)
        .map((element) => `${element.tagName}.${element.className}`)
        .slice(0, 3);
    });
    assert.deepEqual(wide, [], name);
  }
  await page.goto(`${server.url}#/overview`);
  await page.click(".menu-button");
  await page.click("nav >> text=Timeline");
  await page.waitForSelector("main.page-gantt");
  await page.context().close();
});

test("the list of jobs is filtered, keeps its filter in the address, and opens details", { skip: !here }, async () => {
  const page = await browser.page({ url: `${server.url}#/jobs` });
  await page.fill("[data-filter]", "state:failed,lost");
  await page.waitForFunction(() => {
    const states = [...document.querySelectorAll("tbody tr:not(.spacer) .state")].map((cell) => cell.textContent ?? "");
    return states.length > 0 && states.every((state) => /failed|lost/.test(state));
  });
  assert.match(page.url(), /q=state/);
  const address = page.url();
  await page.goto("about:blank");
  await page.goto(address);
  await page.waitForSelector("main.page-jobs");
  assert.equal(await page.inputValue("[data-filter]"), "state:failed,lost");
  await page.fill("[data-filter]", "colour:blue");
  await page.waitForSelector("text=Not understood: colour:blue");
  await page.fill("[data-filter]", "");
  await page.click("button:has-text('Pause') >> visible=true");
  await page.waitForSelector("[data-banner=paused]");
  const first = await text(page, "tbody tr:not(.spacer) td");
  await page.waitForTimeout(700);
  assert.equal(await text(page, "tbody tr:not(.spacer) td"), first, "paused means that nothing moves");
  await page.locator("tbody tr:not(.spacer)").nth(4).click();
  await page.waitForSelector("aside.drawer");
  assert.match(page.url(), /#\/jobs\/\d+/);
  await page.keyboard.press("Escape");
  await page.waitForSelector("aside.drawer", { state: "detached" });
  await page.click("[data-banner=paused] button");
  await page.waitForFunction((before) => document.querySelector("tbody tr:not(.spacer) td")?.textContent !== before, first);
  await page.context().close();
});

test("columns are hidden and sorted, and that is remembered", { skip: !here }, async () => {
  const page = await browser.page({ url: `${server.url}#/hosts` });
  const heads = () => page.locator("thead th").allInnerTexts();
  assert((await heads()).includes("Platform"));
  await page.click("button:has-text('Columns')");
  await page.click(".popover label:has-text('Platform')");
  await page.click("[aria-label='Move Slots left']");
  await page.keyboard.press("Escape");
  await page.click("thead button:has-text('Slots')");
  await page.reload();
  await page.waitForSelector("thead");
  const after = await heads();
  assert(!after.includes("Platform"));
  assert(after.indexOf("Slots") < after.indexOf("Running"));
  assert.equal(await page.getAttribute("thead th[aria-sort=descending]", "aria-sort"), "descending");
  await page.context().close();
});

test("a command asks first, needs the token, and is in the log", { skip: !here }, async () => {
  const page = await browser.page({ url: `${server.url}#/manage` });
  const row = page.locator("tr", { hasText: "build03" }).first();
  await row.locator("text=Block").click();
  await page.waitForSelector("dialog[open]");
  await page.click("dialog >> text=Cancel");
  assert.equal(server.commands.length, 0);
  await row.locator("text=Block").click();
  await page.fill("#reason", "bad memory");
  await page.selectOption("#span", { label: "for an hour" });
  await page.click("dialog >> role=button[name=Block]");
  await page.waitForSelector("text=wrong token");
  await page.fill("input[aria-label='Control token']", "open-sesame");
  await page.click("text=Use");
  await row.locator("text=Drain").click();
  await page.fill("#reason", "new fan");
  await page.click("dialog >> role=button[name=Drain]");
  await page.waitForSelector("text=drain build03: done");
  assert.deepEqual(server.commands, [{ action: "drain", host: "build03", reason: "new fan", for_s: null }]);
  await page.waitForSelector("table[aria-label='Log of commands'] >> text=new fan");
  await page.context().close();
});

test("the timeline shows details, zooms, looks back and returns to the present by keys", { skip: !here }, async () => {
  const page = await browser.page({ url: `${server.url}#/gantt` });
  const stage = page.locator(".stage-scroll");
  await stage.focus();
  const note = () => text(page, ".page-head .note");
  await page.keyboard.press("-");
  await page.waitForFunction(() => /1 min 36 s/.test(document.querySelector(".page-head .note")?.textContent ?? ""));
  await page.keyboard.press("+");
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction(() => /ago/.test(document.querySelector(".page-head .note")?.textContent ?? ""));
  await page.keyboard.press("f");
  await page.waitForFunction(() => /up to now/.test(document.querySelector(".page-head .note")?.textContent ?? ""));
  assert.match(await note(), /1 min/);
  // Bars move on while a test looks for them.
  await page.keyboard.press("p");
  await page.waitForSelector("[data-banner=paused]");
  const box = await stage.boundingBox();
  let found = false;
  for (let y = 45; y < 400 && !found; y += 8) {
    for (let x = 700; x < 1000 && !found; x += 60) {
      await page.mouse.move(box.x + x, box.y + y);
      found = (await page.locator(".stage-tip").count()) > 0;
    }
  }
  assert(found, "a bar tells what it is");
  await page.mouse.down();
  await page.mouse.up();
  await page.waitForSelector("aside.drawer h2");
  await page.context().close();
});

test("a lost server leaves the last picture with its age, and is found again by itself", { skip: !here }, async () => {
  const own = await start({ rate: 12 });
  const page = await browser.page({ url: `${own.url}#/hosts` });
  await page.waitForSelector("tbody tr:not(.spacer)");
  own.silence();
  await page.waitForSelector("[data-banner=lost]");
  assert.match(await text(page, "[data-banner=lost]"), /picture of \d+ s ago/);
  assert((await page.locator("tbody tr:not(.spacer)").count()) > 5, "hosts stay");
  assert.match(await page.title(), /^⚠/);
  own.speak();
  await page.waitForSelector("[data-banner=lost]", { state: "detached", timeout: 15_000 });
  own.world.link = "down";
  await page.waitForSelector("[data-banner=down]");
  assert.match(await text(page, "[data-banner=down]"), /connection refused/);
  own.world.link = "up";
  await page.waitForSelector("[data-banner=down]", { state: "detached" });
  await page.context().close();
  await own.close();
});

test("a scheduler without records: panels say so and the rest works", { skip: !here }, async () => {
  const own = await start({ records: false });
  const page = await browser.page({ url: `${own.url}#/why` });
  await page.waitForSelector("text=this scheduler sends none");
  await page.goto(`${own.url}#/builds/3`);
  await page.waitForSelector(".missing");
  await page.goto(`${own.url}#/jobs`);
  await page.waitForSelector("tbody tr:not(.spacer)");
  assert.deepEqual(page.problems, []);
  await page.context().close();
  await own.close();
});

test("names can be hidden everywhere", { skip: !here }, async () => {
  const page = await browser.page({ url: server.url, settings: { anonymise: true } });
  for (const name of ["overview", "hosts", "jobs", "builds", "builds/3", "files", "people", "alerts", "manage", "history", "hosts/3"]) {
    await page.goto(`${server.url}#/${name}`);
    await page.waitForTimeout(250);
    const words = await page.evaluate(() => document.body.innerText + [...document.querySelectorAll("[title]")].map((element) => element.getAttribute("title")).join(" "));
    assert.doesNotMatch(words, /build0\d|\blinus\b|\bgrace\b|project-|10\.1\.0|parser_|codegen_/, name);
  }
  await page.context().close();
});

test("2 000 events a second and 100 000 jobs: the page answers at once", { skip: !here }, async () => {
  const own = await start({ hosts: 200, rate: 660, ended: 100_000, slots: 24 });
  own.world.most = 99_000;
  const page = await browser.page();
  await page.goto(`${own.url}#/jobs`);
  // Reading the first hundred thousand takes as long as it takes; what follows must not be felt.
  await page.waitForFunction(() => Number(document.querySelector("table[aria-label=Jobs]")?.getAttribute("aria-rowcount") ?? 0) > 50_000, null, { timeout: 20_000 });
  await page.waitForTimeout(500);
  assert((await page.locator("tbody tr").count()) < 120, "only rows that can be seen exist");
  const parts = {};
  const part = async (name, work) => {
    parts[name] = await browser.longestTask(page, async () => {
      await work();
      await page.waitForTimeout(700);
    });
  };
  await part("filter", () => page.fill("[data-filter]", "parser"));
  await part("scroll", () => page.evaluate(() => (document.querySelector(".table-scroll").scrollTop = 200_000)));
  await page.fill("[data-filter]", "");
  await part("sort numbers", () => page.click("thead button:has-text('Real')"));
  await part("sort words", () => page.click("thead button:has-text('File')"));
  await part("timeline", () => page.goto(`${own.url}#/gantt`));
  await part("overview", () => page.goto(`${own.url}#/overview`));
  console.log(`# longest tasks in ms of CPU: ${JSON.stringify(parts)}`);
  for (const [name, longest] of Object.entries(parts)) assert(longest < 200, `${name}: a task of ${longest} ms`);
  await page.context().close();
  await own.close();
});
