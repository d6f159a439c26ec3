// The star: the scheduler in the middle, hosts around it, a halo for each job in its submitter's colour, and jobs on their way.
//
// Drawn only while somebody looks; with reduced motion only when something changed.

import { useEffect, useRef, useState } from "preact/hooks";
import { picture, serverNow, useLive } from "../live/live";
import { shownHost, shownName } from "../live/names";
import { go } from "../live/route";
import { onTheme, reducedMotion, remember, remembered, themeColour, useSettings } from "../live/settings";
import { bytes, count, decimal } from "../logic/format";
import { letter, shade } from "../logic/marks";
import { type Place, places } from "../star/layout";
import type { HostRow, JobRow } from "../types";
import { Empty, PageHead } from "../ui/bits";

interface Choice {
  perRing: number;
  short: boolean;
  platform: string;
}

interface Tip {
  host: HostRow;
  x: number;
  y: number;
}

export function StarPage() {
  useLive();
  useSettings();
  const [choice, setChoice] = useState<Choice>(() => ({ perRing: 25, short: true, platform: "", ...remembered("star", {}) }));
  const [tip, setTip] = useState<Tip | null>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const stage = useRef<Star | null>(null);
  const choose = (part: Partial<Choice>) => {
    const next = { ...choice, ...part };
    setChoice(next);
    remember("star", next);
  };
  useEffect(() => {
    if (canvas.current === null) return;
    const made = new Star(canvas.current, setTip);
    stage.current = made;
    return () => made.close();
  }, []);
  useEffect(() => stage.current?.choose(choice), [choice]);
  const platforms = [...new Set([...picture.hosts.values()].map(({ platform }) => platform))].sort();
  const hosts = shownHosts(choice);
  return (
    <>
      <PageHead title="Star" note={`${count(hosts.length)} hosts around the scheduler`}>
        <label class="labelled">
          Platform
          <select class="field" value={choice.platform} onChange={(event) => choose({ platform: event.currentTarget.value })}>
            <option value="">all</option>
            {platforms.map((platform) => (
              <option key={platform} value={platform}>
                {platform}
              </option>
            ))}
          </select>
        </label>
        <label class="labelled">
          Hosts in a ring
          <input
            class="field narrow"
            type="number"
            min={5}
            max={200}
            value={choice.perRing}
            onChange={(event) => choose({ perRing: Math.max(5, Math.min(200, Number(event.currentTarget.value) || 25)) })}
          />
        </label>
        <label class="labelled">
          <input type="checkbox" checked={choice.short} onChange={() => choose({ short: !choice.short })} /> short names
        </label>
      </PageHead>
      <div class="stage">
        <canvas ref={canvas} aria-hidden="true" />
        {hosts.length === 0 && <Empty>No daemon is logged in to this scheduler.</Empty>}
        {tip !== null && (
          <div class="stage-tip" style={{ left: `${tip.x}px`, top: `${tip.y}px` }} role="presentation">
            <b>{shownName(tip.host.name)}</b>
            <div>
              {tip.host.platform}, {count(tip.host.running)} of {count(tip.host.slots)} slots busy
            </div>
            <div>
              speed {decimal(tip.host.speed, 1)}, {count(tip.host.submitted)} jobs away, {count(tip.host.waiting)} waiting
            </div>
            <div class="faint">{bytes(traffic().get(tip.host.id) ?? 0)}/s</div>
          </div>
        )}
      </div>
      <table class="behind">
        <caption>Hosts</caption>
        <thead>
          <tr>
            <th scope="col">Host</th>
            <th scope="col">Running</th>
            <th scope="col">Slots</th>
            <th scope="col">Submitted</th>
          </tr>
        </thead>
        <tbody>
          {hosts.slice(0, 60).map((host) => (
            <tr key={host.id}>
              <th scope="row">{shownHost(host.id)}</th>
              <td>{host.running}</td>
              <td>{host.slots}</td>
              <td>{host.submitted}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

const shownHosts = ({ platform }: Choice): HostRow[] =>
  [...picture.hosts.values()].filter((host) => host.left === null && (platform === "" || host.platform === platform));

const TRAFFIC_MS = 10_000;

/** Bytes a second each host sent and received for jobs that ended lately. */
function traffic(): Map<number, number> {
  const found = new Map<number, number>();
  const since = serverNow() - TRAFFIC_MS;
  const jobs = [...picture.jobs.values()];
  for (let at = jobs.length - 1; at >= 0 && at > jobs.length - 5000; at -= 1) {
    const job = jobs[at] as JobRow;
    if (job.ended === null || job.ended < since || job.kind !== "remote") continue;
    const rate = ((job.in_compressed ?? 0) + (job.out_compressed ?? 0)) / (TRAFFIC_MS / 1000);
    for (const id of [job.client, job.server]) if (id !== null) found.set(id, (found.get(id) ?? 0) + rate);
  }
  return found;
}

class Star {
  private readonly context: CanvasRenderingContext2D;
  private choice: Choice = { perRing: 25, short: true, platform: "" };
  private hosts: HostRow[] = [];
  private at: Place[] = [];
  private running = new Map<number, JobRow[]>();
  private flows: { from: number; to: number; colour: string; phase: number }[] = [];
  private rates = new Map<number, number>();
  private version = -1;
  private width = 0;
  private height = 0;
  private frame = 0;
  private colours = { line: "", ink: "", soft: "", surface: "", accent: "" };
  private readonly endings: (() => void)[] = [];

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly tip: (tip: Tip | null) => void,
  ) {
    this.context = canvas.getContext("2d") as CanvasRenderingContext2D;
    const recolour = () => {
      this.colours = {
        line: themeColour("line-strong"),
        ink: themeColour("ink"),
        soft: themeColour("ink-soft"),
        surface: themeColour("surface"),
        accent: themeColour("accent"),
      };
      this.version = -1;
    };
    recolour();
    this.endings.push(onTheme(recolour));
    const observer = new ResizeObserver(() => this.resize());
    if (canvas.parentElement !== null) observer.observe(canvas.parentElement);
    this.endings.push(() => observer.disconnect());
    canvas.addEventListener("pointermove", (event) => this.hover(event.offsetX, event.offsetY));
    canvas.addEventListener("pointerleave", () => this.tip(null));
    canvas.addEventListener("click", (event) => {
      const found = this.under(event.offsetX, event.offsetY);
      if (found !== null) go("hosts", found.id);
    });
    this.resize();
    this.loop();
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    for (const end of this.endings) end();
  }

  choose(choice: Choice): void {
    this.choice = choice;
    this.version = -1;
  }

  private resize(): void {
    const parent = this.canvas.parentElement;
    if (parent === null) return;
    const scale = devicePixelRatio || 1;
    this.width = parent.clientWidth;
    this.height = parent.clientHeight;
    this.canvas.width = Math.round(this.width * scale);
    this.canvas.height = Math.round(this.height * scale);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.version = -1;
  }

  /** Frames do not come while the page is hidden, so it stops by itself. */
  private loop = (): void => {
    this.frame = requestAnimationFrame(this.loop);
    if (this.width === 0) return;
    const changed = this.version !== picture.version;
    if (changed) this.look();
    if (changed || (!reducedMotion() && this.flows.length > 0)) this.draw();
  };

  private look(): void {
    this.version = picture.version;
    this.hosts = shownHosts(this.choice);
    this.at = places(this.hosts.length, this.choice.perRing, this.width, this.height);
    this.rates = traffic();
    const index = new Map(this.hosts.map((host, at) => [host.id, at]));
    this.running = new Map();
    const flows = new Map<string, { from: number; to: number; colour: string; phase: number }>();
    for (const job of picture.live.values()) {
      if (job.state !== "running") continue;
      const host = job.server ?? job.client;
      if (host === null) continue;
      const known = this.running.get(host);
      if (known === undefined) this.running.set(host, [job]);
      else known.push(job);
      const from = index.get(job.client ?? -1);
      const to = index.get(job.server ?? -1);
      if (from === undefined || to === undefined || from === to) continue;
      const key = `${from} ${to}`;
      if (!flows.has(key)) flows.set(key, { from, to, colour: shade(this.hosts[from]?.mark).fill, phase: ((from * 7 + to * 13) % 10) / 10 });
    }
    this.flows = [...flows.values()];
  }

  private draw(): void {
    const { context, colours } = this;
    const [middleX, middleY] = [this.width / 2, this.height / 2];
    context.clearRect(0, 0, this.width, this.height);
    this.hosts.forEach((host, at) => {
      const place = this.at[at] as Place;
      const busy = (this.running.get(host.id)?.length ?? 0) > 0;
      if (!busy && host.submitted === 0 && host.waiting === 0) return;
      const rate = this.rates.get(host.id) ?? 0;
      context.strokeStyle = shade(host.mark).fill;
      context.globalAlpha = 0.75;
      context.lineWidth = Math.min(6, 1 + Math.log2(1 + rate / 100_000));
      context.setLineDash(busy ? [] : [4, 5]);
      context.beginPath();
      context.moveTo(middleX, middleY);
      context.lineTo(place.x, place.y);
      context.stroke();
    });
    context.setLineDash([]);
    context.globalAlpha = 1;
    this.drawFlows(middleX, middleY);
    this.hosts.forEach((host, at) => this.drawHost(host, this.at[at] as Place));
    context.fillStyle = colours.surface;
    context.strokeStyle = colours.accent;
    context.lineWidth = 2;
    context.beginPath();
    context.ellipse(middleX, middleY, 58, 24, 0, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    context.fillStyle = colours.ink;
    context.font = "600 12px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText("scheduler", middleX, middleY - 6);
    context.fillStyle = colours.soft;
    context.font = "11px system-ui, sans-serif";
    const { cluster } = picture;
    context.fillText(cluster === null ? "" : `${cluster.running}/${cluster.slots}`, middleX, middleY + 9);
  }

  /** Jobs on their way, bent towards the middle so that arcs of neighbours can be told apart. */
  private drawFlows(middleX: number, middleY: number): void {
    const { context } = this;
    const still = reducedMotion();
    const time = performance.now() / 1800;
    for (const { from, to, colour, phase } of this.flows.slice(0, 600)) {
      const [a, b] = [this.at[from] as Place, this.at[to] as Place];
      const [cx, cy] = [(a.x + b.x) / 4 + middleX / 2, (a.y + b.y) / 4 + middleY / 2];
      context.strokeStyle = colour;
      context.globalAlpha = 0.35;
      context.lineWidth = 1.2;
      context.beginPath();
      context.moveTo(a.x, a.y);
      context.quadraticCurveTo(cx, cy, b.x, b.y);
      context.stroke();
      context.globalAlpha = 1;
      if (still) continue;
      const t = (time + phase) % 1;
      const u = 1 - t;
      context.fillStyle = colour;
      context.beginPath();
      context.arc(u * u * a.x + 2 * u * t * cx + t * t * b.x, u * u * a.y + 2 * u * t * cy + t * t * b.y, 3, 0, 2 * Math.PI);
      context.fill();
    }
  }

  private drawHost(host: HostRow, place: Place): void {
    const { context, colours } = this;
    const { fill, ink } = shade(host.mark);
    const jobs = this.running.get(host.id) ?? [];
    const served = !host.no_remote && host.slots > 0;
    // One halo for each job, as long as there is room; further ones thicken the last.
    jobs.slice(0, 10).forEach((job, at) => {
      const client = picture.hosts.get(job.client ?? -1);
      context.strokeStyle = shade(client?.mark).fill;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(place.x, place.y, place.radius + 2.5 + at * 2.6, 0, 2 * Math.PI);
      context.stroke();
    });
    context.fillStyle = served ? fill : colours.surface;
    context.strokeStyle = fill;
    context.lineWidth = 1.5;
    context.setLineDash(served ? [] : [3, 3]);
    context.beginPath();
    context.arc(place.x, place.y, place.radius, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    context.setLineDash([]);
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = served ? ink : colours.ink;
    context.font = `600 ${Math.max(9, Math.min(13, place.radius))}px ui-monospace, monospace`;
    context.fillText(letter(host.mark), place.x, place.y + 0.5);
    if (place.radius < 8) return;
    const full = shownName(host.name);
    const name = this.choice.short ? (full.split(".")[0] ?? full) : full;
    context.font = `${served ? "" : "italic "}11px system-ui, sans-serif`;
    const text = served ? `${name} ${host.running}/${host.slots}` : name;
    const y = place.y + place.radius + 8 + Math.min(10, jobs.length) * 2.6 + 4;
    context.strokeStyle = colours.surface;
    context.lineWidth = 3;
    context.strokeText(text, place.x, y);
    context.fillStyle = colours.ink;
    context.fillText(text, place.x, y);
  }

  private under(x: number, y: number): HostRow | null {
    const at = this.at.findIndex((place) => Math.hypot(place.x - x, place.y - y) < place.radius + 8);
    return this.hosts[at] ?? null;
  }

  private hover(x: number, y: number): void {
    const host = this.under(x, y);
    this.canvas.style.cursor = host === null ? "" : "pointer";
    this.tip(host === null ? null : { host, x: Math.min(x + 14, this.width - 240), y: Math.min(y + 14, this.height - 100) });
  }
}
