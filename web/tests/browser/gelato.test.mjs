// The page as `gelato monitor` serves it: a recording in which everything happens once, and each number beside what /api/v1 says.
//
// The terminal is compared with the same recording, so both faces show the same picture. Needs a built `gelato` with the page inside:
// $GELATO_BIN, or target/debug/gelato. `make web-test` sees to both.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { executable, open, PAGES } from "./browser.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const gelato = [process.env.GELATO_BIN, join(target, "debug/gelato"), join(target, "release/gelato")].find((path) => path !== undefined && existsSync(path));
const recording = join(root, "crates/monitor/tests/data/everything.jsonl");
const here = executable !== undefined && gelato !== undefined && existsSync(recording);
if (!here) console.log("no chromium or no built gelato here: the served page is not tested");

let browser;
let format;
const ended = [];
const folder = mkdtempSync(join(tmpdir(), "gelato-web-test-"));

before(async () => {
  if (!here) return;
  const outfile = join(folder, "format.mjs");
  await build({ entryPoints: [join(root, "web/src/logic/format.ts")], outfile, bundle: true, format: "esm", platform: "node" });
  format = await import(pathToFileURL(outfile).href);
  browser = await open();
});
after(async () => {
  await browser?.close();
  for (const child of ended) child.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a monitor and says where it listens. */
async function monitor(...options) {
  const child = spawn(gelato, ["monitor", "--listen", "127.0.0.1:0", "--state-folder", join(folder, `state-${ended.length}`), ...options], { stdio: ["ignore", "pipe", "inherit"] });
  ended.push(child);
  return await new Promise((resolve, reject) => {
    let text = "";
    child.on("exit", (code) => reject(new Error(`gelato monitor ended with ${code}`)));
    child.stdout.on("data", (part) => {
      text += part;
      const found = /listening on (http:\S+)/.exec(text);
      if (found !== null) resolve(found[1]);
    });
  });
}

const asked = (url) => async (path) => {
  const response = await fetch(`${url}api/v1/${path}`);
  assert.equal(response.status, 200, path);
  return await response.json();
};

async function until(what, test) {
  for (let n = 0; n < 100; n += 1) {
    const value = await what();
    if (test(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("it never came to pass");
}

/** A table as rows of texts by the titles of its columns. */
const read = (page, label) =>
  page.evaluate((name) => {
    const table = document.querySelector(`table[aria-label="${name}"]`);
    const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
    return [...table.querySelectorAll("tbody tr:not(.spacer)")].map((row) => Object.fromEntries([...row.children].map((cell, at) => [heads[at], cell.textContent.trim()])));
  }, label);

/** Shows every column. */
async function allColumns(page) {
  await page.click("button:has-text('Columns')");
  const hidden = page.locator(".popover input:not(:checked)");
  while ((await hidden.count()) > 0) await hidden.first().click();
  await page.keyboard.press("Escape");
}

test("a recording: what the page shows is what the model says", { skip: !here }, async () => {
  const url = await monitor("--replay", recording, "--speed", "1000");
  const api = asked(url);
  const cluster = await until(() => api("cluster"), ({ link_reason: reason }) => reason === "the recording is over");
  const page = await browser.page({ url, width: 2600, height: 1200 });
  await page.waitForSelector("[data-banner=over]");

  const figure = (name) => page.locator(`[data-figure=${name}]`).innerText();
  assert.equal(await figure("busy"), `${cluster.running}/${cluster.slots}`);
  assert.equal(await figure("queued"), String(cluster.queued));
  assert.equal(await figure("hosts"), `${cluster.active}/${cluster.available}/${cluster.hosts}`);
  assert.match(await page.title(), new RegExp(`^${cluster.running}/${cluster.slots} `));
  const overview = await page.locator("main").innerText();
  assert.match(overview, new RegExp(`${cluster.local_percent.toFixed(0)} %`));
  const { remote, own, local, failed, lost, cancelled } = cluster.totals;
  assert.match(overview, new RegExp(`${own + local} of ${remote + own + local} jobs`));
  assert.match(overview, new RegExp(`Failed or lost\\s+${failed + lost}\\s+${lost} lost, ${cancelled} cancelled`));
  const { slots } = await api("slots");
  for (const row of slots) assert.match(overview, new RegExp(`-j${row.suggestion}\\s+${row.platform}`));

  await page.click("nav >> text=Hosts");
  await page.waitForSelector("main.page-hosts");
  await page.check("label:has-text('gone') input");
  await allColumns(page);
  const { hosts } = await api("hosts");
  const shownHosts = await read(page, "Hosts");
  assert.equal(shownHosts.length, hosts.length);
  for (const host of hosts) {
    const row = shownHosts.find(({ Name: name }) => name.endsWith(host.name));
    assert(row !== undefined, host.name);
    const expected = {
      Running: host.running, Slots: host.slots, In: host.jobs_in, Out: host.jobs_out, Own: host.jobs_own, Local: host.jobs_local, Active: host.submitted, Pending: host.waiting,
      Load: host.load, Platform: host.platform, Address: host.ip, Protocol: host.protocol, Features: host.features.join(" "), Failed: host.as_server.failed, Lost: host.as_server.lost,
      Speed: format.decimal(host.speed, 1), Mean: format.duration(host.as_server.mean_ms), p95: format.duration(host.as_server.p95_ms), "Mean out": format.duration(host.as_client.mean_ms),
      "1 min": format.decimal(host.averages?.[0], 2), Remote: host.no_remote ? "no" : "yes", Software: host.software ?? "",
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(row[name], String(value), `${host.name}: ${name}`);
  }

  await page.click("nav >> text=Jobs");
  await page.waitForSelector("main.page-jobs");
  await allColumns(page);
  const { jobs } = await api("jobs");
  const shownJobs = await read(page, "Jobs");
  assert.equal(shownJobs.length, jobs.length);
  const name = (id) => hosts.find((host) => host.id === id)?.name ?? "–";
  const words = { queued: "◌", running: "▶", finished: "✓", failed: "✕", lost: "⚠", cancelled: "⊘" };
  [...jobs].reverse().forEach((job, at) => {
    const row = shownJobs[at];
    assert.equal(row.Id, job.number === 0 ? "–" : String(job.number));
    assert.equal(row.State, `${words[job.state]} ${job.state}`);
    assert(row.Client.endsWith(name(job.client)) && row.Server.endsWith(name(job.server)), `${row.Client} ${row.Server}`);
    if (job.state !== "running") assert.equal(row.Real, format.duration(job.duration_ms));
    assert.equal(row.User, format.duration(job.user_ms));
    assert.equal(row.System, format.duration(job.system_ms));
    assert.equal(row.Faults, format.count(job.page_faults));
    assert.equal(row["Size in"], format.bytes(job.in_raw));
    assert.equal(row["Out sent"], format.bytes(job.out_compressed));
    assert.equal(row.Exit, job.exit === null ? "" : String(job.exit));
    assert.equal(row.Reason, job.record?.reason ?? "");
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(row.File, /[\u0000-\u001f]/, "no control character of a file's name is drawn");
  });
  const ownMachine = jobs.filter(({ client, server, kind }) => client !== null && client === server && kind !== "local");
  assert(ownMachine.length > 0 && ownMachine.every(({ kind }) => kind === "own"), "own-machine jobs are not remote");

  await page.click("nav >> text=Why local");
  await page.waitForSelector("main.page-why");
  const { reasons } = await api("reasons");
  const whys = await page.locator("li.reason").evaluateAll((rows) => rows.map((row) => [row.querySelector("code").textContent, row.querySelector(".count").textContent]));
  assert.deepEqual(whys, reasons.map(({ code, count }) => [code, String(count)]));

  const { builds } = await api("builds");
  for (const build of builds) {
    await page.goto(`${url}#/builds/${build.key ?? build.id}`);
    await page.waitForSelector("main.page-builds dl.figures");
    const shown = await page.locator("main").innerText();
    assert(shown.includes(`${build.remote} remote, ${build.own} own, ${build.local} local`));
    assert(shown.includes(format.duration(build.wall_ms)) && shown.includes(format.duration(build.serial_ms)));
    if (build.verdict !== null) assert(shown.includes(build.verdict.sentence));
  }

  const { files } = await api("files");
  await page.click("nav >> text=Slowest files");
  await page.waitForSelector("table[aria-label='Slowest files'] tbody tr");
  const shownFiles = await read(page, "Slowest files");
  assert.deepEqual(shownFiles.map(({ Longest: longest }) => longest), [...files].sort((a, b) => b.max_ms - a.max_ms).map((file) => format.duration(file.max_ms)));

  const { people } = await api("people");
  await page.click("nav >> text=People");
  await page.waitForSelector("table[aria-label=People] tbody tr");
  const shownPeople = await read(page, "People");
  assert.deepEqual(shownPeople.map(({ Jobs: number }) => Number(number)).sort(), people.map(({ jobs: number }) => number).sort());

  const { alerts } = await api("alerts");
  await page.click("nav >> text=Alerts");
  await page.waitForSelector("main.page-alerts");
  assert.deepEqual(await page.locator("[data-alert]").evaluateAll((rows) => rows.map((row) => row.dataset.alert)), alerts.map(({ code }) => code));

  assert.deepEqual([...page.origins], [new URL(url).origin]);
  assert.deepEqual(page.problems, []);
  await page.context().close();
});

test("the demo: every page has something to show, the bar adds up, and files can be taken along", { skip: !here }, async () => {
  const url = await monitor("--demo", "--speed", "10");
  const api = asked(url);
  await until(() => api("builds"), ({ builds }) => builds.some(({ open: isOpen }) => !isOpen));
  const page = await browser.page({ url });
  await page.keyboard.press("p");
  await page.waitForSelector("[data-banner=paused]");
  const running = Number((await page.locator("[data-figure=busy]").innerText()).split("/")[0]);
  const legend = await page.locator(".legend li").allInnerTexts();
  const kinds = legend.filter((item) => /^(remote|own machine|local)/.test(item)).map((item) => Number(/\d+$/.exec(item)?.[0]));
  assert.equal(kinds.reduce((sum, value) => sum + value, 0), running);
  await page.keyboard.press("p");
  for (const name of PAGES) {
    await page.goto(`${url}#/${name}`);
    await page.waitForSelector(`main.page-${name} h1`);
  }
  await page.goto(`${url}#/history`);
  await page.waitForSelector("main.page-history canvas");
  const history = await api(`history?from=${Date.now() - 86_400_000}&to=${Date.now()}&step=300000`);
  assert(history.points.length > 100, "the demo has a past");
  await page.goto(`${url}#/files?span=weeks`);
  await page.waitForSelector("table[aria-label='Slowest files of two weeks']");
  for (const name of ["hosts", "jobs", "builds", "files"]) {
    await page.goto(`${url}#/${name}`);
    await page.waitForSelector("tbody tr:not(.spacer)");
    for (const link of await page.locator("main a[download]").all()) {
      const address = new URL(await link.getAttribute("href"), url);
      const response = await fetch(address);
      assert.equal(response.status, 200, address.pathname);
      assert((await response.text()).length > 20, address.pathname);
    }
  }
  const { builds } = await api("builds");
  await page.goto(`${url}#/builds/${builds[builds.length - 1].id}`);
  await page.waitForSelector("main a[download]");
  for (const link of await page.locator("main a[download]").all()) {
    const address = new URL(await link.getAttribute("href"), url);
    assert.equal((await fetch(address)).status, 200, address.pathname);
  }
  assert.deepEqual(page.problems, []);
  await page.context().close();
});
