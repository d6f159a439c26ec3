// One host: what it does, what it is, how it did.

import { picture, serverNow, useTick } from "../live/live";
import { shownAddress, shownFile, shownName, shownText } from "../live/names";
import { href } from "../live/route";
import { age, bytes, count, decimal, duration, NOTHING } from "../logic/format";
import type { Figures, HostRow, JobRow } from "../types";
import { Empty, Facts, HostName, HostWords, KindTag, Mark } from "../ui/bits";
import { Drawer } from "../ui/dialog";

export function HostDrawer({ host, onClose }: { host: HostRow; onClose: () => void }) {
  useTick(500);
  const now = serverNow();
  const live = [...picture.live.values()];
  const here = live.filter((job) => job.state === "running" && (job.server ?? job.client) === host.id);
  const outgoing = live.filter((job) => job.client === host.id);
  const failures = [...picture.jobs.values()]
    .filter((job) => (job.state === "failed" || job.state === "lost") && (job.server === host.id || job.client === host.id))
    .slice(-5)
    .reverse();
  return (
    <Drawer
      label={`Host ${shownName(host.name)}`}
      onClose={onClose}
      title={
        <span class="host-name">
          <Mark mark={host.mark} />
          <span>{shownName(host.name)}</span>
          <HostWords host={host} />
        </span>
      }
    >
      {host.remark !== null && host.remark !== "" && <p class="says">{shownText(host.remark)}</p>}
      <section aria-label="Slots">
        <h3>
          Slots: {count(host.running)} of {count(host.slots)} busy
        </h3>
        <Slots host={host} here={here} now={now} />
      </section>
      <section aria-label="Outgoing jobs">
        <h3>Submitted from here: {count(outgoing.filter(({ state }) => state === "running").length)} running, {count(outgoing.filter(({ state }) => state === "queued").length)} waiting</h3>
        <JobLines jobs={outgoing} now={now} where="server" />
      </section>
      <section aria-label="Figures">
        <h3>How it did</h3>
        <FigureTable server={host.as_server} client={host.as_client} />
      </section>
      {failures.length > 0 && (
        <section aria-label="Last failures">
          <h3>Last failures</h3>
          <JobLines jobs={failures} now={now} where="server" />
        </section>
      )}
      <section aria-label="About">
        <h3>What it is</h3>
        <Facts
          rows={[
            ["Address", shownAddress(host.ip)],
            ["Platform", host.platform],
            ["Protocol", host.protocol],
            ["Software", host.software],
            ["Features", host.features.length === 0 ? "none" : host.features.join(", ")],
            ["Speed", `${decimal(host.speed, 2)} kB object/s, adjusted${host.samples === null ? "" : ` (${host.samples} samples)`}`],
            ["Load", `${host.load} of 1000`],
            ["Load averages", host.averages?.map((value) => decimal(value, 2)).join("  ") ?? NOTHING],
            ["Free memory", bytes(host.free_memory_mb === null ? null : host.free_memory_mb * 1024 * 1024)],
            ["Takes others' jobs", host.no_remote ? "no" : "yes"],
            ["Reachable", host.accepting === null ? "not tested yet" : host.accepting ? "yes" : "no: the scheduler cannot connect to it"],
            ["Sandbox", host.sandbox],
            ...(host.installing === null ? [] : ([["Installing", `${host.installing} toolchains`]] as [string, string][])),
            ["Jobs", `${count(host.jobs_in)} in, ${count(host.jobs_out)} out, ${count(host.jobs_own)} own, ${count(host.jobs_local)} local`],
            ["Scheduler's number", host.number],
            ...(host.left === null ? [] : ([["Left", `${age(now - host.left)} ago`]] as [string, string][])),
            ...Object.entries(host.others).map(([name, value]): [string, string] => [name, shownText(value)]),
          ]}
        />
      </section>
    </Drawer>
  );
}

function Slots({ host, here, now }: { host: HostRow; here: JobRow[]; now: number }) {
  const lanes = Math.max(host.slots, host.lanes.length);
  const byId = new Map(here.map((job) => [job.id, job]));
  const placed = new Set(host.lanes);
  const rest = here.filter(({ id }) => !placed.has(id));
  const busy = Array.from({ length: lanes }, (_, lane) => ({ lane, job: byId.get(host.lanes[lane] ?? -1) ?? null }));
  const free = busy.filter(({ job }) => job === null).map(({ lane }) => lane + 1);
  const taken = [...busy.filter(({ job }) => job !== null), ...rest.map((job, at) => ({ lane: lanes + at, job }))];
  return (
    <ul class="lanes">
      {taken.map(({ lane, job }) =>
        job === null ? null : (
          <li key={lane}>
            <span class="faint">{lane + 1}</span>
            <a class="file mono" href={href("jobs", job.id)} title={shownFile(job.file)}>
              {shownFile(job.file)}
            </a>
            <HostName id={job.client} />
            <span>{age(now - (job.begun ?? now))}</span>
          </li>
        ),
      )}
      {free.length > 0 && (
        <li class="faint">
          <span />
          free: {spans(free)}
        </li>
      )}
    </ul>
  );
}

/** `3, 5–8`. */
function spans(numbers: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const number of numbers) {
    const last = parts[parts.length - 1];
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ");
}

const MOST_LINES = 40;

function JobLines({ jobs, now, where }: { jobs: JobRow[]; now: number; where: "server" | "client" }) {
  if (jobs.length === 0) return <Empty>None.</Empty>;
  return (
    <ul class="lanes">
      {jobs.slice(0, MOST_LINES).map((job) => (
        <li key={job.id}>
          <span />
          <a class="file mono" href={href("jobs", job.id)} title={shownFile(job.file)}>
            {shownFile(job.file)}
          </a>
          {job[where] === null ? <KindTag kind={job.kind} /> : <HostName id={job[where]} />}
          <span>{job.ended === null ? age(now - (job.begun ?? job.asked)) : `${job.state}${job.exit === null ? "" : ` (${job.exit})`}`}</span>
        </li>
      ))}
      {jobs.length > MOST_LINES && <li class="faint">and {count(jobs.length - MOST_LINES)} more</li>}
    </ul>
  );
}

function FigureTable({ server, client }: { server: Figures; client: Figures }) {
  const rows: [string, (figures: Figures) => string][] = [
    ["Jobs ended", (figures) => count(figures.jobs)],
    ["Failed", (figures) => count(figures.failed)],
    ["Lost", (figures) => count(figures.lost)],
    ["Mean", (figures) => duration(figures.mean_ms)],
    ["Half below", (figures) => duration(figures.p50_ms)],
    ["95 % below", (figures) => duration(figures.p95_ms)],
  ];
  return (
    <table class="plain">
      <thead>
        <tr>
          <th scope="col">
            <span class="behind">Figure</span>
          </th>
          <th scope="col" class="end">
            as worker
          </th>
          <th scope="col" class="end">
            as submitter
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, read]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td class="end">{read(server)}</td>
            <td class="end">{read(client)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
