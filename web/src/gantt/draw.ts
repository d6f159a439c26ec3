// Draws the part of the timeline that can be seen. Bars that share a pixel are drawn once.

import { baseName, clockTime, minuteTime } from "../logic/format";
import { letter, shade } from "../logic/marks";
import { hostOf, shownFile, shownHost } from "../live/names";
import { settings, themeColour } from "../live/settings";
import { PHASE_COLOURS } from "../pages/job";
import { PHASES, type JobRow } from "../types";
import { barColour, type ColourBy } from "./colour";
import { firstJob, type Line, linesBetween, ticks, timeAt, type Window, xOf } from "./geometry";
import type { Lookup } from "./rows";

export const AXIS = 24;

export interface Theme {
  ground: string;
  track: string;
  line: string;
  ink: string;
  soft: string;
  bad: string;
  hatch: CanvasPattern | null;
}

export function readTheme(context: CanvasRenderingContext2D): Theme {
  const hatch = document.createElement("canvas");
  hatch.width = 8;
  hatch.height = 8;
  const pen = hatch.getContext("2d");
  if (pen !== null) {
    pen.strokeStyle = "rgb(255 255 255 / 45%)";
    pen.lineWidth = 2;
    for (const x of [-4, 4, 12]) {
      pen.beginPath();
      pen.moveTo(x - 4, 12);
      pen.lineTo(x + 8, 0);
      pen.stroke();
    }
  }
  return {
    ground: themeColour("surface"),
    track: themeColour("sunken"),
    line: themeColour("line"),
    ink: themeColour("ink"),
    soft: themeColour("ink-soft"),
    bad: themeColour("bad"),
    hatch: context.createPattern(hatch, "repeat"),
  };
}

export interface Scene {
  context: CanvasRenderingContext2D;
  theme: Theme;
  window: Window;
  lines: readonly Line[];
  lookup: Lookup;
  top: number;
  height: number;
  now: number;
  by: ColourBy;
  chosen: number | null;
}

export function draw(scene: Scene): void {
  const { context, theme, window, top, height } = scene;
  const whole = window.left + window.width;
  context.fillStyle = theme.ground;
  context.fillRect(0, 0, whole, height);
  const [from, to] = linesBetween(scene.lines, top, top + height - AXIS);
  context.textBaseline = "middle";
  const grid = ticks(window, 90);
  for (let at = from; at < to; at += 1) drawTrack(scene, scene.lines[at] as Line);
  context.strokeStyle = theme.line;
  context.lineWidth = 1;
  context.beginPath();
  for (const at of grid) {
    const x = Math.round(xOf(window, at)) + 0.5;
    context.moveTo(x, AXIS);
    context.lineTo(x, height);
  }
  context.stroke();
  context.save();
  context.beginPath();
  context.rect(window.left, AXIS, window.width, height - AXIS);
  context.clip();
  for (let at = from; at < to; at += 1) drawBars(scene, scene.lines[at] as Line);
  context.restore();
  for (let at = from; at < to; at += 1) drawLabel(scene, scene.lines[at] as Line);
  drawAxis(scene, grid, whole);
}

const yOf = (scene: Scene, line: Line): number => AXIS + line.y - scene.top;

function drawTrack(scene: Scene, line: Line): void {
  if (line.kind === "host") return;
  const { context, theme, window } = scene;
  context.fillStyle = theme.track;
  context.fillRect(window.left, yOf(scene, line) + 1, window.width, line.height - 2);
}

function drawLabel(scene: Scene, line: Line): void {
  const { context, theme, window } = scene;
  const y = yOf(scene, line);
  const middle = y + line.height / 2;
  if (line.kind === "host") {
    const host = hostOf(line.host);
    if (host === undefined) return;
    const { fill, ink } = shade(host.mark);
    context.fillStyle = fill;
    context.beginPath();
    context.roundRect(12, middle - 7, 14, 14, 3);
    context.fill();
    context.fillStyle = ink;
    context.font = "600 10px ui-monospace, monospace";
    context.textAlign = "center";
    context.fillText(letter(host.mark), 19, middle + 0.5);
    context.textAlign = "left";
    context.fillStyle = theme.ink;
    context.font = "600 12px system-ui, sans-serif";
    context.fillText(shorten(shownHost(host.id), Math.floor((window.left - 32) / 7)), 32, middle);
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = theme.soft;
    context.fillText(`${host.running}/${host.slots}${host.left === null ? "" : "  gone"}`, window.left, middle);
  } else if (line.height >= 12) {
    context.fillStyle = theme.soft;
    context.font = "10px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText(line.kind === "local" ? "local" : String((line.row?.lane ?? 0) + 1), window.left - 8, middle);
    context.textAlign = "left";
  }
}

function drawBars(scene: Scene, line: Line): void {
  const { row } = line;
  if (row === null || row.jobs.length === 0) return;
  const { window, now, lookup } = scene;
  const oldest = window.end - window.span;
  let drawn = -1;
  for (let at = firstJob(row, oldest); at < row.jobs.length; at += 1) {
    const begun = row.begins[at] as number;
    if (begun > window.end) break;
    const job = lookup.job(row.jobs[at] as number);
    if (job === undefined) continue;
    const ended = job.ended ?? Math.max(now, begun);
    if (ended < oldest) continue;
    const a = xOf(window, begun);
    const b = xOf(window, ended);
    const left = Math.min(a, b);
    const right = Math.max(a, b);
    const pixel = Math.floor(right);
    if (pixel === drawn && right - left < 1) continue;
    drawn = pixel;
    drawBar(scene, line, job, left, right);
  }
}

function drawBar(scene: Scene, line: Line, job: JobRow, from: number, to: number): void {
  const { context, theme, window, by, now } = scene;
  const y = yOf(scene, line) + 1;
  const height = line.height - 2;
  const left = Math.max(from, window.left - 4);
  const width = Math.max(1, Math.min(to, window.left + window.width + 4) - left - (to - from > 3 ? 1 : 0));
  const { fill, ink } = barColour(job, by, now);
  context.globalAlpha = line.kind === "local" ? 0.62 : 1;
  if (by === "phase" && job.record !== null) drawPhases(context, job, from, to, y, height);
  else {
    context.fillStyle = fill;
    context.fillRect(left, y, width, height);
  }
  if (job.kind === "own" && width > 4 && theme.hatch !== null) {
    context.fillStyle = theme.hatch;
    context.fillRect(left, y, width, height);
  }
  context.globalAlpha = 1;
  if (job.state === "failed" || job.state === "lost") {
    context.fillStyle = theme.bad;
    context.fillRect(left, y + height - 3, width, 3);
  }
  if (scene.chosen === job.id) {
    context.strokeStyle = theme.ink;
    context.lineWidth = 2;
    context.strokeRect(left + 1, y + 1, Math.max(1, width - 2), height - 2);
  }
  if (width > 34 && height >= 13) {
    context.fillStyle = line.kind === "local" ? theme.ink : ink;
    context.font = "10.5px system-ui, sans-serif";
    const room = Math.floor((width - 8) / 5.6);
    const text = (by === "client" ? `${letter(hostOf(job.client)?.mark)} ` : "") + baseName(shownFile(job.file));
    context.fillText(shorten(text, room), left + 4, y + height / 2 + 0.5);
  }
}

function drawPhases(context: CanvasRenderingContext2D, job: JobRow, from: number, to: number, y: number, height: number): void {
  const parts = PHASES.map((name) => ({ name, ms: job.record?.phases[name] ?? 0 })).filter(({ name, ms }) => ms > 0 && name !== "wait" && name !== "slot");
  const all = parts.reduce((sum, { ms }) => sum + ms, 0);
  let x = from;
  for (const { name, ms } of parts) {
    const width = ((to - from) * ms) / Math.max(1, all);
    context.fillStyle = PHASE_COLOURS[name] ?? "#888888";
    context.fillRect(x, y, Math.max(0.5, width), height);
    x += width;
  }
}

function drawAxis(scene: Scene, grid: readonly number[], whole: number): void {
  const { context, theme, window } = scene;
  context.fillStyle = theme.ground;
  context.fillRect(0, 0, whole, AXIS);
  context.fillStyle = theme.line;
  context.fillRect(0, AXIS - 1, whole, 1);
  context.fillStyle = theme.soft;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  const { zone } = settings();
  for (const at of grid) {
    const x = xOf(window, at);
    if (x < window.left + 24 || x > whole - 24) continue;
    context.fillText(window.span > 1_200_000 ? minuteTime(at, zone) : clockTime(at, zone), x, AXIS / 2);
  }
  context.textAlign = "left";
}

function shorten(text: string, most: number): string {
  if (text.length <= most) return text;
  return most < 2 ? "" : `${text.slice(0, most - 1)}…`;
}

/** The job under a point, if there is one. */
export function jobAt(scene: Omit<Scene, "context" | "theme">, x: number, y: number): JobRow | null {
  const { window, lines, lookup, top, now } = scene;
  if (x < window.left || y < AXIS) return null;
  const [from] = linesBetween(lines, top + y - AXIS, Infinity);
  const line = lines[from];
  if (line === undefined || line.row === null || line.y > top + y - AXIS) return null;
  const slack = (window.span / window.width) * 2;
  const at = timeAt(window, x);
  const { row } = line;
  for (let index = firstJob(row, at - slack); index < row.jobs.length; index += 1) {
    if ((row.begins[index] as number) > at + slack) break;
    const job = lookup.job(row.jobs[index] as number);
    if (job !== undefined && (job.ended ?? now) >= at - slack) return job;
  }
  return null;
}
