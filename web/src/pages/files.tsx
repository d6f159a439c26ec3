// The files that take longest: since watching began, and over the last two weeks from the history.

import { get, list } from "../live/api";
import { useAsked } from "../live/asked";
import { useLive } from "../live/live";
import { shownFile, shownName, trueHost } from "../live/names";
import { href, replaceQuery, type Route } from "../live/route";
import { baseName, bytes, count, duration } from "../logic/format";
import type { FileRow, PastFile } from "../types";
import { HostName, PageHead, Segmented } from "../ui/bits";
import { type Column, DataTable } from "../ui/table";
import { ExportLinks } from "./export";

const COLUMNS: readonly Column<FileRow>[] = [
  {
    key: "file",
    title: "File",
    value: (row) => row.file,
    cell: (row) => (
      <a class="mono" href={href("jobs", null, { q: `"${baseName(row.file)}"` })} title={shownFile(row.file)}>
        {shownFile(row.file)}
      </a>
    ),
  },
  { key: "max", title: "Longest", width: 7, end: true, value: (row) => row.max_ms, cell: (row) => duration(row.max_ms) },
  { key: "p50", title: "Median", width: 7, end: true, value: (row) => row.p50_ms, cell: (row) => duration(row.p50_ms) },
  { key: "mean", title: "Mean", width: 7, end: true, value: (row) => row.mean_ms, cell: (row) => duration(row.mean_ms) },
  { key: "jobs", title: "Jobs", width: 5, end: true, value: (row) => row.jobs, cell: (row) => count(row.jobs) },
  { key: "failed", title: "Failed", width: 5, end: true, value: (row) => row.failed },
  { key: "in", title: "Source", width: 7, end: true, hint: "Largest preprocessed source", value: (row) => row.in_raw, cell: (row) => bytes(row.in_raw) },
  { key: "out", title: "Object", width: 7, end: true, hint: "Largest result", value: (row) => row.out_raw, cell: (row) => bytes(row.out_raw) },
  { key: "host", title: "Slowest on", width: 10, value: (row) => trueHost(row.host), cell: (row) => <HostName id={row.host} /> },
  { key: "trend", title: "Trend", width: 7, end: true, hint: "The last compilations against all", value: (row) => row.trend, cell: (row) => <Trend value={row.trend} /> },
];

function Trend({ value }: { value: number | null }) {
  if (value === null) return <span class="faint">–</span>;
  const change = Math.round((value - 1) * 100);
  if (Math.abs(change) < 5) return <span class="faint">steady</span>;
  return <span class={change > 0 ? "state failed" : ""}>{change > 0 ? `▲ ${change} %` : `▼ ${-change} %`}</span>;
}

const PAST: readonly Column<PastFile>[] = [
  { key: "file", title: "File", value: (row) => row.file, cell: (row) => <span class="mono" title={shownFile(row.file)}>{shownFile(row.file)}</span> },
  { key: "max", title: "Longest", width: 7, end: true, value: (row) => row.max_ms, cell: (row) => duration(row.max_ms) },
  { key: "mean", title: "Mean", width: 7, end: true, value: (row) => row.mean_ms, cell: (row) => duration(row.mean_ms) },
  { key: "total", title: "Together", width: 8, end: true, hint: "Time of all its compilations", value: (row) => row.total_ms, cell: (row) => duration(row.total_ms) },
  { key: "jobs", title: "Jobs", width: 5, end: true, value: (row) => row.jobs, cell: (row) => count(row.jobs) },
  { key: "failed", title: "Failed", width: 5, end: true, value: (row) => row.failed },
  { key: "host", title: "Slowest on", width: 10, value: (row) => row.host, cell: (row) => shownName(row.host) },
  { key: "trend", title: "Trend", width: 7, end: true, hint: "This week against the last", value: (row) => row.trend, cell: (row) => <Trend value={row.trend} /> },
];

export function Files({ route }: { route: Route }) {
  useLive();
  const past = route.query.get("span") === "weeks";
  return (
    <>
      <PageHead title="Slowest files">
        <Segmented
          label="Span"
          value={past ? "weeks" : "now"}
          options={[["now", "Since watching began"], ["weeks", "Two weeks"]] as const}
          onChange={(span) => {
            replaceQuery({ span: span === "weeks" ? span : "" });
            dispatchEvent(new HashChangeEvent("hashchange"));
          }}
        />
        <ExportLinks table="files" />
      </PageHead>
      {past ? <Past /> : <Now />}
    </>
  );
}

function Now() {
  const { value, problem } = useAsked((signal) => list<FileRow>("files", signal), 5000);
  return (
    <DataTable
      name="files"
      label="Slowest files"
      columns={COLUMNS}
      rows={value ?? NONE}
      rowKey={(row) => row.file}
      sort={{ key: "max", down: true }}
      empty={problem ?? (value === null ? "Asking…" : "No compilation has ended yet.")}
      fill
    />
  );
}

function Past() {
  const { value, problem } = useAsked((signal) => get<{ files: PastFile[] }>("history/files", signal), 60_000);
  return (
    <DataTable
      name="files-past"
      label="Slowest files of two weeks"
      columns={PAST}
      rows={value?.files ?? NONE}
      rowKey={(row) => row.file}
      sort={{ key: "max", down: true }}
      empty={problem ?? (value === null ? "Asking…" : "The history knows no file yet.")}
      fill
    />
  );
}

const NONE: never[] = [];
