import assert from "node:assert/strict";
import { test } from "node:test";
import { firstJob, layOut, linesBetween, panned, ticks, timeAt, type Window, xOf, zoomed } from "../../src/gantt/geometry";
import { Rows } from "../../src/gantt/rows";
import { MARKS, letter, luminance, SHADES, shade } from "../../src/logic/marks";
import { mix } from "../../src/logic/heat";
import { arrange, move, sortRows, windowOf } from "../../src/logic/table";
import { places, rings } from "../../src/star/layout";
import type { JobRow } from "../../src/types";
import { host, job } from "./rows";

const view: Window = { end: 100_000, span: 60_000, left: 100, width: 600, newestLeft: false };

test("time and pixels are each other's inverse, in both directions", () => {
  for (const window of [view, { ...view, newestLeft: true }]) {
    for (const at of [40_000, 55_555, 100_000]) assert.equal(Math.round(timeAt(window, xOf(window, at))), at);
  }
  assert.equal(xOf(view, 100_000), 700);
  assert.equal(xOf({ ...view, newestLeft: true }, 100_000), 100);
});

test("zooming keeps the time under the pointer, within limits", () => {
  const at = timeAt(view, 250);
  const near = zoomed(view, 0.5, 250);
  assert.equal(near.span, 30_000);
  assert(Math.abs(timeAt(near, 250) - at) < 1e-6);
  assert.equal(zoomed(view, 1e-9, 250).span, 2000);
  assert.equal(zoomed(view, 1e9, 250).span, 24 * 3_600_000);
  assert.equal(panned(view, 60).end, 94_000);
  assert.equal(panned({ ...view, newestLeft: true }, 60).end, 106_000);
});

test("ticks are round and far enough apart", () => {
  assert.deepEqual(ticks(view, 90), [40_000, 50_000, 60_000, 70_000, 80_000, 90_000, 100_000]);
  assert.deepEqual(ticks(view, 151), [60_000, 90_000]);
});

function rowsOf(jobs: JobRow[]): { rows: Rows; known: Map<number, JobRow> } {
  const known = new Map(jobs.map((one) => [one.id, one]));
  const rows = new Rows({ job: (id) => known.get(id) });
  rows.add(jobs);
  return { rows, known };
}

test("jobs at the same time have rows of their own, local ones below", () => {
  const { rows } = rowsOf([
    job({ id: 1, begun: 0, ended: 10 }),
    job({ id: 2, begun: 5, ended: 20 }),
    job({ id: 3, begun: 10, ended: 30 }),
    job({ id: 4, begun: 6, ended: 9, kind: "local", server: null, client: 2 }),
    job({ id: 5, begun: null, ended: null, state: "queued" }),
  ]);
  const { slots, locals } = rows.of(host({ id: 2, slots: 3 }));
  assert.deepEqual(slots.map(({ jobs }) => jobs), [[1, 3], [2], []]);
  assert.deepEqual(locals.map(({ jobs }) => jobs), [[4]]);
});

test("a job that still runs keeps its row, and a row keeps its job", () => {
  const { rows, known } = rowsOf([job({ id: 1, begun: 0, ended: null, state: "running" })]);
  const second = job({ id: 2, begun: 50, ended: null, state: "running" });
  known.set(2, second);
  rows.add([second, second]);
  assert.deepEqual(rows.of(host({ id: 2, slots: 1 })).slots.map(({ jobs }) => jobs), [[1], [2]], "more jobs than slots");
  known.delete(1);
  rows.trim();
  assert.deepEqual(rows.of(host({ id: 2, slots: 1 })).slots.map(({ jobs }) => jobs), [[], [2]]);
});

test("only lines and jobs that can be seen are found", () => {
  const { rows } = rowsOf(Array.from({ length: 100 }, (_, id) => job({ id, begun: id * 10, ended: id * 10 + 8 })));
  const hosts = Array.from({ length: 50 }, (_, id) => ({ id, ...rows.of(host({ id, slots: 10 })) }));
  const { lines, height } = layOut(hosts, { head: 20, row: 16, idle: 6, gap: 4 });
  assert.equal(lines.length, 50 * 11);
  assert.equal(height, 50 * (20 + 10 * 6 + 4) + 10, "one slot of one host was used");
  const [from, to] = linesBetween(lines, 1000, 1200);
  assert(lines.slice(from, to).every(({ y, height: h }) => y + h > 1000 && y < 1200));
  assert(to - from <= 35);
  const row = rows.of(host({ id: 2 })).slots[0];
  assert(row !== undefined);
  assert.equal(firstJob(row, 505), 50, "the one before may reach in");
  assert.equal(firstJob(row, -5), 0);
});

test("a table shows a window of rows and sorts what is not known last", () => {
  assert.deepEqual(windowOf(0, 300, 30, 100_000, 5), [0, 15]);
  assert.deepEqual(windowOf(2_999_700, 300, 30, 100_000, 5), [99_985, 100_000]);
  assert.deepEqual(windowOf(900, 300, 30, 3, 5), [0, 3]);
  const rows = [{ v: 3 }, { v: null }, { v: 1 }];
  assert.deepEqual(sortRows(rows, ({ v }) => v, false).map(({ v }) => v), [1, 3, null]);
  assert.deepEqual(sortRows(rows, ({ v }) => v, true).map(({ v }) => v), [3, 1, null]);
  assert.deepEqual(sortRows(["b10", "b9", "a"], (word) => word, false), ["a", "b9", "b10"]);
});

test("columns are hidden, moved and never all gone", () => {
  const columns = [{ key: "a" }, { key: "b", hidden: true }, { key: "c" }];
  const keys = (order: string[], hidden: string[] | null) => arrange(columns, { order, hidden }).map(({ key }) => key);
  assert.deepEqual(keys([], null), ["a", "c"]);
  assert.deepEqual(keys(["c", "b"], []), ["c", "b", "a"]);
  assert.deepEqual(keys([], ["a", "b", "c"]), ["a"]);
  assert.deepEqual(move(["a", "b", "c"], 0, 1), ["b", "a", "c"]);
  assert.deepEqual(move(["a", "b"], 1, 1), ["a", "b"]);
});

test("24 marks differ, and letters on them can be read", () => {
  assert.equal(new Set(SHADES.map(({ fill }) => fill)).size, MARKS);
  assert.equal(new Set(Array.from({ length: MARKS }, (_, mark) => letter(mark))).size, MARKS);
  for (const { fill, ink } of SHADES) {
    const [low, high] = [luminance(fill), luminance(ink)].sort((a, b) => a - b) as [number, number];
    assert((high + 0.05) / (low + 0.05) >= 4.5, `${ink} on ${fill}`);
  }
  assert.equal(letter(null), "?");
  assert.equal(shade(24).fill, shade(0).fill);
  assert.equal(mix("#000000", "#ff8000", 0.5), "rgb(128 64 0)");
});

test("everybody has a place in the star", () => {
  for (const count of [0, 1, 25, 26, 100, 1000]) {
    assert.equal(rings(count, 25).reduce((sum, size) => sum + size, 0), count);
    const found = places(count, 25, 1000, 700);
    assert.equal(found.length, count);
    assert(found.every(({ x, y }) => x > 0 && x < 1000 && y > 0 && y < 700));
  }
});
