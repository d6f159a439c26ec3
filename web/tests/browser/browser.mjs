// Chromium for the tests: the machine's own, driven by playwright-core.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
export const executable = PLACES.find((path) => path !== undefined && existsSync(path));

export const PAGES = ["overview", "hosts", "jobs", "gantt", "star", "builds", "files", "why", "people", "toolchains", "alerts", "history", "manage", "settings"];

export async function open() {
  if (executable === undefined) throw new Error("no chromium here; install it or name it in $CHROMIUM");
  const browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  return {
    /** A page of its own, with the origins it asked for in `page.origins`. */
    async page({ url, width = 1440, height = 900, theme = "light", settings = {}, motion = "no-preference" } = {}) {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme === "dark" ? "dark" : "light", reducedMotion: motion });
      await context.addInitScript((kept) => {
        if (localStorage.getItem("gelato.settings") === null) localStorage.setItem("gelato.settings", kept);
      }, JSON.stringify({ theme, ...settings }));
      const page = await context.newPage();
      page.origins = new Set();
      page.problems = [];
      page.on("request", (request) => page.origins.add(new URL(request.url()).origin));
      page.on("pageerror", (error) => page.problems.push(String(error)));
      page.on("console", (message) => {
        if (message.type() === "error") page.problems.push(message.text());
      });
      page.setDefaultTimeout(8000);
      if (url !== undefined) {
        await page.goto(url);
        await page.waitForSelector("h1");
      }
      return page;
    },
    /**
     * The longest task of the page's main thread while `work` goes on, in ms of its own CPU time: what else the machine does is no
     * fault of the page.
     */
    async longestTask(page, work) {
      await browser.startTracing(page, { categories: ["toplevel", "disabled-by-default-devtools.timeline", "__metadata"] });
      await work();
      const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
      const mains = new Set(traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(({ pid, tid }) => `${pid} ${tid}`));
      const tasks = traceEvents.filter(({ name, tdur, pid, tid }) => /RunTask$/.test(name) && tdur !== undefined && mains.has(`${pid} ${tid}`));
      if (tasks.length === 0) throw new Error("the trace has no tasks");
      return Math.round(Math.max(...tasks.map(({ tdur }) => tdur)) / 1000);
    },
    close: () => browser.close(),
  };
}
