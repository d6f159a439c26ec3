import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFilter } from "../../src/logic/filter";
import { job } from "./rows";

const names = { host: (id: number | null) => (id === 1 ? "alpha" : id === 2 ? "beta" : "") };
const matches = (text: string, part: Parameters<typeof job>[0]) => parseFilter(text, names).test(job(part));

test("words are parts of the file, all must hold, a minus turns round", () => {
  const parser = { id: 1, file: "src/Parser.cpp" };
  assert(matches("", parser));
  assert(matches("parser src", parser));
  assert(!matches("parser lexer", parser));
  assert(!matches("-parser", parser));
  assert(matches("-lexer", parser));
  assert(matches('"src/parser"', parser));
});

test("fields", () => {
  assert(matches("client:alp server:beta", { id: 1 }));
  assert(!matches("server:alpha", { id: 1 }));
  assert(matches("state:failed,fin", { id: 1 }));
  assert(!matches("state:failed", { id: 1 }));
  assert(matches("kind:own", { id: 1, kind: "own" }));
  assert(matches("lang:c++ language:C", { id: 1 }));
});

test("times are in seconds unless they say otherwise; a bare comparison is the duration", () => {
  const slow = { id: 1, duration_ms: 2500, wait_ms: 40 };
  assert(matches(">2s", slow));
  assert(matches(">2", slow));
  assert(!matches(">2.5s", slow));
  assert(matches("duration:<=2500ms", slow));
  assert(matches("wait:<1s", slow));
  assert(!matches(">1min", slow));
  assert(!matches(">1s", { id: 1, duration_ms: null }));
});

test("exit codes are those of jobs that ended", () => {
  assert(matches("exit:0", { id: 1 }));
  assert(matches("exit:!0", { id: 1, exit: 2 }));
  assert(!matches("exit:0", { id: 1, ended: null, state: "running" }));
});

test("what is not understood is said", () => {
  assert.deepEqual(parseFilter("colour:red >x exit:2s foo", names).problems, ["colour:red", ">x", "exit:2s"]);
  assert(parseFilter("client:", names).test(job({ id: 1 })));
  assert(parseFilter("", names).empty);
});
