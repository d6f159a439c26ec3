// The first look: is the farm at work, for whom, and what is wrong.

import { useEffect, useMemo, useState } from "preact/hooks";
import { list } from "../live/api";
import { picture, serverNow, useLive } from "../live/live";
import { hostOf, shownHost, shownText } from "../live/names";
import { href } from "../live/route";
import { age, count, duration, percent, plural } from "../logic/format";
import { letter, shade } from "../logic/marks";
import { shares } from "../logic/occupancy";
import type { ClusterRow, HostRow, SlotsRow } from "../types";
import { CopyButton, Empty, Figure, HostName, Mark, Meter, Missing, PageHead, Panel, Prose, Severity } from "../ui/bits";
import { TimeChart } from "../ui/chart";

export function Overview() {
  useLive();
  const { cluster } = picture;
  if (cluster === null) return null;
  return (
    <>
      <PageHead title="Overview" />
      <Figures cluster={cluster} />
      <Occupancy cluster={cluster} />
      <div class="columns">
        <div class="span-7 stack">
          <HostTiles />
          <WhyLocal />
        </div>
        <div class="span-5 stack">
          <AlertList />
          <SlotsPanel />
          <BuildsNow />
        </div>
      </div>
    </>
  );
}

function Figures({ cluster }: { cluster: ClusterRow }) {
  const { totals } = cluster;
  const all = totals.remote + totals.own + totals.local;
  const trouble = totals.failed + totals.lost;
  return (
    <dl class="figures">
      <Figure
        label="Busy slots"
        value={count(cluster.running)}
        unit={`of ${count(cluster.slots)}`}
        sub={`${count(cluster.running_here)} at the submitter's`}
      />
      <Figure label="Queued" value={count(cluster.queued)} unit={cluster.queued === 1 ? "job" : "jobs"} sub="wait for a worker" />
      <Figure
        label="Local"
        value={percent(cluster.local_percent)}
        sub={`${count(totals.own + totals.local)} of ${count(all)} jobs`}
      />
      <Figure label="Hosts" value={count(cluster.hosts)} sub={`${count(cluster.available)} take work, ${count(cluster.active)} at work`} />
      <Figure label="Done elsewhere" value={count(totals.remote)} unit={totals.remote === 1 ? "job" : "jobs"} sub="since watching began" />
      <Figure
        label="Failed or lost"
        value={count(trouble)}
        tone={totals.lost > 0 ? "warn" : undefined}
        sub={`${count(totals.lost)} lost, ${count(totals.cancelled)} cancelled`}
      />
    </dl>
  );
}

function Occupancy({ cluster }: { cluster: ClusterRow }) {
  const running = [...picture.live.values()].filter(({ state }) => state === "running");
  const { parts, whole, free } = shares(running, cluster.slots);
  const clients = [...new Set(parts.map(({ client }) => client))];
  const kinds = { remote: 0, own: 0, local: 0 };
  for (const part of parts) kinds[part.kind] += part.jobs;
  const strip = cluster.busy_strip;
  const end = Math.floor(cluster.now / 2000) * 2000;
  const at = useMemo(() => strip.map((_, index) => end - (strip.length - index) * 2000), [strip, end]);
  const series = useMemo(() => [{ name: "Busy", colour: "accent", values: strip, fill: true }], [strip]);
  return (
    <Panel title="Who uses the slots" note={`${count(cluster.running)} running, ${count(cluster.slots)} slots`}>
      <div class="occupancy" aria-hidden="true">
        {parts.map(({ client, kind, jobs }) => {
          const { fill, ink } = shade(hostOf(client)?.mark);
          return (
            <span
              key={`${client} ${kind}`}
              class={kind}
              title={`${shownHost(client)}: ${jobs} ${kind}`}
              style={{ width: `${(jobs / whole) * 100}%`, backgroundColor: fill, color: ink }}
            >
              {jobs / whole > 0.012 ? letter(hostOf(client)?.mark) : ""}
            </span>
          );
        })}
      </div>
      <ul class="legend" aria-label="Running jobs by submitter">
        {clients.slice(0, 12).map((client) => (
          <li key={client}>
            <Mark mark={hostOf(client)?.mark} />
            {shownHost(client)}{" "}
            <b>{parts.filter((part) => part.client === client).reduce((sum, { jobs }) => sum + jobs, 0)}</b>
          </li>
        ))}
        {clients.length > 12 && <li>and {clients.length - 12} more</li>}
        <li>
          <span class="swatch" /> remote <b>{kinds.remote}</b>
        </li>
        <li>
          <span class="swatch own" /> own machine <b>{kinds.own}</b>
        </li>
        <li>
          <span class="swatch local" /> local <b>{kinds.local}</b>
        </li>
        <li>
          <span class="swatch free" /> free <b>{free}</b>
        </li>
      </ul>
      <TimeChart label="Jobs running in the last five minutes" at={at} series={series} height={132} least={cluster.slots} />
    </Panel>
  );
}

const MOST_TILES = 24;

function HostTiles() {
  const here = [...picture.hosts.values()].filter((host) => host.left === null);
  const shown = [...here].sort((a, b) => b.slots - a.slots || a.id - b.id).slice(0, MOST_TILES);
  return (
    <Panel title="Hosts" actions={<a href="#/hosts">All {count(here.length)}</a>}>
      {here.length === 0 ? (
        <Empty>No daemon is logged in to this scheduler.</Empty>
      ) : (
        <div class="tiles">
          {shown.map((host) => (
            <Tile key={host.id} host={host} />
          ))}
        </div>
      )}
    </Panel>
  );
}

const MOST_CELLS = 24;

function Tile({ host }: { host: HostRow }) {
  const lanes = Math.min(MOST_CELLS, Math.max(host.slots, host.lanes.length));
  return (
    <a class="tile" href={href("hosts", host.id)}>
      <span class="tile-head">
        <HostName id={host.id} plain />
        <span class="faint">
          {host.running}/{host.slots}
        </span>
      </span>
      <span class="cells" aria-hidden="true">
        {Array.from({ length: lanes }, (_, lane) => {
          const job = picture.jobs.get(host.lanes[lane] ?? -1);
          if (job === undefined) return <span key={lane} />;
          const { fill, ink } = shade(hostOf(job.client)?.mark);
          return (
            <span key={lane} style={{ background: fill, color: ink }}>
              {letter(hostOf(job.client)?.mark)}
            </span>
          );
        })}
      </span>
    </a>
  );
}

function WhyLocal() {
  const reasons = [...picture.reasons].sort((a, b) => b.count - a.count);
  const all = reasons.reduce((sum, reason) => sum + reason.count, 0);
  return (
    <Panel title="Why jobs stay home" note={all > 0 ? plural(all, "job") : undefined} actions={<a href="#/why">All reasons</a>}>
      {reasons.length === 0 ? (
        picture.cluster?.has_records === false ? <Missing what="Reasons" /> : <Empty>No job stayed home so far.</Empty>
      ) : (
        <ul class="rows">
          {reasons.slice(0, 5).map((reason) => (
            <li key={reason.code} class="reason">
              <span class="words">
                <code>{reason.code}</code>
              </span>
              <Meter share={reason.count / all} tone="local" />
              <span class="count">{count(reason.count)}</span>
              <p>
                <Prose text={`${reason.explanation} ${reason.advice}`} />
              </p>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function AlertList() {
  const { alerts } = picture;
  return (
    <Panel title="Alerts" actions={<a href="#/alerts">All</a>}>
      {alerts.length === 0 ? (
        <Empty>Nothing to worry about.</Empty>
      ) : (
        <ul class="rows">
          {alerts.slice(0, 4).map((alert) => (
            <li key={alert.id} class="alert-row">
              <span>
                <Severity alert={alert} />
              </span>
              <span>{shownText(alert.text)}</span>
              <span class="faint">{age(serverNow() - alert.since)}</span>
              <p>{shownText(alert.advice)}</p>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

export function useSlots(): SlotsRow[] {
  const [rows, set] = useState<SlotsRow[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    const ask = () => {
      if (!document.hidden) list<SlotsRow>("slots", stop.signal).then(set, () => undefined);
    };
    ask();
    const timer = setInterval(ask, 5000);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, []);
  return rows;
}

function SlotsPanel() {
  const rows = useSlots();
  return (
    <Panel title="Jobs for make -j" note="usable slots now, and at best">
      {rows.length === 0 ? (
        <Empty>No host takes remote work.</Empty>
      ) : (
        <ul class="rows">
          {rows.map((row) => (
            <li key={row.platform} class="slots-row">
              <code class="big">-j{row.suggestion}</code>
              <span>
                {row.platform}
                <span class="faint">
                  {" "}
                  · now {count(row.now)}, at best {count(row.best)}
                </span>
              </span>
              <CopyButton text={`-j${row.suggestion}`} label={`Copy -j${row.suggestion} for ${row.platform}`} />
              <ul>
                {row.reasoning.map((line) => (
                  <li key={line}>{shownText(line)}</li>
                ))}
              </ul>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function BuildsNow() {
  const builds = [...picture.builds.values()].sort((a, b) => Number(b.open) - Number(a.open) || b.last - a.last).slice(0, 4);
  return (
    <Panel title="Builds" actions={<a href="#/builds">All</a>}>
      {builds.length === 0 ? (
        <Empty>No build has been seen.</Empty>
      ) : (
        <ul class="rows">
          {builds.map((build) => (
            <li key={build.id} class="slots-row">
              <HostName id={build.client} />
              <a href={href("builds", build.key ?? build.id)}>
                {plural(build.jobs, "job")}
                {build.open ? `, ${count(build.running)} running` : ""}
              </a>
              <span class="faint">
                {duration(build.wall_ms)}
                {build.speed_up === null ? "" : ` · ${build.speed_up.toFixed(1)}× faster than one slot`}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
