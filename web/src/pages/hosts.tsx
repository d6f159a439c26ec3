// All hosts with everything that is said of them, and one host's details beside the table.

import { useState } from "preact/hooks";
import { picture, useLive } from "../live/live";
import { shownAddress, shownName, shownText } from "../live/names";
import { go, type Route } from "../live/route";
import { bytes, count, decimal, duration } from "../logic/format";
import type { HostRow } from "../types";
import { HostWords, Mark, Meter, PageHead, Spark } from "../ui/bits";
import { type Column, DataTable } from "../ui/table";
import { ExportLinks } from "./export";
import { HostDrawer } from "./host";

/** Speeds from fewer jobs than this are not worth much. */
const ENOUGH_SAMPLES = 7;

const load = (host: HostRow, at: 0 | 1 | 2) => host.averages?.[at] ?? null;

const COLUMNS: readonly Column<HostRow>[] = [
  {
    key: "name",
    title: "Name",
    width: 13,
    value: (host) => host.name,
    cell: (host) => (
      <span class="host-name">
        <Mark mark={host.mark} />
        <span>{shownName(host.name)}</span>
      </span>
    ),
  },
  { key: "state", title: "State", width: 8.5, value: (host) => (host.left === null ? (host.available ? "a" : "b") : "c"), cell: (host) => <HostWords host={host} /> },
  { key: "running", title: "Running", width: 5.5, end: true, hint: "Jobs running here", value: (host) => host.running },
  { key: "slots", title: "Slots", width: 4.5, end: true, value: (host) => host.slots },
  {
    key: "use",
    title: "Use",
    width: 6,
    hint: "Running by slots",
    value: (host) => (host.slots > 0 ? host.running / host.slots : null),
    cell: (host) => <Meter share={host.running / Math.max(1, host.slots)} />,
  },
  {
    key: "strip",
    title: "Last 2 min",
    width: 8,
    hint: "Busy slots over the last two minutes",
    value: (host) => (host.strip ?? []).reduce((sum, level) => sum + level, 0),
    cell: (host) => <Spark levels={host.strip ?? []} top={host.slots} />,
  },
  { key: "in", title: "In", width: 4.5, end: true, hint: "Jobs of others begun here", value: (host) => host.jobs_in },
  { key: "out", title: "Out", width: 4.5, end: true, hint: "Jobs of its own begun on others", value: (host) => host.jobs_out },
  { key: "own", title: "Own", width: 4.5, end: true, hint: "Jobs of its own begun on itself by the scheduler's choice", value: (host) => host.jobs_own },
  { key: "local", title: "Local", width: 4.5, end: true, hint: "Local jobs", value: (host) => host.jobs_local },
  { key: "active", title: "Active", width: 4.5, end: true, hint: "Jobs submitted from here that run anywhere", value: (host) => host.submitted },
  { key: "pending", title: "Pending", width: 5, end: true, hint: "Jobs submitted from here that wait", value: (host) => host.waiting },
  {
    key: "speed",
    title: "Speed",
    width: 5,
    end: true,
    hint: "Speed as the scheduler has it: kB of object per second, adjusted",
    value: (host) => host.speed,
    cell: (host) => (
      <span class={host.samples !== null && host.samples < ENOUGH_SAMPLES ? "faint" : ""} title={host.samples === null ? "" : `${host.samples} samples`}>
        {decimal(host.speed, 1)}
      </span>
    ),
  },
  { key: "load", title: "Load", width: 4.5, end: true, hint: "Load, 0 to 1000", value: (host) => host.load },
  { key: "load1", title: "1 min", width: 4.5, end: true, hint: "Load average over 1 minute", value: (host) => load(host, 0), cell: (host) => decimal(load(host, 0), 2) },
  { key: "load5", title: "5 min", width: 4.5, end: true, hidden: true, hint: "Load average over 5 minutes", value: (host) => load(host, 1), cell: (host) => decimal(load(host, 1), 2) },
  { key: "load10", title: "15 min", width: 4.5, end: true, hidden: true, hint: "Load average over 15 minutes", value: (host) => load(host, 2), cell: (host) => decimal(load(host, 2), 2) },
  { key: "memory", title: "Free mem.", width: 6, end: true, hint: "Free memory", value: (host) => host.free_memory_mb, cell: (host) => bytes(host.free_memory_mb === null ? null : host.free_memory_mb * 1024 * 1024) },
  { key: "mean", title: "Mean", width: 5.5, end: true, hint: "Mean duration of jobs done here", value: (host) => host.as_server.mean_ms, cell: (host) => duration(host.as_server.mean_ms) },
  { key: "p50", title: "p50", width: 5.5, end: true, hidden: true, hint: "Half of the jobs here took no longer", value: (host) => host.as_server.p50_ms, cell: (host) => duration(host.as_server.p50_ms) },
  { key: "p95", title: "p95", width: 5.5, end: true, hint: "95 of 100 jobs here took no longer", value: (host) => host.as_server.p95_ms, cell: (host) => duration(host.as_server.p95_ms) },
  { key: "failed", title: "Failed", width: 4.5, end: true, hint: "Jobs that failed here", value: (host) => host.as_server.failed },
  { key: "lost", title: "Lost", width: 4, end: true, hint: "Jobs lost here", value: (host) => host.as_server.lost },
  { key: "cmean", title: "Mean out", width: 5.5, end: true, hidden: true, hint: "Mean duration of jobs submitted from here", value: (host) => host.as_client.mean_ms, cell: (host) => duration(host.as_client.mean_ms) },
  { key: "cp95", title: "p95 out", width: 5.5, end: true, hidden: true, hint: "95 of 100 jobs from here took no longer", value: (host) => host.as_client.p95_ms, cell: (host) => duration(host.as_client.p95_ms) },
  { key: "platform", title: "Platform", width: 6.5, value: (host) => host.platform },
  { key: "ip", title: "Address", width: 9, value: (host) => host.ip, cell: (host) => shownAddress(host.ip) },
  { key: "protocol", title: "Protocol", width: 5, end: true, value: (host) => host.protocol },
  { key: "software", title: "Software", width: 7, value: (host) => host.software },
  { key: "features", title: "Features", width: 10, value: (host) => host.features.join(" ") },
  { key: "remote", title: "Remote", width: 5.5, hint: "Whether it takes jobs of others", value: (host) => (host.no_remote ? "no" : "yes") },
  { key: "sandbox", title: "Sandbox", width: 7, hidden: true, value: (host) => host.sandbox },
  { key: "remark", title: "Remark", width: 14, value: (host) => host.remark, cell: (host) => shownText(host.remark) },
  { key: "id", title: "Id", width: 4, end: true, hint: "The scheduler's number", value: (host) => host.number },
];

export function Hosts({ route }: { route: Route }) {
  useLive();
  const [wanted, setWanted] = useState("");
  const [gone, setGone] = useState(false);
  const selected = route.id === null ? undefined : [...picture.hosts.values()].find((host) => String(host.id) === route.id || host.name === route.id);
  const needle = wanted.toLowerCase();
  const rows = [...picture.hosts.values()].filter(
    (host) => (gone || host.left === null) && `${host.name} ${host.ip} ${host.platform} ${host.software ?? ""}`.toLowerCase().includes(needle),
  );
  const goneCount = [...picture.hosts.values()].filter((host) => host.left !== null).length;
  return (
    <>
      <PageHead title="Hosts">
        <ExportLinks table="hosts" />
      </PageHead>
      <div class="split">
        <DataTable
          name="hosts"
          label="Hosts"
          columns={COLUMNS}
          rows={rows}
          rowKey={(host) => host.id}
          sort={{ key: "name", down: false }}
          selected={selected?.id ?? null}
          onOpen={(host) => go("hosts", host.id)}
          rowClass={(host) => (host.left !== null || host.no_remote ? "mute" : "")}
          empty={wanted === "" ? "No daemon is logged in to this scheduler." : "No host matches."}
          fill
          tools={
            <>
              <input
                class="field grow"
                type="search"
                data-filter
                aria-label="Filter hosts"
                placeholder="Name, address, platform or software"
                value={wanted}
                onInput={(event) => setWanted(event.currentTarget.value)}
              />
              <label class="labelled">
                <input type="checkbox" checked={gone} onChange={() => setGone(!gone)} /> show {count(goneCount)} gone
              </label>
            </>
          }
        />
        {selected !== undefined && <HostDrawer host={selected} onClose={() => go("hosts")} />}
      </div>
    </>
  );
}
