// The filter of the job list: words, and `field:value` with comparisons for numbers.
//
//   foo.cpp client:alpha state:failed,lost >2s exit:!0 -kind:local
//
// A word matches the file; all terms must hold; `-` before one turns it round. What is not understood is said, not guessed.

import type { JobRow } from "../types";

export interface Names {
  host(id: number | null): string;
}

export interface Filter {
  test(job: JobRow): boolean;
  empty: boolean;
  /** Terms that are not understood. */
  problems: string[];
}

type Test = (job: JobRow, names: Names) => boolean;

const WORDS: Record<string, (job: JobRow, names: Names) => string> = {
  file: (job) => job.file,
  client: (job, names) => names.host(job.client),
  server: (job, names) => names.host(job.server),
  host: (job, names) => `${names.host(job.client)} ${names.host(job.server)}`,
  language: (job) => job.record?.language ?? job.language ?? "",
  reason: (job) => job.record?.reason ?? "",
  build: (job) => job.record?.build ?? "",
};

const EXACT: Record<string, (job: JobRow) => string> = {
  state: (job) => job.state,
  kind: (job) => job.kind,
};

const NUMBERS: Record<string, (job: JobRow) => number | null> = {
  duration: (job) => job.duration_ms,
  wait: (job) => job.wait_ms,
  exit: (job) => (job.ended === null ? null : job.exit),
  retries: (job) => job.record?.retries ?? null,
  id: (job) => job.number,
};

const SHORT: Record<string, string> = {
  lang: "language",
  worker: "server",
  submitter: "client",
  time: "duration",
  c: "client",
  s: "server",
};

export function parseFilter(text: string, names: Names): Filter {
  const tests: Test[] = [];
  const problems: string[] = [];
  for (const term of text.match(/-?(?:[a-z]+:)?"[^"]*"?|\S+/gi) ?? []) {
    const turned = term.length > 1 && term.startsWith("-");
    const test = parseTerm(turned ? term.slice(1) : term);
    if (test === null) problems.push(term);
    else tests.push(turned ? (job, known) => !test(job, known) : test);
  }
  return {
    empty: tests.length === 0,
    problems,
    test: (job) => tests.every((test) => test(job, names)),
  };
}

function parseTerm(term: string): Test | null {
  const bare = /^([<>]=?)(.+)$/.exec(term);
  if (bare !== null) return numberTest(NUMBERS["duration"] as (job: JobRow) => number | null, term, true);
  const colon = term.indexOf(":");
  if (colon <= 0 || !/^[a-z]+$/i.test(term.slice(0, colon))) return wordTest(WORDS["file"] as never, term);
  const given = term.slice(0, colon).toLowerCase();
  const key = SHORT[given] ?? given;
  const value = term.slice(colon + 1);
  if (value === "") return () => true;
  const words = WORDS[key];
  if (words !== undefined) return wordTest(words, value);
  const exact = EXACT[key];
  if (exact !== undefined) {
    const wanted = value.toLowerCase().split(",");
    return (job) => wanted.some((one) => one !== "" && exact(job).startsWith(one));
  }
  const number = NUMBERS[key];
  if (number !== undefined) return numberTest(number, value, key === "duration" || key === "wait");
  return null;
}

function wordTest(read: (job: JobRow, names: Names) => string, value: string): Test {
  const wanted = value.replace(/"/g, "").toLowerCase().split(",").filter((one) => one !== "");
  return (job, names) => {
    const text = read(job, names).toLowerCase();
    return wanted.length === 0 || wanted.some((one) => text.includes(one));
  };
}

function numberTest(read: (job: JobRow) => number | null, value: string, isTime: boolean): Test | null {
  const match = /^(<=|>=|<|>|!|=)?(-?\d+(?:\.\d+)?)(ms|s|m|min)?$/.exec(value);
  if (match === null) return null;
  const unit = match[3];
  if (unit !== undefined && !isTime) return null;
  // A time without unit is in seconds.
  const factor = !isTime ? 1 : unit === "ms" ? 1 : unit === "m" || unit === "min" ? 60_000 : 1000;
  const limit = Number(match[2]) * factor;
  const compare: Record<string, (a: number) => boolean> = {
    "<": (a) => a < limit,
    "<=": (a) => a <= limit,
    ">": (a) => a > limit,
    ">=": (a) => a >= limit,
    "!": (a) => a !== limit,
    "=": (a) => a === limit,
  };
  const holds = compare[match[1] ?? "="] as (a: number) => boolean;
  return (job) => {
    const number = read(job);
    return number !== null && holds(number);
  };
}
