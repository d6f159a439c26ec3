// The timeline: a row for each slot of each host, a bar for each job. Follows the present until one looks back.

import { useEffect, useRef, useState } from "preact/hooks";
import { COLOUR_BY, type ColourBy, legend } from "../gantt/colour";
import { AXIS, draw, jobAt, readTheme, type Theme } from "../gantt/draw";
import { layOut, type Line, panned, type Window, zoomed } from "../gantt/geometry";
import { Rows } from "../gantt/rows";
import { isPaused, picture, serverNow, setPaused, useLive } from "../live/live";
import { shownFile, shownHost } from "../live/names";
import { go, type Route } from "../live/route";
import { onTheme, reducedMotion, remember, remembered, settings, useSettings } from "../live/settings";
import { age, duration } from "../logic/format";
import type { JobRow } from "../types";
import { PageHead, Segmented } from "../ui/bits";
import { Icon } from "../ui/icons";
import { JobDrawer } from "./job";
import { lasts } from "./jobs";

const SIZES = { head: 24, row: 17, idle: 6, gap: 6 };
const LABELS = 150;
const NARROW_LABELS = 84;

interface View {
  end: number;
  span: number;
  follow: boolean;
}

interface Tip {
  job: JobRow;
  x: number;
  y: number;
}

export function Timeline({ route }: { route: Route }) {
  useLive();
  const { newestLeft } = useSettings();
  const [by, setBy] = useState<ColourBy>(() => remembered<ColourBy>("gantt.by", "client"));
  const [onlyBusy, setOnlyBusy] = useState(() => remembered("gantt.busy", false));
  const [wanted, setWanted] = useState("");
  const [tip, setTip] = useState<Tip | null>(null);
  const [shown, setShown] = useState<View>({ end: 0, span: 60_000, follow: true });
  const stage = useRef<Stage | null>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const spacer = useRef<HTMLDivElement>(null);
  const chosen = route.id === null ? null : Number(route.id);

  useEffect(() => {
    if (scroller.current === null || canvas.current === null || spacer.current === null) return;
    const made = new Stage(scroller.current, canvas.current, spacer.current, setTip, setShown);
    stage.current = made;
    return () => made.close();
  }, []);
  useEffect(() => {
    stage.current?.choose({ by, onlyBusy, wanted: wanted.toLowerCase(), chosen, newestLeft });
  }, [by, onlyBusy, wanted, chosen, newestLeft]);

  const running = [...picture.live.values()].filter(({ state }) => state === "running");
  const back = shown.follow ? 0 : serverNow() - shown.end;
  const paused = isPaused();
  return (
    <>
      <PageHead
        title="Timeline"
        note={`${duration(shown.span).replace(/\.\d+/, "").replace(" 00 s", "")} ${shown.follow ? "up to now" : `up to ${age(back)} ago`}`}
      >
        <Segmented
          label="Colour by"
          value={by}
          options={COLOUR_BY}
          onChange={(next) => {
            setBy(next);
            remember("gantt.by", next);
          }}
        />
        <span class="tags">
          <button type="button" class="button" aria-label="Show more time" title="Show more time (−)" onClick={() => stage.current?.zoom(1.6)}>
            <Icon name="minus" size={14} />
          </button>
          <button type="button" class="button" aria-label="Show less time" title="Show less time (+)" onClick={() => stage.current?.zoom(1 / 1.6)}>
            <Icon name="plus" size={14} />
          </button>
          <button type="button" class="button" aria-pressed={shown.follow} title="Follow the present (f)" onClick={() => stage.current?.follow(!shown.follow)}>
            Follow
          </button>
          <button type="button" class="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
            {paused ? "Go on" : "Pause"}
          </button>
        </span>
      </PageHead>
      <div class="table-tools flat">
        <input
          class="field"
          type="search"
          data-filter
          aria-label="Filter hosts"
          placeholder="Hosts"
          value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)}
        />
        <label class="labelled">
          <input
            type="checkbox"
            checked={onlyBusy}
            onChange={() => {
              setOnlyBusy(!onlyBusy);
              remember("gantt.busy", !onlyBusy);
            }}
          />
          only hosts at work
        </label>
        <ul class="legend inline">
          {legend(by).map(([fill, name]) => (
            <li key={name}>
              <span class="swatch" style={{ backgroundColor: fill }} />
              {name}
            </li>
          ))}
          {by !== "phase" && (
            <li>
              <span class="swatch own" /> own machine
            </li>
          )}
        </ul>
      </div>
      <div class="split">
        <div class="stage">
          <div
            ref={scroller}
            class="stage-scroll"
            tabIndex={0}
            role="region"
            aria-label="Timeline. Plus and minus zoom, left and right go back and forth, f follows the present."
            onKeyDown={(event) => {
              if (stage.current?.key(event.key) === true) event.preventDefault();
            }}
          >
            <div ref={spacer}>
              <canvas ref={canvas} aria-hidden="true" />
            </div>
          </div>
          {tip !== null && <TipBox tip={tip} />}
        </div>
        {chosen !== null && <JobDrawer id={chosen} onClose={() => go("gantt")} />}
      </div>
      <table class="behind">
        <caption>Jobs that run now</caption>
        <thead>
          <tr>
            <th scope="col">Host</th>
            <th scope="col">File</th>
            <th scope="col">From</th>
            <th scope="col">For</th>
          </tr>
        </thead>
        <tbody>
          {running.slice(0, 40).map((job) => (
            <tr key={job.id}>
              <th scope="row">{shownHost(job.server ?? job.client)}</th>
              <td>{shownFile(job.file)}</td>
              <td>{shownHost(job.client)}</td>
              <td>{duration(lasts(job, serverNow()))}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function TipBox({ tip }: { tip: Tip }) {
  const { job } = tip;
  const phases = Object.entries(job.record?.phases ?? {}).filter(([, ms]) => ms > 0);
  return (
    <div class="stage-tip" style={{ left: `${tip.x}px`, top: `${tip.y}px` }} role="presentation">
      <b>{shownFile(job.file)}</b>
      <div>
        {shownHost(job.client)} → {shownHost(job.server ?? job.client)} ({job.kind})
      </div>
      <div>
        {job.state}, {duration(lasts(job, serverNow()))}
        {job.exit !== null && job.exit !== 0 ? `, exit ${job.exit}` : ""}, waited {duration(job.wait_ms)}
      </div>
      {phases.length > 0 && <div class="faint">{phases.map(([name, ms]) => `${name} ${duration(ms)}`).join(", ")}</div>}
      {job.record?.reason !== null && job.record?.reason !== undefined && <div class="faint">{job.record.reason}</div>}
    </div>
  );
}

interface Choice {
  by: ColourBy;
  onlyBusy: boolean;
  wanted: string;
  chosen: number | null;
  newestLeft: boolean;
}

/** The canvas and what moves it, outside of the components: it is drawn up to sixty times a second. */
class Stage {
  private readonly rows = new Rows({ job: (id) => picture.jobs.get(id) });
  private readonly context: CanvasRenderingContext2D;
  private theme: Theme;
  private choice: Choice = { by: "client", onlyBusy: false, wanted: "", chosen: null, newestLeft: settings().newestLeft };
  private view: View = { end: serverNow(), span: remembered("gantt.span", 60_000), follow: true };
  private lines: readonly Line[] = [];
  private laidOut = "";
  private width = 0;
  private height = 0;
  private drawn = "";
  private frame = 0;
  private lastFrame = 0;
  private drag: { x: number; end: number; moved: boolean } | null = null;
  private readonly endings: (() => void)[] = [];

  constructor(
    private readonly scroller: HTMLDivElement,
    private readonly canvas: HTMLCanvasElement,
    private readonly spacer: HTMLDivElement,
    private readonly tip: (tip: Tip | null) => void,
    private readonly shown: (view: View) => void,
  ) {
    this.context = canvas.getContext("2d") as CanvasRenderingContext2D;
    this.theme = readTheme(this.context);
    this.rows.add(picture.jobs.values());
    const watcher = (jobs: Iterable<JobRow>, anew: boolean) => {
      if (anew) this.rows.clear();
      else this.rows.trim();
      this.rows.add(jobs);
      this.drawn = "";
    };
    picture.watchers.add(watcher);
    this.endings.push(() => picture.watchers.delete(watcher));
    this.endings.push(
      onTheme(() => {
        this.theme = readTheme(this.context);
        this.drawn = "";
      }),
    );
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(scroller);
    this.endings.push(() => observer.disconnect());
    this.listen();
    this.resize();
    this.loop();
    this.tell();
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    for (const end of this.endings) end();
  }

  choose(choice: Choice): void {
    this.choice = choice;
    this.laidOut = "";
    this.drawn = "";
  }

  follow(follow: boolean): void {
    this.view = { ...this.view, follow, end: serverNow() };
    this.tell();
  }

  zoom(factor: number, x?: number): void {
    const window = this.window();
    // While following, the present stays at its edge.
    const at = this.view.follow || x === undefined ? (window.newestLeft ? window.left : window.left + window.width) : x;
    const next = zoomed(window, factor, at);
    this.view = { ...this.view, span: next.span, end: next.end };
    remember("gantt.span", next.span);
    this.tell();
  }

  pan(pixels: number): void {
    const next = panned(this.window(), pixels);
    const now = serverNow();
    this.view = { ...this.view, end: Math.min(now, next.end), follow: next.end >= now };
    this.tell();
  }

  key(key: string): boolean {
    const step = this.window().width / 8;
    if (key === "+" || key === "=") this.zoom(1 / 1.6);
    else if (key === "-") this.zoom(1.6);
    else if (key === "ArrowLeft") this.pan(step);
    else if (key === "ArrowRight") this.pan(-step);
    else if (key === "f") this.follow(true);
    else return false;
    return true;
  }

  private tell(): void {
    this.drawn = "";
    this.shown(this.view);
  }

  private window(): Window {
    const left = this.width < 560 ? NARROW_LABELS : LABELS;
    return {
      end: this.view.follow ? serverNow() : this.view.end,
      span: this.view.span,
      left,
      width: Math.max(10, this.width - left),
      newestLeft: this.choice.newestLeft,
    };
  }

  private resize(): void {
    const scale = devicePixelRatio || 1;
    this.width = this.scroller.clientWidth;
    this.height = this.scroller.clientHeight;
    this.canvas.width = Math.round(this.width * scale);
    this.canvas.height = Math.round(this.height * scale);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.laidOut = "";
    this.drawn = "";
  }

  private layOut(): void {
    const { onlyBusy, wanted } = this.choice;
    const key = `${this.rows.version} ${picture.version}`;
    if (key === this.laidOut) return;
    this.laidOut = key;
    const hosts = [...picture.hosts.values()]
      .filter((host) => (host.left === null || host.running > 0) && (!onlyBusy || host.running > 0) && host.name.toLowerCase().includes(wanted))
      .map((host) => ({ id: host.id, ...this.rows.of(host) }))
      .filter(({ slots, locals }) => slots.length + locals.length > 0);
    const { lines, height } = layOut(hosts, SIZES);
    this.lines = lines;
    this.spacer.style.height = `${Math.max(this.height, height + AXIS)}px`;
  }

  private loop = (): void => {
    this.frame = requestAnimationFrame(this.loop);
    if (this.width === 0) return;
    const time = performance.now();
    if (reducedMotion() && this.drawn !== "" && time - this.lastFrame < 1000) return;
    this.layOut();
    const window = this.window();
    // Half a pixel is the least that is seen to move.
    const step = (window.span / window.width) * 0.5;
    const key = `${Math.round(window.end / step)} ${window.span} ${this.scroller.scrollTop} ${picture.version} ${this.choice.by}`;
    if (key === this.drawn) return;
    this.drawn = key;
    this.lastFrame = time;
    draw({ context: this.context, theme: this.theme, ...this.scene(window) });
  };

  private scene(window: Window) {
    return {
      window,
      lines: this.lines,
      lookup: { job: (id: number) => picture.jobs.get(id) },
      top: this.scroller.scrollTop,
      height: this.height,
      now: serverNow(),
      by: this.choice.by,
      chosen: this.choice.chosen,
    };
  }

  private listen(): void {
    const on = <K extends keyof HTMLElementEventMap>(name: K, listener: (event: HTMLElementEventMap[K]) => void, options?: AddEventListenerOptions) => {
      this.canvas.addEventListener(name, listener as EventListener, options);
    };
    on(
      "wheel",
      (event) => {
        const overflows = this.spacer.clientHeight > this.height + 1;
        if (event.ctrlKey || event.metaKey || (!overflows && Math.abs(event.deltaY) > Math.abs(event.deltaX))) {
          event.preventDefault();
          this.zoom(Math.exp(event.deltaY * 0.002), event.offsetX);
        } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
          event.preventDefault();
          this.pan(-(event.deltaX || event.deltaY));
        }
      },
      { passive: false },
    );
    on("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.drag = { x: event.clientX, end: this.window().end, moved: false };
      this.canvas.setPointerCapture(event.pointerId);
    });
    on("pointermove", (event) => {
      if (this.drag === null) {
        this.hover(event.offsetX, event.offsetY);
        return;
      }
      const moved = event.clientX - this.drag.x;
      if (!this.drag.moved && Math.abs(moved) < 4) return;
      this.drag.moved = true;
      this.tip(null);
      this.view = { ...this.view, follow: false, end: this.drag.end };
      this.pan(moved);
    });
    on("pointerup", (event) => {
      const wasDrag = this.drag?.moved === true;
      this.drag = null;
      if (wasDrag) return;
      const job = jobAt(this.scene(this.window()), event.offsetX, event.offsetY);
      if (job !== null) go("gantt", job.id);
    });
    on("pointercancel", () => {
      this.drag = null;
    });
    on("pointerleave", () => this.tip(null));
  }

  private hover(x: number, y: number): void {
    const job = jobAt(this.scene(this.window()), x, y);
    this.canvas.style.cursor = job === null ? "" : "pointer";
    if (job === null) {
      this.tip(null);
      return;
    }
    this.tip({ job, x: Math.max(4, Math.min(x + 14, this.width - 260)), y: Math.min(y + 16, this.height - 110) });
  }
}

