// A stand-in for `gelato monitor`: the built page, and an invented cluster in the rows of /api/v1.
//
// For what the real server cannot be made to do on demand: thousands of events a second, falling silent, coming back, having no
// records. Runs by itself, too: `npm run mock`.

import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { World } from "./world.mjs";

const DIST = join(dirname(fileURLToPath(import.meta.url)), "../../dist");
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
};
const CSP = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

export async function start(options = {}) {
  const world = new World(options);
  const streams = new Set();
  const commands = [];
  let silent = false;

  const send = (response, event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  const json = (response, data, status = 200) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(data));
  };

  const server = createServer((request, response) => {
    if (silent) {
      request.socket.destroy();
      return;
    }
    const url = new URL(request.url, "http://localhost");
    response.setHeader("content-security-policy", CSP);
    if (url.pathname === "/api/v1/stream") {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      send(response, "snapshot", world.snapshot());
      streams.add(response);
      response.on("close", () => streams.delete(response));
    } else if (url.pathname === "/api/v1/manage" && request.method === "POST") {
      let body = "";
      request.on("data", (part) => (body += part));
      request.on("end", () => {
        const command = JSON.parse(body);
        if (request.headers.authorization !== "Bearer open-sesame") {
          json(response, { error: "wrong token", hint: "the token is in the scheduler's state folder" }, 401);
          return;
        }
        commands.push(command);
        world.audit.unshift({ at: Date.now(), who: "127.0.0.1", action: command.action, host: command.host, reason: command.reason, for_s: command.for_s, result: "ok", ok: true });
        json(response, { ok: true, text: `${command.action} ${command.host}: done` });
      });
    } else if (url.pathname.startsWith("/api/v1/")) {
      const answer = world.answer(url.pathname.slice("/api/v1/".length), url.searchParams);
      if (answer === undefined) json(response, { error: "not found", hint: "" }, 404);
      else json(response, answer);
    } else {
      const path = join(DIST, normalize(url.pathname === "/" ? "/index.html" : url.pathname));
      if (!path.startsWith(DIST) || !existsSync(path)) {
        response.writeHead(404).end();
        return;
      }
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
      createReadStream(path).pipe(response);
    }
  });

  const timer = setInterval(() => {
    const delta = world.step(250);
    if (silent) return;
    for (const response of streams) send(response, "delta", delta);
  }, 250);

  await new Promise((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    world,
    commands,
    /** Nobody is heard any more: all connections break. */
    silence() {
      silent = true;
      for (const response of streams) response.destroy();
    },
    speak() {
      silent = false;
    },
    async close() {
      clearInterval(timer);
      for (const response of streams) response.destroy();
      server.closeAllConnections?.();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await start({ port: Number(process.env.PORT ?? 8768), hosts: Number(process.env.HOSTS ?? 14), rate: Number(process.env.RATE ?? 8) });
  console.log(`listening on ${url}`);
}
