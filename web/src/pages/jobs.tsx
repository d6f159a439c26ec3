// All jobs the page knows, up to a hundred thousand, filtered as one types.

import { useEffect, useState } from "preact/hooks";
import { useDerived } from "../live/derived";
import { isPaused, picture, serverNow, setPaused, useLive } from "../live/live";
import { shownFile, shownText, trueHost } from "../live/names";
import { go, href, parseRoute, replaceQuery, type Route } from "../live/route";
import { settings } from "../live/settings";
import { bytes, clockTime, count, decimal, duration } from "../logic/format";
import { parseFilter } from "../logic/filter";
import type { JobRow } from "../types";
import { HostName, KindTag, PageHead, StateTag } from "../ui/bits";
import { Icon } from "../ui/icons";
import { type Column, DataTable } from "../ui/table";
import { ExportLinks } from "./export";
import { JobDrawer } from "./job";

/** Running times between two messages. */
export function lasts(job: JobRow, now: number): number | null {
  if (job.state === "running" && job.begun !== null) return Math.max(job.duration_ms ?? 0, now - job.begun);
  return job.duration_ms;
}

export function waits(job: JobRow, now: number): number {
  return job.state === "queued" ? Math.max(job.wait_ms, now - job.asked) : job.wait_ms;
}

const ratio = (job: JobRow): number | null =>
  job.in_compressed === null || job.out_compressed === null || job.in_compressed === 0 ? null : job.out_compressed / job.in_compressed;

/** Why it is where it is, in a word. */
export const reasonOf = (job: JobRow): string | null => job.record?.reason ?? (job.state === "queued" ? (job.waiting?.reason ?? null) : null);

const COLUMNS: readonly Column<JobRow>[] = [
  { key: "id", title: "Id", width: 6, end: true, hint: "The scheduler's number", value: (job) => job.number, cell: (job) => (job.number === 0 ? "–" : job.number) },
  {
    key: "file",
    title: "File",
    value: (job) => job.file,
    cell: (job) => (
      <span class="mono" title={shownFile(job.file)}>
        {shownFile(job.file)}
      </span>
    ),
  },
  { key: "client", title: "Client", width: 9.5, hint: "Submitter", value: (job) => trueHost(job.client), cell: (job) => <HostName id={job.client} plain /> },
  { key: "server", title: "Server", width: 9.5, hint: "Worker", value: (job) => trueHost(job.server), cell: (job) => <HostName id={job.server} plain /> },
  { key: "state", title: "State", width: 7, value: (job) => job.state, cell: (job) => <StateTag state={job.state} /> },
  { key: "kind", title: "Kind", width: 6, hint: "Remote, own machine or local", value: (job) => job.kind, cell: (job) => (job.state === "queued" ? "" : <KindTag kind={job.kind} />) },
  { key: "duration", title: "Real", width: 6, end: true, hint: "Duration", value: (job) => job.duration_ms, cell: (job) => duration(lasts(job, serverNow())) },
  { key: "wait", title: "Wait", width: 6, end: true, hint: "From being asked for to beginning", value: (job) => job.wait_ms, cell: (job) => duration(waits(job, serverNow())) },
  { key: "user", title: "User", width: 6, end: true, hint: "User CPU time", value: (job) => job.user_ms, cell: (job) => duration(job.user_ms) },
  { key: "system", title: "System", width: 6, end: true, hidden: true, hint: "System CPU time", value: (job) => job.system_ms, cell: (job) => duration(job.system_ms) },
  { key: "faults", title: "Faults", width: 5.5, end: true, hidden: true, hint: "Page faults", value: (job) => job.page_faults, cell: (job) => count(job.page_faults) },
  { key: "in", title: "Size in", width: 6, end: true, hint: "Source", value: (job) => job.in_raw, cell: (job) => bytes(job.in_raw) },
  { key: "inc", title: "In sent", width: 6, end: true, hidden: true, hint: "Source as sent", value: (job) => job.in_compressed, cell: (job) => bytes(job.in_compressed) },
  { key: "out", title: "Size out", width: 6, end: true, hint: "Result", value: (job) => job.out_raw, cell: (job) => bytes(job.out_raw) },
  { key: "outc", title: "Out sent", width: 6, end: true, hidden: true, hint: "Result as sent", value: (job) => job.out_compressed, cell: (job) => bytes(job.out_compressed) },
  { key: "ratio", title: "Out/in", width: 5, end: true, hint: "Result by source, both as sent", value: ratio, cell: (job) => decimal(ratio(job), 2) },
  { key: "exit", title: "Exit", width: 4.5, end: true, value: (job) => job.exit },
  { key: "retries", title: "Retries", width: 5, end: true, hint: "Attempts elsewhere that failed", value: (job) => job.record?.retries ?? null },
  { key: "reason", title: "Reason", width: 11, hint: "Why not elsewhere, or what it waits for", value: reasonOf, cell: (job) => <code>{reasonOf(job) ?? ""}</code> },
  { key: "language", title: "Language", width: 6, value: (job) => job.language },
  { key: "ended", title: "Ended", width: 6.5, end: true, hidden: true, value: (job) => job.ended, cell: (job) => (job.ended === null ? "" : clockTime(job.ended, settings().zone)) },
];

const HINT = "Words in the file, client: server: state: kind: language: exit: >2s, -not";

export function Jobs({ route }: { route: Route }) {
  useLive();
  const [text, setText] = useState(route.query.get("q") ?? "");
  const [follow, setFollow] = useState(true);
  useEffect(() => setText(parseRoute(location.hash).query.get("q") ?? ""), [route]);
  const names = { host: trueHost };
  const filter = parseFilter(text, names);
  const rows = useDerived(() => newestFirst(filter.empty ? null : filter.test), picture.version, [text]);
  const selected = route.id === null ? undefined : picture.jobs.get(Number(route.id));
  const keepQuery = (): Record<string, string> => (text === "" ? {} : { q: text });
  const paused = isPaused();
  return (
    <>
      <PageHead
        title="Jobs"
        note={filter.empty ? `${count(rows.length)} known` : `${count(rows.length)} of ${count(picture.jobs.size)}`}
      >
        <ExportLinks table="jobs" />
      </PageHead>
      <div class="split">
        <DataTable
          name="jobs"
          label="Jobs"
          columns={COLUMNS}
          rows={rows}
          rowKey={(job) => job.id}
          sort={{ key: "id", down: true }}
          given={{ key: "id", down: true }}
          selected={selected?.id ?? null}
          onOpen={(job) => go("jobs", job.id, keepQuery())}
          rowClass={(job) => (job.state === "queued" || job.state === "cancelled" ? "mute" : "")}
          empty={text === "" ? "No job has been seen yet." : "No job matches."}
          fill
          follow={follow && !paused}
          asked={text}
          tools={
            <>
              <input
                class={`field grow ${filter.problems.length > 0 ? "wrong" : ""}`}
                type="search"
                data-filter
                aria-label={`Filter jobs. ${HINT}`}
                aria-invalid={filter.problems.length > 0}
                placeholder={HINT}
                value={text}
                onInput={(event) => {
                  setText(event.currentTarget.value);
                  replaceQuery({ q: event.currentTarget.value });
                }}
              />
              {filter.problems.length > 0 && (
                <span class="state failed" role="status">
                  Not understood: {filter.problems.join(" ")}
                </span>
              )}
              <button type="button" class="button" aria-pressed={follow} onClick={() => setFollow(!follow)}>
                Follow
              </button>
              <button type="button" class="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
                <Icon name={paused ? "play" : "pause"} size={14} /> {paused ? "Go on" : "Pause"}
              </button>
            </>
          }
        />
        {route.id !== null && (
          <JobDrawer id={Number(route.id)} onClose={() => go("jobs", null, keepQuery())} />
        )}
      </div>
      <span class="behind" role="status">
        {shownText(filter.empty ? "" : `${rows.length} jobs match`)}
      </span>
      <a class="behind" href={href("gantt")}>
        The same jobs as a timeline
      </a>
    </>
  );
}

function newestFirst(test: ((job: JobRow) => boolean) | null): JobRow[] {
  const rows: JobRow[] = [];
  for (const job of picture.jobs.values()) if (test === null || test(job)) rows.push(job);
  return rows.reverse();
}
