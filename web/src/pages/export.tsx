// Links to the same rows as files.

import { Icon } from "../ui/icons";

export function ExportLinks({ table }: { table: "jobs" | "hosts" | "builds" | "files" }) {
  return (
    <>
      {(["csv", "json", "jsonl"] as const).map((format) => (
        <a key={format} class="button quiet" href={`api/v1/export/${table}.${format}`} download={`gelato-${table}.${format}`}>
          <Icon name="external" size={13} /> {format === "jsonl" ? "JSON lines" : format.toUpperCase()}
        </a>
      ))}
    </>
  );
}
