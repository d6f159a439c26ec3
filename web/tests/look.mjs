// Pictures of each page, for looking at: `node tests/look.mjs URL FOLDER [theme] [WIDTHxHEIGHT] [page …]`.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { open, PAGES } from "./browser/browser.mjs";

const [url, folder, theme = "light", size = "1440x900", ...wanted] = process.argv.slice(2);
const [width, height] = size.split("x").map(Number);
mkdirSync(folder, { recursive: true });
const browser = await open();
try {
  const page = await browser.page({ url, width, height, theme });
  page.on("console", (message) => message.type() === "error" && console.log(`console: ${message.text()}`));
  page.on("pageerror", (error) => console.log(`error: ${error.stack}`));
  for (const name of wanted.length > 0 ? wanted : PAGES) {
    await page.goto(`${url}#/${name}`);
    await page.waitForSelector("h1");
    await page.waitForTimeout(900);
    await page.screenshot({ path: join(folder, `${name.replace(/\W+/g, "-")}-${theme}-${size}.png`) });
  }
} finally {
  await browser.close();
}
