import assert from "node:assert/strict";
import { test } from "node:test";
import { hiddenAddress, hiddenFile, hiddenHost } from "../../src/logic/anonymise";
import { age, baseName, bytes, count, duration, fullTime, percent, plural, short, usableZone } from "../../src/logic/format";

test("durations keep about three digits and never say 60 s", () => {
  const cases: [number | null, string][] = [
    [null, "–"], [NaN, "–"], [-5, "0 ms"], [0, "0 ms"], [999.4, "999 ms"], [1000, "1.00 s"], [9994, "9.99 s"], [9996, "10.0 s"], [59_940, "59.9 s"],
    [59_999, "1 min 00 s"], [61_000, "1 min 01 s"], [3_599_700, "1 h 00 min"], [5_400_000, "1 h 30 min"], [200 * 3_600_000, "8 d"],
  ];
  for (const [ms, text] of cases) assert.equal(duration(ms), text);
});

test("sizes change the unit before they show four digits", () => {
  const cases: [number | null, string][] = [[null, "–"], [0, "0 B"], [1023, "1023 B"], [1024, "1.0 KiB"], [102_400, "100 KiB"], [1_048_000, "1023 KiB"], [1_048_576, "1.0 MiB"], [5e12, "4.5 TiB"]];
  for (const [value, text] of cases) assert.equal(bytes(value), text);
});

test("counts, ages and shares", () => {
  assert.equal(count(1234), "1234");
  assert.equal(count(1_234_567), "1\u202f234\u202f567");
  assert.equal(count(-12_000), "\u221212\u202f000");
  assert.equal(count(undefined), "–");
  assert.deepEqual([0.25, 9999, 12_340, 3_400_000].map(short), ["0.3", "9999", "12.3k", "3.4M"]);
  assert.equal(plural(1, "job"), "1 job");
  assert.equal(plural(2, "job"), "2 jobs");
  assert.equal(age(59_400), "59 s");
  assert.equal(age(-3), "0 s");
  assert.equal(age(3_600_000 * 5), "5 h");
  assert.equal(percent(11.11, 1), "11.1 %");
  assert.equal(baseName("a/b/c.cpp"), "c.cpp");
  assert.equal(baseName("c.cpp"), "c.cpp");
});

test("a zone nobody knows is the browser's own", () => {
  assert.equal(usableZone("Moon/Crater"), undefined);
  assert.equal(usableZone("UTC"), "UTC");
  assert.equal(fullTime(0, "UTC"), "01 Jan 1970, 00:00:00");
});

test("hidden names tell nothing and stay the same", () => {
  assert.equal(hiddenHost("alpha"), hiddenHost("alpha"));
  assert.notEqual(hiddenHost("alpha"), hiddenHost("beta"));
  const hidden = hiddenFile("src/secret/plan.cpp");
  assert(/^[^/]+\/[^/]+\/[^/]+\.cpp$/.test(hidden));
  assert(!/secret|plan/.test(hidden));
  assert(!/[0-9]/.test(hiddenAddress("10.77.0.2")));
});
