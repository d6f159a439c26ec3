// Pictures of each page, light and dark, of the demo: `make screenshots`. The best are in the README, the others are to be looked at.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { open, PAGES } from "./browser/browser.mjs";

const [folder = "../docs/screenshots", only] = process.argv.slice(2);
const wanted = only === undefined ? PAGES : only.split(",");
mkdirSync(folder, { recursive: true });

const state = mkdtempSync(join(tmpdir(), "gelato-screenshots-"));
const monitor = spawn(process.env.GELATO_BIN ?? "gelato", ["monitor", "--demo", "--hosts", "8", "--listen", "127.0.0.1:0", "--state-folder", state], {
  stdio: ["ignore", "pipe", "inherit"],
});
const url = await new Promise((resolve, reject) => {
  let text = "";
  monitor.on("exit", (code) => reject(new Error(`gelato monitor ended with ${code}`)));
  monitor.stdout.on("data", (part) => {
    text += part;
    const found = /listening on (http:\S+)/.exec(text);
    if (found !== null) resolve(found[1]);
  });
});
const browser = await open();
try {
  console.log("the demo works for two minutes first, so that there is something to see");
  await new Promise((resolve) => setTimeout(resolve, 120_000));
  const { builds } = await (await fetch(`${url}api/v1/builds`)).json();
  const told = builds.find(({ verdict, jobs }) => verdict !== null && jobs > 20) ?? builds[0];
  for (const theme of ["light", "dark"]) {
    const page = await browser.page({ url, theme });
    for (const name of wanted) await picture(page, name, `web-${name}-${theme}`);
    if (told !== undefined && wanted.includes("builds")) await picture(page, `builds/${told.id}`, `web-build-${theme}`);
    if (wanted.includes("hosts")) await picture(page, "hosts/2", `web-host-${theme}`);
    await page.context().close();
  }
  const phone = await browser.page({ url, theme: "dark", width: 360, height: 780 });
  await picture(phone, "overview", "web-overview-phone");
} finally {
  await browser.close();
  monitor.removeAllListeners("exit");
  monitor.kill();
  rmSync(state, { recursive: true, force: true });
}

/** Waits until there is something to see. */
async function busy() {
  for (let n = 0; n < 60; n += 1) {
    const { running, slots } = await (await fetch(`${url}api/v1/cluster`)).json();
    if (running > slots * 0.6) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

async function picture(page, name, file) {
  if (["overview", "gantt", "star", "hosts"].includes(name)) await busy();
  await page.goto(`${url}#/${name}`);
  await page.waitForSelector(`main.page-${name.split("/")[0]} h1`);
  await page.waitForTimeout(1200);
  await page.screenshot({ path: join(folder, `${file}.png`) });
}
