// One job: where it was, why, and where its time went.

import { useEffect, useState } from "preact/hooks";
import { get } from "../live/api";
import { picture, serverNow, useTick } from "../live/live";
import { shownFile, shownHost, shownText, shownUser } from "../live/names";
import { href } from "../live/route";
import { settings } from "../live/settings";
import { bytes, count, duration, fullTime } from "../logic/format";
import { PHASES, type JobRecord, type JobRow } from "../types";
import { Empty, Facts, HostName, KindTag, Prose, StateTag } from "../ui/bits";
import { Drawer } from "../ui/dialog";
import { lasts, waits } from "./jobs";

export const PHASE_COLOURS: Record<string, string> = {
  analyse: "#8a8f98",
  toolchain: "#b48ead",
  wait: "#d3b42c",
  connect: "#7a6fd0",
  install: "#c45b9d",
  preprocess: "#e0913a",
  send: "#3d84c6",
  compile: "#2a9d84",
  receive: "#8fc1ea",
  slot: "#efdf8a",
  local: "#7d6aa8",
};

export function JobDrawer({ id, onClose }: { id: number; onClose: () => void }) {
  useTick(500);
  const [asked, setAsked] = useState<JobRow | null | undefined>(undefined);
  const known = picture.jobs.get(id);
  useEffect(() => {
    if (known !== undefined) return;
    const stop = new AbortController();
    get<JobRow | { job: JobRow }>(`jobs/${id}`, stop.signal).then(
      (answer) => setAsked("job" in answer ? answer.job : answer),
      () => setAsked(null),
    );
    return () => stop.abort();
  }, [id, known === undefined]);
  const job = known ?? asked;
  return (
    <Drawer label={`Job ${job?.number ?? id}`} title={job === null || job === undefined ? `Job ${id}` : shownFile(job.file)} onClose={onClose}>
      {job === null ? <Empty>This job is not known any more.</Empty> : job === undefined ? <Empty>Asking…</Empty> : <Details job={job} />}
    </Drawer>
  );
}

function Details({ job }: { job: JobRow }) {
  const now = serverNow();
  const { record } = job;
  const zone = settings().zone;
  return (
    <>
      <div class="tags">
        <StateTag state={job.state} />
        {job.state !== "queued" && <KindTag kind={job.kind} />}
        {job.exit !== null && job.exit !== 0 && <span class="tag bad">exit {job.exit}</span>}
        {record !== null && record.retries > 0 && <span class="tag warn">{count(record.retries)} failed attempts</span>}
        {record?.verified === true && <span class="tag ok">verified</span>}
      </div>
      {job.state === "queued" && (
        <section class="says" aria-label="Why it waits">
          <h3>Why it waits</h3>
          <p>
            {job.waiting === null ? "It has been asked for; the scheduler tells nothing more." : shownText(job.waiting.text)}
            {job.waiting === null ? "" : ` Place ${job.waiting.position} in the queue.`}
          </p>
        </section>
      )}
      {job.why !== null && job.why !== "" && (
        <section class="says" aria-label="Why there">
          <h3>Why there</h3>
          <p>{shownText(job.why)}</p>
        </section>
      )}
      {record?.reason !== null && record?.reason !== undefined && <WhyHere record={record} />}
      {record !== null && <PhaseBar record={record} />}
      <Facts
        rows={[
          ["Client", <HostName key="c" id={job.client} />],
          ["Server", <HostName key="s" id={job.server} />],
          ["Lasted", duration(lasts(job, now))],
          ["Waited", duration(waits(job, now))],
          ["Asked for", fullTime(job.asked, zone)],
          ["Ended", job.ended === null ? "" : fullTime(job.ended, zone)],
          ["User time", duration(job.user_ms)],
          ["System time", duration(job.system_ms)],
          ["Page faults", count(job.page_faults)],
          ["Source", `${bytes(job.in_raw)}, as sent ${bytes(job.in_compressed)}`],
          ["Result", `${bytes(job.out_raw)}, as sent ${bytes(job.out_compressed)}`],
          ["Language", job.language],
          ["Scheduler's number", job.number === 0 ? "" : job.number],
          ...(job.build === null
            ? []
            : ([["Build", <a key="b" href={href("builds", job.build)}>{record?.build ?? `number ${job.build}`}</a>]] as [string, preact.ComponentChildren][])),
          ...(record === null ? [] : recordFacts(record)),
        ]}
      />
      {record === null && job.ended !== null && (
        <p class="faint">Phases and reasons come from the submitter's record of the job, and none has been told of this one.</p>
      )}
    </>
  );
}

function recordFacts(record: JobRecord): [string, preact.ComponentChildren][] {
  return [
    ["Source file", <span key="s" class="mono">{shownFile(record.source)}</span>],
    ["Folder", <span key="f" class="mono">{shownFile(record.folder)}</span>],
    ["Compiler", <span key="c" class="mono">{settings().anonymise ? "" : record.compiler}</span>],
    ["User", shownUser(record.user)],
    ["Whole time", duration(record.wall)],
    ["CPU here", duration(record.cpu)],
    ["Sent, received", `${bytes(record.sent)}, ${bytes(record.received)}`],
  ];
}

function WhyHere({ record }: { record: JobRecord }) {
  const reason = picture.reasons.find(({ code }) => code === record.reason);
  return (
    <section class={`says ${record.verdict === "failed-over" || record.verdict === "refused" ? "bad" : ""}`} aria-label="Why not elsewhere">
      <h3>
        Why not elsewhere: <code>{record.reason}</code>
        {record.subject === null ? "" : ` (${shownText(record.subject)})`}
      </h3>
      {reason !== undefined && (
        <p>
          <Prose text={`${reason.explanation} ${reason.advice}`} />
        </p>
      )}
      {record.detail !== "" && (
        <p class="mono">
          {record.worker === null ? "" : `${shownText(record.worker)}: `}
          {shownText(record.detail)}
        </p>
      )}
    </section>
  );
}

export function PhaseBar({ record }: { record: JobRecord }) {
  const parts = PHASES.map((name) => ({ name, ms: record.phases[name] ?? 0 })).filter(({ ms }) => ms > 0);
  const all = parts.reduce((sum, { ms }) => sum + ms, 0);
  if (all === 0) return null;
  return (
    <section aria-label="Phases">
      <h3>Where the time went</h3>
      <div class="phases" aria-hidden="true">
        {parts.map(({ name, ms }) => (
          <span key={name} title={`${name} ${duration(ms)}`} style={{ width: `${(ms / all) * 100}%`, background: PHASE_COLOURS[name] ?? "#888888" }} />
        ))}
      </div>
      <ul class="legend">
        {parts.map(({ name, ms }) => (
          <li key={name}>
            <span class="swatch" style={{ backgroundColor: PHASE_COLOURS[name] ?? "#888888" }} />
            {name} <b>{duration(ms)}</b>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** One line about a job, for tooltips. */
export function jobLine(job: JobRow): string {
  return `${shownFile(job.file)} from ${shownHost(job.client)}`;
}
