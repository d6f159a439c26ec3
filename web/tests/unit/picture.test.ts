import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerClock } from "../../src/logic/clock";
import { shares } from "../../src/logic/occupancy";
import { Picture } from "../../src/logic/picture";
import { backOff, SseParser } from "../../src/live/sse";
import { host, job, snapshot } from "./rows";

test("changes replace rows and keep the order of ids", () => {
  const picture = new Picture();
  picture.reset(snapshot(1000, [job({ id: 1 }), job({ id: 2, state: "running", ended: null })], [host({ id: 1, strip: [1, 2] })]));
  picture.merge({ at: 1200, jobs: [job({ id: 3 }), job({ id: 2, state: "failed" })], hosts: [host({ id: 1, running: 3 })] });
  assert.deepEqual([...picture.jobs.keys()], [1, 2, 3]);
  assert.equal(picture.jobs.get(2)?.state, "failed");
  assert.deepEqual(picture.hosts.get(1)?.strip, [1, 2], "a change comes without the strip");
  picture.merge({ at: 4100 });
  assert.deepEqual(picture.hosts.get(1)?.strip, [1, 2, 3, 3], "two even seconds went by");
  picture.merge({ at: 4200, hosts_gone: [1] });
  assert.equal(picture.hosts.size, 0);
});

test("the oldest ended jobs are forgotten first, running ones never", () => {
  const picture = new Picture(3);
  picture.reset(snapshot(1, [job({ id: 1, ended: null, state: "running" }), job({ id: 2 }), job({ id: 3 })]));
  picture.merge({ at: 2, jobs: [job({ id: 4 }), job({ id: 5 })] });
  assert.deepEqual([...picture.jobs.keys()], [1, 4, 5]);
});

test("a snapshot of the same server keeps ended jobs it does not tell any more; of another one, none", () => {
  const picture = new Picture();
  picture.reset(snapshot(100, [job({ id: 1, asked: 5 }), job({ id: 2, asked: 6 })]));
  picture.reset(snapshot(200, [job({ id: 2, asked: 6 }), job({ id: 3 })]));
  assert.deepEqual([...picture.jobs.keys()], [1, 2, 3]);
  picture.reset(snapshot(300, [job({ id: 2, asked: 250 })]));
  assert.deepEqual([...picture.jobs.keys()], [2]);
});

test("watchers are told of changes, and of a new beginning", () => {
  const picture = new Picture();
  const told: [number[], boolean][] = [];
  picture.watchers.add((jobs, anew) => told.push([[...jobs].map(({ id }) => id), anew]));
  picture.reset(snapshot(1, [job({ id: 1 })]));
  picture.merge({ at: 2, jobs: [job({ id: 2 })] });
  picture.merge({ at: 3 });
  assert.deepEqual(told, [[[1], true], [[2], false]]);
});

test("fourteen jobs on thirteen slots fill the bar and no more", () => {
  const running = Array.from({ length: 14 }, (_, id) => job({ id, client: id % 2, kind: id === 0 ? "own" : "remote" }));
  const { parts, whole, free } = shares(running, 13);
  assert.equal(whole, 14);
  assert.equal(free, 0);
  assert.equal(parts.reduce((sum, { jobs }) => sum + jobs, 0), 14);
  assert.deepEqual(parts.map(({ kind }) => kind), ["remote", "remote", "own"]);
  assert.deepEqual(shares([], 0), { parts: [], whole: 1, free: 0 });
});

test("events are cut from any pieces; comments are nothing", () => {
  const parser = new SseParser();
  assert.deepEqual(parser.push(": alive\n\nevent: del"), []);
  assert.deepEqual(parser.push("ta\r\ndata: {\"a\":\r\ndata:1}\r\n\r\nda"), [{ event: "delta", data: '{"a":\n1}' }]);
  assert.deepEqual(parser.push("ta: x\n\n"), [{ event: "message", data: "x" }]);
});

test("attempts become rarer, up to a quarter of a minute", () => {
  assert.equal(backOff(0, 1), 500);
  assert.equal(backOff(3, 0), 2000);
  assert.equal(backOff(99, 1), 15_000);
});

test("the clock learns the rate of a replay and stands still when nothing is heard", () => {
  const clock = new ServerClock();
  assert.equal(clock.now(5), 0);
  for (let step = 0; step <= 40; step += 1) clock.hear(1_000_000 + step * 2500, step * 250);
  const rate = (clock.now(10_100) - clock.now(10_000)) / 100;
  assert(Math.abs(rate - 10) < 0.1, `rate ${rate}`);
  assert.equal(clock.now(99_999), clock.now(99_998), "no running away");
  clock.stop(10_100);
  assert.equal(clock.now(50_000), clock.now(10_200));
  clock.hear(900_000, 60_000);
  assert.equal(clock.now(60_000), 900_000, "a clock that jumps back is believed");
});
