// Builds: the list, and one build with what bounded it.

import { useMemo } from "preact/hooks";
import { get } from "../live/api";
import { useAsked } from "../live/asked";
import { picture, useLive } from "../live/live";
import { shownFile, shownName, shownText, shownUser, trueHost } from "../live/names";
import { go, href } from "../live/route";
import { settings } from "../live/settings";
import { bytes, clockTime, count, decimal, duration, fullTime, percent, plural } from "../logic/format";
import { PHASES, type BuildRow, type Evidence, type JobRow, type PastBuild } from "../types";
import { Empty, Facts, Figure, HostName, Meter, Missing, PageHead, Panel, Prose, StateTag } from "../ui/bits";
import { TimeChart } from "../ui/chart";
import { Icon } from "../ui/icons";
import { type Column, DataTable } from "../ui/table";
import { ExportLinks } from "./export";
import { PHASE_COLOURS } from "./job";

const BOUNDS: Record<string, string> = {
  "submitter-cpu": "the submitter's processors",
  network: "the network",
  slots: "too few slots",
  stragglers: "stragglers",
  "critical-path": "the longest chain",
  links: "links",
  nothing: "nothing in particular",
};

const title = (build: BuildRow): string => (settings().anonymise ? `build ${build.id}` : (build.key ?? `build ${build.id}`));

const COLUMNS: readonly Column<BuildRow>[] = [
  { key: "begun", title: "Begun", width: 6, value: (build) => build.begun, cell: (build) => clockTime(build.begun, settings().zone) },
  { key: "key", title: "Build", value: (build) => build.key ?? String(build.id), cell: (build) => <span title={build.guessed ? "guessed from submitter and pauses" : ""}>{title(build)}</span> },
  { key: "client", title: "Submitter", width: 10, value: (build) => trueHost(build.client), cell: (build) => <HostName id={build.client} plain /> },
  { key: "open", title: "State", width: 7, value: (build) => build.open, cell: (build) => (build.open ? <span class="state running">▶ {count(build.running)} running</span> : <StateTag state={build.failed > 0 ? "failed" : "finished"} />) },
  { key: "jobs", title: "Jobs", width: 5, end: true, value: (build) => build.jobs, cell: (build) => count(build.jobs) },
  { key: "files", title: "Files", width: 5, end: true, value: (build) => build.files, cell: (build) => count(build.files) },
  { key: "wall", title: "Took", width: 7, end: true, value: (build) => build.wall_ms, cell: (build) => duration(build.wall_ms) },
  { key: "serial", title: "One by one", width: 7, end: true, hint: "Sum of the compilations' times", value: (build) => build.serial_ms, cell: (build) => duration(build.serial_ms) },
  { key: "speed", title: "Speed-up", width: 6, end: true, value: (build) => build.speed_up, cell: (build) => (build.speed_up === null ? "–" : `${decimal(build.speed_up, 1)}×`) },
  { key: "remote", title: "Remote", width: 6, end: true, value: (build) => build.remote_percent, cell: (build) => percent(build.remote_percent) },
  { key: "failed", title: "Failed", width: 5, end: true, value: (build) => build.failed },
  { key: "sent", title: "Sent", width: 6, end: true, value: (build) => build.sent, cell: (build) => bytes(build.sent) },
  { key: "bound", title: "Bounded by", width: 11, value: (build) => build.verdict?.bound ?? null, cell: (build) => (build.verdict === null ? "" : (BOUNDS[build.verdict.bound] ?? build.verdict.bound)) },
];

export function Builds() {
  useLive();
  const rows = [...picture.builds.values()];
  return (
    <>
      <PageHead title="Builds">
        <ExportLinks table="builds" />
      </PageHead>
      <DataTable
        name="builds"
        label="Builds"
        columns={COLUMNS}
        rows={rows}
        rowKey={(build) => build.id}
        sort={{ key: "begun", down: true }}
        onOpen={(build) => go("builds", build.key ?? build.id)}
        empty="No build has been seen."
      />
      <Earlier known={rows} />
    </>
  );
}

const EARLIER: readonly Column<PastBuild>[] = [
  { ...(COLUMNS[0] as Column<BuildRow>), width: 13, cell: (build) => fullTime(build.begun, settings().zone) },
  { key: "key", title: "Build", value: (build) => build.key ?? "", cell: (build) => (settings().anonymise ? "" : (build.key ?? "guessed")) },
  { key: "client", title: "Submitter", width: 10, value: (build) => build.client_name, cell: (build) => shownName(build.client_name) },
  ...COLUMNS.filter(({ key }) => !["begun", "key", "client", "open"].includes(key)),
];

/** What the history keeps of builds that are not remembered any more. */
function Earlier({ known }: { known: BuildRow[] }) {
  const { value } = useAsked((signal) => get<{ builds: PastBuild[] }>("history/builds", signal), 30_000);
  const builds = (value?.builds ?? []).filter((build) => !known.some((one) => one.key === build.key && one.begun === build.begun));
  if (builds.length === 0) return null;
  return (
    <>
      <h2>Earlier</h2>
      <DataTable
        name="builds-past"
        label="Earlier builds"
        columns={EARLIER}
        rows={builds}
        rowKey={(build) => `${build.client_name} ${build.begun} ${build.key ?? ""}`}
        sort={{ key: "begun", down: true }}
        empty=""
      />
    </>
  );
}

export function Build({ id }: { id: string }) {
  useLive();
  const known = [...picture.builds.values()].find((build) => String(build.id) === id || build.key === id);
  const path = `builds/${encodeURIComponent(id)}`;
  const asked = useAsked((signal) => get<{ build?: BuildRow; jobs?: JobRow[] }>(path, signal), known?.open === true ? 3000 : 20_000, [id, known?.open]);
  const build = known ?? asked.value?.build;
  if (build === undefined) return <Empty>{asked.problem ?? "Asking…"}</Empty>;
  const jobs = asked.value?.jobs ?? [];
  const number = encodeURIComponent(String(build.id));
  return (
    <>
      <PageHead
        title={title(build)}
        note={
          <>
            <HostName id={build.client} /> {build.user === null ? "" : `user ${shownUser(build.user)}, `}
            {fullTime(build.begun, settings().zone)}
            {build.guessed ? ", put together from submitter and pauses" : ""}
          </>
        }
      >
        <a class="button" href={`api/v1/builds/${number}/trace.json`} download={`gelato-build-${build.id}.json`} title="Open it in ui.perfetto.dev or chrome://tracing">
          <Icon name="external" size={13} /> Trace for Perfetto
        </a>
        <a class="button quiet" href={`api/v1/builds/${number}`} download={`gelato-build-${build.id}-rows.json`}>
          <Icon name="external" size={13} /> JSON
        </a>
        <a class="button quiet" href={`api/v1/export/jobs.csv?build=${number}`} download={`gelato-build-${build.id}.csv`}>
          <Icon name="external" size={13} /> CSV
        </a>
      </PageHead>
      <dl class="figures">
        <Figure label={build.open ? "Running for" : "Took"} value={duration(build.wall_ms)} sub={build.estimate_ms === null ? `${duration(build.serial_ms)} one by one` : `about ${duration(build.estimate_ms)} more, judged by the last`} />
        <Figure label="Speed-up" value={build.speed_up === null ? "–" : `${decimal(build.speed_up, 1)}×`} sub="over one after the other" />
        <Figure label="Jobs" value={count(build.jobs)} sub={`${count(build.files)} files, ${count(build.running)} running`} />
        <Figure label="Remote" value={percent(build.remote_percent)} sub={`${count(build.remote)} remote, ${count(build.own)} own, ${count(build.local)} local`} />
        <Figure label="Failed" value={count(build.failed + build.lost)} tone={build.failed + build.lost > 0 ? "bad" : undefined} sub={`${count(build.failed_over)} failed over, ${count(build.refused)} refused`} />
        <Figure label="Sent" value={bytes(build.sent)} sub={`${bytes(build.received)} received`} />
      </dl>
      <VerdictPanel build={build} />
      <Curve build={build} />
      <div class="columns">
        <div class="span-6 stack">
          <Reasons build={build} />
          <Parts jobs={jobs} />
        </div>
        <div class="span-6 stack">
          <Longest jobs={jobs} />
        </div>
      </div>
    </>
  );
}

function evidence({ value, unit }: Evidence): string {
  if (unit === "ms") return duration(value);
  if (unit === "B") return bytes(value);
  if (unit === "%") return percent(value, value < 10 ? 1 : 0);
  return `${Number.isInteger(value) ? count(value) : decimal(value, 2)}${unit === "" ? "" : ` ${unit}`}`;
}

function VerdictPanel({ build }: { build: BuildRow }) {
  const { verdict } = build;
  const chain = `${duration(build.critical_path_ms)}${build.critical_path_exact ? "" : " at least"}`;
  if (verdict === null) {
    return (
      <Panel title="What bounds it">
        {build.open ? (
          <Empty>The verdict comes when the build is over. Its longest chain so far: {chain}.</Empty>
        ) : (
          <Missing what="Verdicts" />
        )}
      </Panel>
    );
  }
  const shares = verdict.evidence.filter(({ unit }) => unit === "%");
  const others = verdict.evidence.filter(({ unit }) => unit !== "%");
  const longest = Math.max(1, ...verdict.what_if.map(({ wall_ms }) => wall_ms), build.wall_ms);
  return (
    <Panel title="What bounded it" note={BOUNDS[verdict.bound] ?? verdict.bound}>
      <div class="verdict">
        <div class="stack">
          <p class="sentence" data-verdict={verdict.bound}>{shownText(verdict.sentence)}</p>
          <table class="plain">
            <caption class="behind">Shares of the build's time</caption>
            <tbody>
              {shares.map((one) => (
                <tr key={one.what}>
                  <th scope="row">{one.what}</th>
                  <td class="bar">
                    <Meter share={one.value / 100} />
                  </td>
                  <td class="end">{evidence(one)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <div class="stack">
          <Facts rows={[...others.map((one): [string, string] => [one.what, evidence(one)]), ["longest chain", chain]]} />
          {verdict.what_if.length > 0 && (
          <div>
            <h3>With another number of slots, at best</h3>
            <table class="plain">
              <tbody>
                {verdict.what_if.map(({ slots, wall_ms }) => (
                  <tr key={slots}>
                    <th scope="row">{plural(slots, "slot")}</th>
                    <td class="bar">
                      <Meter share={wall_ms / longest} />
                    </td>
                    <td class="end">{duration(wall_ms)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          )}
        </div>
      </div>
    </Panel>
  );
}

function Curve({ build }: { build: BuildRow }) {
  const { parallel, begun } = build;
  const step = build.parallel_step_ms > 0 ? build.parallel_step_ms : Math.max(1, build.wall_ms / Math.max(1, parallel.length));
  const at = useMemo(() => parallel.map((_, index) => begun + index * step), [parallel, begun, step]);
  const series = useMemo(() => [{ name: "Jobs at once", colour: "accent", values: parallel, fill: true, stepped: true }], [parallel]);
  if (parallel.length < 2) return null;
  return (
    <Panel title="Jobs at once">
      <TimeChart label="Jobs of this build that ran at the same time" at={at} series={series} height={150} />
    </Panel>
  );
}

function Reasons({ build }: { build: BuildRow }) {
  const reasons = Object.entries(build.reasons).sort((a, b) => b[1] - a[1]);
  const most = Math.max(1, ...reasons.map(([, number]) => number));
  return (
    <Panel title="Why jobs stayed home">
      {reasons.length === 0 ? (
        <Empty>{picture.cluster?.has_records === true ? "None did." : "Reasons come from job records."}</Empty>
      ) : (
        <ul class="rows">
          {reasons.map(([code, number]) => (
            <li key={code} class="reason">
              <code>{code}</code>
              <Meter share={number / most} tone="local" />
              <span class="count">{count(number)}</span>
              {picture.reasons.some((reason) => reason.code === code) && <p><Prose text={picture.reasons.find((reason) => reason.code === code)?.advice ?? ""} /></p>}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

/** Where the time of all its jobs went. */
function Parts({ jobs }: { jobs: JobRow[] }) {
  const sums = PHASES.map((name) => ({ name, ms: jobs.reduce((sum, { record }) => sum + (record?.phases[name] ?? 0), 0) }))
    .filter(({ ms }) => ms > 0)
    .sort((a, b) => b.ms - a.ms);
  if (sums.length === 0) return null;
  const all = sums.reduce((sum, { ms }) => sum + ms, 0);
  return (
    <Panel title="Where the time went" note="all jobs together">
      <div class="phases" aria-hidden="true">
        {sums.map(({ name, ms }) => (
          <span key={name} style={{ width: `${(ms / all) * 100}%`, background: PHASE_COLOURS[name] ?? "#888888" }} />
        ))}
      </div>
      <ul class="legend">
        {sums.map(({ name, ms }) => (
          <li key={name}>
            <span class="swatch" style={{ backgroundColor: PHASE_COLOURS[name] ?? "#888888" }} />
            {name} <b>{percent((ms / all) * 100)}</b> {duration(ms)}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Longest({ jobs }: { jobs: JobRow[] }) {
  const longest = [...jobs].sort((a, b) => (b.duration_ms ?? 0) - (a.duration_ms ?? 0)).slice(0, 15);
  const most = longest[0]?.duration_ms ?? 1;
  return (
    <Panel title="Longest jobs" note={jobs.length > 0 ? `of ${count(jobs.length)}` : undefined}>
      {longest.length === 0 ? (
        <Empty>Its jobs are not remembered any more.</Empty>
      ) : (
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">File</th>
              <th scope="col">On</th>
              <th scope="col">
                <span class="behind">Time as a bar</span>
              </th>
              <th scope="col" class="end">
                Time
              </th>
            </tr>
          </thead>
          <tbody>
            {longest.map((job) => (
              <tr key={job.id}>
                <td class="name">
                  <a class="mono" href={href("jobs", job.id)}>
                    {shownFile(job.file)}
                  </a>
                </td>
                <td>
                  <HostName id={job.server ?? job.client} />
                </td>
                <td>
                  <span class="short-meter">
                    <Meter share={(job.duration_ms ?? 0) / Math.max(1, most)} tone={job.kind} />
                  </span>
                </td>
                <td class="end">{duration(job.duration_ms)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}
