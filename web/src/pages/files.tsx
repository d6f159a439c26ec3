// The files that take longest.

import { list } from "../live/api";
import { useAsked } from "../live/asked";
import { useLive } from "../live/live";
import { shownFile, trueHost } from "../live/names";
import { href } from "../live/route";
import { baseName, bytes, count, duration } from "../logic/format";
import type { FileRow } from "../types";
import { HostName, PageHead } from "../ui/bits";
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

export function Files() {
  useLive();
  const { value, problem } = useAsked((signal) => list<FileRow>("files", signal), 5000);
  return (
    <>
      <PageHead title="Slowest files" note={value === null ? undefined : `${count(value.length)} files`}>
        <ExportLinks table="files" />
      </PageHead>
      <DataTable
        name="files"
        label="Slowest files"
        columns={COLUMNS}
        rows={value ?? []}
        rowKey={(row) => row.file}
        sort={{ key: "max", down: true }}
        empty={problem ?? (value === null ? "Asking…" : "No compilation has ended yet.")}
        fill
      />
    </>
  );
}
