// Where things are in the timeline. Pure: time and rows in, pixels out, and back.

import type { Row } from "./rows";

export interface Window {
  /** The time at the newest edge. */
  end: number;
  /** Milliseconds from edge to edge. */
  span: number;
  /** Pixels from edge to edge, beginning at `left`. */
  width: number;
  left: number;
  newestLeft: boolean;
}

export const SHORTEST = 2_000;
export const LONGEST = 24 * 3_600_000;

export function xOf(window: Window, at: number): number {
  const share = (window.end - at) / window.span;
  return window.left + (window.newestLeft ? share : 1 - share) * window.width;
}

export function timeAt(window: Window, x: number): number {
  const share = (x - window.left) / window.width;
  return window.end - (window.newestLeft ? share : 1 - share) * window.span;
}

/** Zooms by `factor` (above 1 shows more time) so that the time under `x` stays where it is. */
export function zoomed(window: Window, factor: number, x: number): Window {
  const span = Math.max(SHORTEST, Math.min(LONGEST, window.span * factor));
  const at = timeAt(window, x);
  const end = at + ((window.end - at) * span) / window.span;
  return { ...window, span, end };
}

export function panned(window: Window, pixels: number): Window {
  const ms = (pixels / window.width) * window.span;
  return { ...window, end: window.end + (window.newestLeft ? ms : -ms) };
}

export interface Line {
  kind: "host" | "slot" | "local";
  host: number;
  y: number;
  height: number;
  row: Row | null;
}

export interface Sizes {
  head: number;
  row: number;
  /** A slot that was never used. */
  idle: number;
  gap: number;
}

/** One line for each host's name, one for each of its rows, from the top. */
export function layOut(hosts: { id: number; slots: Row[]; locals: Row[] }[], sizes: Sizes): { lines: Line[]; height: number } {
  const lines: Line[] = [];
  let y = 0;
  for (const { id, slots, locals } of hosts) {
    lines.push({ kind: "host", host: id, y, height: sizes.head, row: null });
    y += sizes.head;
    for (const row of slots) {
      const height = row.jobs.length === 0 ? sizes.idle : sizes.row;
      lines.push({ kind: "slot", host: id, y, height, row });
      y += height;
    }
    for (const row of locals) {
      lines.push({ kind: "local", host: id, y, height: sizes.row, row });
      y += sizes.row;
    }
    y += sizes.gap;
  }
  return { lines, height: y };
}

/** Lines between two heights, `[from, to)`. */
export function linesBetween(lines: readonly Line[], top: number, bottom: number): [number, number] {
  return [firstWhere(lines.length, (at) => (lines[at] as Line).y + (lines[at] as Line).height > top), firstWhere(lines.length, (at) => (lines[at] as Line).y >= bottom)];
}

/** The first job of a row that can reach into times after `from`: one before the first that begins later. */
export function firstJob(row: Row, from: number): number {
  return Math.max(0, firstWhere(row.begins.length, (at) => (row.begins[at] as number) >= from) - 1);
}

function firstWhere(length: number, test: (at: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (test(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

const STEPS = [100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3, 21600e3];

/** Times for the axis, far enough apart to be read. */
export function ticks(window: Window, apart: number): number[] {
  const least = (window.span / window.width) * apart;
  const step = STEPS.find((one) => one >= least) ?? 43_200_000;
  const found: number[] = [];
  for (let at = Math.ceil((window.end - window.span) / step) * step; at <= window.end; at += step) found.push(at);
  return found;
}
