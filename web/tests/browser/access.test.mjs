// For everybody: axe finds nothing serious on any page in any theme, and all can be reached without a mouse.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { start } from "../mock/server.mjs";
import { executable, open, PAGES } from "./browser.mjs";

const here = executable !== undefined;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

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

for (const theme of ["light", "dark", "contrast"]) {
  test(`axe finds nothing serious: ${theme}`, { skip: !here }, async () => {
    const page = await browser.page({ url: server.url, theme, motion: "reduce" });
    await page.evaluate(axe);
    // High contrast is the same page with stronger colours: a few pages show all of them.
    for (const name of theme === "contrast" ? ["overview", "jobs", "builds/3", "settings"] : [...PAGES, "builds/3", "hosts/3", "jobs/2400"]) {
      await page.evaluate((hash) => (location.hash = hash), `#/${name}`);
      await page.waitForSelector(`main.page-${name.split("/")[0]} h1`);
      await page.waitForTimeout(200);
      const found = await page.evaluate(async () => {
        const { violations, passes } = await globalThis.axe.run(document, { resultTypes: ["violations"], preload: false, iframes: false });
        if (passes.length < 10) return ["axe looked at nothing"];
        return violations
          .filter(({ impact }) => impact === "serious" || impact === "critical")
          .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(" | ")}`);
      });
      assert.deepEqual(found, [], name);
    }
    await page.context().close();
  });
}

test("a walk without a mouse", { skip: !here }, async () => {
  const page = await browser.page({ url: server.url });
  const focused = () => page.evaluate(() => (document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent ?? "").trim());
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "content");

  await page.keyboard.press("1");
  await page.waitForSelector("main.page-hosts");
  await page.keyboard.press("/");
  assert.equal(await focused(), "Filter hosts");
  await page.keyboard.type("build0");
  // From the filter over the check box and the columns into the table.
  for (let n = 0; n < 80 && (await page.evaluate(() => document.activeElement?.tagName)) !== "TR"; n += 1) await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), "TR");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  const onRow = (row) => page.waitForFunction((wanted) => document.activeElement?.getAttribute("aria-rowindex") === wanted, row);
  await onRow("4");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, "none", "who has the focus can be seen");
  await page.keyboard.press("Enter");
  await page.waitForSelector("aside.drawer");
  assert.match(await focused(), /^Host build/);
  await page.keyboard.press("Escape");
  await page.waitForSelector("aside.drawer", { state: "detached" });
  // The focus is back where it was.
  await onRow("4");

  await page.keyboard.press("?");
  await page.waitForSelector("dialog[open]");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog[open]", { state: "detached" });

  await page.keyboard.press("p");
  await page.waitForSelector("[data-banner=paused]");
  await page.keyboard.press("p");
  await page.waitForSelector("[data-banner=paused]", { state: "detached" });

  for (const [key, name] of [["2", "jobs"], ["3", "builds"], ["4", "gantt"], ["5", "files"], ["6", "why"], ["7", "people"], ["8", "alerts"], ["9", "star"], ["h", "history"], ["m", "manage"], ["x", "toolchains"], [",", "settings"], ["0", "overview"]]) {
    await page.keyboard.press(key);
    await page.waitForSelector(`main.page-${name}`);
  }
  await page.context().close();
});

test("every button, link and field is reached by Tab and has a name", { skip: !here }, async () => {
  const page = await browser.page({ url: server.url });
  for (const name of PAGES) {
    await page.evaluate((hash) => (location.hash = hash), `#/${name}`);
    await page.waitForSelector(`main.page-${name} h1`);
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll("button,a[href],input,select")]
        .filter((element) => {
          const label = element.getAttribute("aria-label") ?? element.closest("label")?.textContent ?? document.querySelector(`label[for="${element.id}"]`)?.textContent ?? "";
          return (element.textContent ?? "").trim() === "" && label.trim() === "";
        })
        .map((element) => element.outerHTML.slice(0, 120)),
    );
    assert.deepEqual(nameless, [], name);
    const stuck = await page.evaluate(() =>
      // Links in rows are reached through the row, which opens the same.
      [...document.querySelectorAll("button,a[href],input,select")].filter((element) => element.tabIndex < 0 && element.closest("tr,.lanes,.slots-row,.tile,.plain") === null).map((element) => element.outerHTML.slice(0, 120)),
    );
    assert.deepEqual(stuck, [], name);
  }
  await page.context().close();
});

test("less motion: the star stands still", { skip: !here }, async () => {
  const page = await browser.page({ url: `${server.url}#/star`, motion: "reduce" });
  await page.waitForSelector(".stage canvas");
  await page.keyboard.press("p");
  await page.waitForTimeout(300);
  const picture = () => page.evaluate(() => document.querySelector(".stage canvas").toDataURL());
  const first = await picture();
  await page.waitForTimeout(400);
  assert.equal(await picture(), first);
  await page.context().close();
});

test("themes, sizes and zones are kept", { skip: !here }, async () => {
  const page = await browser.page({ url: `${server.url}#/settings`, theme: "auto" });
  await page.click("button:has-text('High contrast')");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "contrast");
  await page.click("button:has-text('Dark')");
  await page.click("button:has-text('130 %')");
  await page.fill("#zone", "Asia/Tokyo");
  await page.keyboard.press("Enter");
  await page.reload();
  await page.waitForSelector("h1");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).fontSize), "18.2px");
  assert.equal(await page.inputValue("#zone"), "Asia/Tokyo");
  await page.context().close();
});
