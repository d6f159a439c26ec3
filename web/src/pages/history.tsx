// The day, the month and the year: how much was used, how much went wrong, and which hosts carry it.

import { useEffect, useMemo, useRef } from "preact/hooks";
import { get } from "../live/api";
import { useAsked } from "../live/asked";
import { useLive } from "../live/live";
import { shownName } from "../live/names";
import { href, replaceQuery, type Route } from "../live/route";
import { onTheme, themeColour } from "../live/settings";
import { count, duration, percent } from "../logic/format";
import { mix } from "../logic/heat";
import type { History } from "../types";
import { Empty, Figure, KindTag, PageHead, Panel, Segmented } from "../ui/bits";
import { TimeChart } from "../ui/chart";

const SPANS = {
  day: { title: "24 hours", ms: 86_400_000, step: 300_000 },
  month: { title: "30 days", ms: 30 * 86_400_000, step: 3 * 3_600_000 },
  year: { title: "1 year", ms: 365 * 86_400_000, step: 86_400_000 },
} as const;
type Span = keyof typeof SPANS;

export function HistoryPage({ route }: { route: Route }) {
  useLive();
  const wanted = route.query.get("span") ?? "day";
  const span: Span = wanted in SPANS ? (wanted as Span) : "day";
  const { ms, step } = SPANS[span];
  const { value, problem } = useAsked(
    (signal) => {
      const to = Date.now();
      return get<History>(`history?from=${to - ms}&to=${to}&step=${step}`, signal);
    },
    60_000,
    [span],
  );
  return (
    <>
      <PageHead title="History">
        <Segmented
          label="Span"
          value={span}
          options={[
            ["day", SPANS.day.title],
            ["month", SPANS.month.title],
            ["year", SPANS.year.title],
          ] as const}
          onChange={(next) => {
            replaceQuery({ span: next });
            dispatchEvent(new HashChangeEvent("hashchange"));
          }}
        />
      </PageHead>
      {value === null || value.points.length === 0 ? (
        <Panel title="No history yet">
          <Empty>
            {problem ?? (value === null ? "Asking…" : "The server keeps no history, or has only just begun. It is kept in its state folder (gelato monitor --state-folder).")}
          </Empty>
        </Panel>
      ) : (
        <Charts history={value} span={span} />
      )}
    </>
  );
}

function Charts({ history, span }: { history: History; span: Span }) {
  const { points, step } = history;
  const at = useMemo(() => points.map((point) => point.at), [points]);
  const hours = step / 3_600_000;
  const column = <K extends keyof (typeof points)[number]>(key: K) => points.map((point) => point[key]);
  const use = useMemo(
    () => [
      { name: "Slots", colour: "ink-soft", values: column("slots"), dashed: true, stepped: true },
      { name: "Busy", colour: "accent", values: column("busy"), fill: true },
    ],
    [points],
  );
  const perHour = (value: number | null) => (value === null ? null : value / hours);
  const jobs = useMemo(
    () => [
      { name: "Remote", colour: "remote", values: column("remote").map(perHour), fill: true },
      { name: "Own machine", colour: "own", values: column("own").map(perHour) },
      { name: "Local", colour: "local", values: column("local").map(perHour) },
    ],
    [points],
  );
  const wrong = useMemo(
    () => [
      {
        name: "Failed or lost",
        colour: "bad",
        fill: true,
        values: points.map(({ remote, own, local, failed, lost }) => {
          const all = (remote ?? 0) + (own ?? 0) + (local ?? 0);
          return failed === null || all === 0 ? null : (100 * (failed + (lost ?? 0))) / all;
        }),
      },
    ],
    [points],
  );
  const queue = useMemo(() => [{ name: "Queued", colour: "own", values: column("queued"), fill: true }], [points]);
  const sum = (key: "remote" | "own" | "local" | "failed" | "lost") => points.reduce((all, point) => all + (point[key] ?? 0), 0);
  const done = sum("remote") + sum("own") + sum("local");
  const busy = points.reduce((all, { busy: value }) => all + (value ?? 0), 0);
  const slots = points.reduce((all, { slots: value }) => all + (value ?? 0), 0);
  const waits = points.map(({ wait_ms }) => wait_ms).filter((wait): wait is number => wait !== null && wait !== undefined);
  return (
    <>
      <dl class="figures">
        <Figure label={`Jobs in ${SPANS[span].title}`} value={count(done)} sub={`${count(sum("remote"))} remote`} />
        <Figure label="Utilisation" value={percent(slots > 0 ? (100 * busy) / slots : null)} sub="busy by slots" />
        <Figure label="Failed or lost" value={percent(done > 0 ? (100 * (sum("failed") + sum("lost"))) / done : null, 1)} />
        <Figure label="Mean wait" value={duration(waits.length > 0 ? waits.reduce((all, wait) => all + wait, 0) / waits.length : null)} />
      </dl>
      <Panel title="Slots in use">
        <TimeChart label="Slots in use" at={at} series={use} height={180} />
      </Panel>
      <div class="columns">
        <Panel title="Jobs an hour" class="span-4">
          <TimeChart label="Jobs an hour" at={at} series={jobs} height={150} />
          <ul class="legend">
            {(["remote", "own", "local"] as const).map((kind) => (
              <li key={kind}>
                <KindTag kind={kind} />
              </li>
            ))}
          </ul>
        </Panel>
        <Panel title="Failed or lost" class="span-4">
          <TimeChart label="Failed or lost jobs, in percent" at={at} series={wrong} height={150} unit={(value) => `${Math.round(value * 10) / 10} %`} />
        </Panel>
        <Panel title="Queue" class="span-4">
          <TimeChart label="Jobs that waited" at={at} series={queue} height={150} />
        </Panel>
      </div>
      <Heat history={history} />
    </>
  );
}

function Heat({ history }: { history: History }) {
  const hosts = history.hosts ?? [];
  if (hosts.length === 0) return null;
  const mean = (values: readonly (number | null)[]) => {
    const known = values.filter((value): value is number => value !== null);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
  };
  const rows = hosts.map((host) => ({ ...host, mean: mean(host.busy) })).sort((a, b) => (b.mean ?? -1) - (a.mean ?? -1));
  return (
    <Panel title="Use of each host" note="the stronger the fuller: who is always full is short of slots">
      <ul class="stack-tight">
        {rows.map(({ name, busy, mean: average }) => (
          <li key={name} class="heat">
            <a href={href("hosts", name)}>{shownName(name)}</a>
            <Strip values={busy} />
            <span class="end">{percent(average === null ? null : average * 100)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Strip({ values }: { values: readonly (number | null)[] }) {
  const element = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const draw = () => {
      const canvas = element.current;
      const context = canvas?.getContext("2d");
      if (canvas === null || context === null || context === undefined) return;
      canvas.width = Math.max(1, values.length);
      canvas.height = 1;
      const pale = themeColour("free");
      const full = themeColour("accent");
      values.forEach((value, at) => {
        if (value === null) return;
        context.fillStyle = mix(pale, full, value);
        context.fillRect(at, 0, 1, 1);
      });
    };
    draw();
    return onTheme(draw);
  }, [values]);
  return <canvas ref={element} aria-hidden="true" />;
}
