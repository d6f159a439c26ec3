// What the colour of a bar means.

import { hostOf } from "../live/names";
import { SHADES, inkOn, shade } from "../logic/marks";
import type { JobRow } from "../types";
import { PHASE_COLOURS } from "../pages/job";

export type ColourBy = "client" | "language" | "duration" | "exit" | "kind" | "phase";

export const COLOUR_BY: readonly (readonly [ColourBy, string])[] = [
  ["client", "Client"],
  ["language", "Language"],
  ["duration", "Duration"],
  ["exit", "Exit"],
  ["kind", "Kind"],
  ["phase", "Phases"],
];

const LANGUAGES: Record<string, number> = { c: 0, "c++": 1, "objective-c": 2, "objective-c++": 3 };
const KINDS: Record<string, number> = { remote: 0, own: 1, local: 5 };
const SLOWNESS: [number, string, string][] = [
  [500, "#c6e7dd", "< 0.5 s"],
  [2000, "#83d3bf", "< 2 s"],
  [8000, "#2a9d84", "< 8 s"],
  [30_000, "#e0913a", "< 30 s"],
  [Infinity, "#cf5a49", "longer"],
];
const EXITS: [string, string][] = [
  ["#83d3bf", "done or running"],
  ["#cf5a49", "failed"],
  ["#7a6fd0", "lost"],
];

const inks = new Map<string, string>();

export function barColour(job: JobRow, by: ColourBy, now: number): { fill: string; ink: string } {
  switch (by) {
    case "client":
      return shade(hostOf(job.client)?.mark);
    case "language":
      return shade(LANGUAGES[job.record?.language ?? job.language ?? ""] ?? null);
    case "kind":
      return shade(KINDS[job.kind] ?? null);
    case "duration": {
      const took = job.duration_ms ?? now - (job.begun ?? now);
      return withInk(SLOWNESS.find(([limit]) => took < limit)?.[1] ?? "#cf5a49");
    }
    case "exit":
      return withInk(EXITS[job.state === "lost" ? 2 : job.state === "failed" ? 1 : 0]?.[0] ?? "#888888");
    case "phase":
      return withInk(PHASE_COLOURS["compile"] ?? "#888888");
  }
}

function withInk(fill: string): { fill: string; ink: string } {
  let ink = inks.get(fill);
  if (ink === undefined) {
    ink = inkOn(fill);
    inks.set(fill, ink);
  }
  return { fill, ink };
}

/** What the colours say, if they say something that is not a host. */
export function legend(by: ColourBy): [string, string][] {
  switch (by) {
    case "client":
      return [];
    case "language":
      return [...Object.entries(LANGUAGES).map(([name, at]): [string, string] => [SHADES[at]?.fill ?? "", name]), ["#8a8f98", "other"]];
    case "kind":
      return Object.entries(KINDS).map(([name, at]): [string, string] => [SHADES[at]?.fill ?? "", name]);
    case "duration":
      return SLOWNESS.map(([, fill, name]): [string, string] => [fill, name]);
    case "exit":
      return EXITS;
    case "phase":
      return ["wait", "preprocess", "send", "compile", "receive", "local"].map((name): [string, string] => [PHASE_COLOURS[name] ?? "", name]);
  }
}
