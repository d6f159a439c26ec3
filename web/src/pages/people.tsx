// Who uses the farm, and whether everybody gets a share. Names can be hidden.

import { list } from "../live/api";
import { useAsked } from "../live/asked";
import { picture, useLive } from "../live/live";
import { shownUser, trueHost } from "../live/names";
import { change, useSettings } from "../live/settings";
import { count, duration, percent } from "../logic/format";
import type { PersonRow } from "../types";
import { HostName, Meter, Missing, PageHead } from "../ui/bits";
import { type Column, DataTable } from "../ui/table";

const COLUMNS: readonly Column<PersonRow>[] = [
  { key: "client", title: "Submitter", width: 12, value: (row) => trueHost(row.client), cell: (row) => <HostName id={row.client} /> },
  { key: "user", title: "User", width: 8, hint: "Number of the user on that machine", value: (row) => row.user, cell: (row) => shownUser(row.user) },
  { key: "share", title: "Share", width: 6, end: true, hint: "Of the time all jobs took", value: (row) => row.share, cell: (row) => percent(row.share) },
  { key: "bar", title: "Of all work", value: (row) => row.share, cell: (row) => <Meter share={row.share / 100} /> },
  { key: "jobs", title: "Jobs", width: 6, end: true, value: (row) => row.jobs, cell: (row) => count(row.jobs) },
  { key: "running", title: "Running", width: 6, end: true, value: (row) => row.running },
  { key: "waiting", title: "Waiting", width: 6, end: true, value: (row) => row.waiting },
  { key: "wait", title: "Mean wait", width: 7, end: true, hint: "Mean time waited for a worker", value: (row) => row.wait_mean_ms, cell: (row) => duration(row.wait_mean_ms) },
];

export function People() {
  useLive();
  const { hidePeople } = useSettings();
  const { value, problem } = useAsked((signal) => list<PersonRow>("people", signal), 3000);
  return (
    <>
      <PageHead title="People" note="who uses the farm">
        <button type="button" class="button" aria-pressed={hidePeople} onClick={() => change({ hidePeople: !hidePeople })}>
          Hide names
        </button>
      </PageHead>
      <DataTable
        name="people"
        label="People"
        columns={COLUMNS}
        rows={value ?? []}
        rowKey={(row) => `${row.client} ${row.user ?? ""}`}
        sort={{ key: "share", down: true }}
        empty={problem ?? (value === null ? "Asking…" : "Nobody has had a job done yet.")}
      />
      {picture.cluster?.has_records === false && <Missing what="Users and waits" />}
    </>
  );
}
