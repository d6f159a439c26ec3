// Which hosts have toolchains of which platform, and where one is being installed.

import { list } from "../live/api";
import { useAsked } from "../live/asked";
import { useLive } from "../live/live";
import { bytes, count, plural } from "../logic/format";
import type { ToolchainRow } from "../types";
import { Empty, HostName, PageHead, Panel } from "../ui/bits";

export function Toolchains() {
  useLive();
  const { value, problem } = useAsked((signal) => list<ToolchainRow>("toolchains", signal), 5000);
  return (
    <>
      <PageHead title="Toolchains" note="what the scheduler tells of them" />
      {value === null || value.length === 0 ? (
        <Panel title="None">
          <Empty>{problem ?? (value === null ? "Asking…" : "This scheduler tells nothing of toolchains, or no host has one yet.")}</Empty>
        </Panel>
      ) : (
        value.map((row) => <One key={`${row.name ?? ""} ${row.platform}`} row={row} />)
      )}
    </>
  );
}

function One({ row }: { row: ToolchainRow }) {
  const installing = row.hosts.filter((host) => host.installing > 0).length;
  return (
    <Panel
      title={row.name ?? row.platform}
      note={`${plural(row.hosts.length, "host")}${row.size === null ? "" : `, ${bytes(row.size)}`}${installing > 0 ? `, being installed on ${count(installing)}` : ""}`}
    >
      <div class="tiles">
        {row.hosts.map((host) => (
          <div key={host.host} class="tile">
            <span class="tile-head">
              <HostName id={host.host} />
              <span>{plural(host.count, "toolchain")}</span>
            </span>
            {host.installing > 0 && <span class="tag warn">installing {host.installing}</span>}
          </div>
        ))}
      </div>
    </Panel>
  );
}
