// Commands to the scheduler: they need the control token, ask first, and are kept in the log.

import { useState } from "preact/hooks";
import { ApiError, type Command, controlToken, get, manage, setControlToken } from "../live/api";
import { useAsked } from "../live/asked";
import { picture, useLive } from "../live/live";
import { shownName, shownText } from "../live/names";
import { settings } from "../live/settings";
import { count, fullTime } from "../logic/format";
import type { AuditRow, BlockRow, HostRow } from "../types";
import { Empty, HostName, HostWords, PageHead, Panel } from "../ui/bits";
import { Modal } from "../ui/dialog";
import { type Column, DataTable } from "../ui/table";

interface Log {
  entries?: AuditRow[];
  audit?: AuditRow[];
  blocks?: BlockRow[];
}

const TELLS: Record<Command["action"], string> = {
  block: "It is sent away and may not come back until it is unblocked. Its running jobs are lost and done again elsewhere.",
  unblock: "It may log in again.",
  drain: "It finishes what it has and gets nothing new.",
  undrain: "It gets jobs again.",
  remove: "It is sent away once; a daemon that still runs comes back by itself.",
};

const AUDIT: readonly Column<AuditRow>[] = [
  { key: "at", title: "When", width: 13, value: (row) => row.at, cell: (row) => fullTime(row.at, settings().zone) },
  { key: "who", title: "Who", width: 10, value: (row) => row.who, cell: (row) => shownText(row.who) },
  { key: "action", title: "Command", width: 9, value: (row) => row.action },
  { key: "host", title: "Host", width: 10, value: (row) => row.host, cell: (row) => (row.host ? shownName(row.host) : "") },
  { key: "reason", title: "Reason", value: (row) => row.reason },
  { key: "result", title: "Result", width: 14, value: (row) => row.result, cell: (row) => <span class={row.ok === false ? "state failed" : ""}>{shownText(row.result)}</span> },
];

export function Manage() {
  useLive();
  const [command, setCommand] = useState<{ action: Command["action"]; host: string } | null>(null);
  const [said, say] = useState<{ text: string; ok: boolean } | null>(null);
  const [round, again] = useState(0);
  const log = useAsked((signal) => get<Log>("audit", signal), 5000, [round]);
  const entries = log.value?.entries ?? log.value?.audit ?? [];
  const told = log.value?.blocks ?? [];
  // The scheduler knows blocks this server did not make.
  const others = (picture.cluster?.blocked ?? []).filter((host) => told.every((block) => block.host !== host));
  const blocks: BlockRow[] = [...told, ...others.map((host) => ({ host, reason: null, who: null, since: null, until: null }))];
  const hosts = [...picture.hosts.values()].filter((host) => host.left === null);
  const ask = (action: Command["action"], host: string) => setCommand({ action, host });
  const columns: readonly Column<HostRow>[] = [
    { key: "name", title: "Host", width: 13, value: (host) => host.name, cell: (host) => <HostName id={host.id} /> },
    { key: "state", title: "State", width: 12, value: (host) => String(host.draining), cell: (host) => <HostWords host={host} /> },
    { key: "running", title: "Running", width: 6, end: true, value: (host) => host.running },
    {
      key: "commands",
      title: "Commands",
      value: () => null,
      cell: (host) => (
        <span class="tags">
          <button type="button" class="button quiet" onClick={() => ask(host.draining ? "undrain" : "drain", host.name)}>
            {host.draining ? "Undrain" : "Drain"}
          </button>
          <button type="button" class="button quiet" onClick={() => ask("block", host.name)}>
            Block
          </button>
          <button type="button" class="button quiet" onClick={() => ask("remove", host.name)}>
            Remove
          </button>
        </span>
      ),
    },
  ];
  return (
    <>
      <PageHead title="Manage" note="each command asks first and is kept in the log" />
      <p role="status" class={said === null ? "behind" : `says ${said.ok ? "" : "bad"}`}>
        {said?.text ?? ""}
      </p>
      <div class="columns">
        <div class="span-8 stack">
          <DataTable
            name="manage"
            label="Hosts to manage"
            columns={columns}
            rows={hosts}
            rowKey={(host) => host.id}
            sort={{ key: "name", down: false }}
            empty="No daemon is logged in."
          />
        </div>
        <div class="span-4 stack">
          <Token />
          <Panel title="Blocked" note={blocks.length > 0 ? count(blocks.length) : undefined}>
            {blocks.length === 0 ? (
              <Empty>No host is blocked.</Empty>
            ) : (
              <ul class="rows">
                {blocks.map((block) => (
                  <li key={block.host} class="slots-row">
                    <b>{shownName(block.host)}</b>
                    <span class="faint">
                      {block.reason ?? ""}
                      {block.until === null ? "" : ` until ${fullTime(block.until, settings().zone)}`}
                    </span>
                    <button type="button" class="button" onClick={() => ask("unblock", block.host)}>
                      Unblock
                    </button>
                  </li>
                ))}
              </ul>
            )}
          </Panel>
        </div>
      </div>
      <h2>Log</h2>
      <DataTable
        name="audit"
        label="Log of commands"
        columns={AUDIT}
        rows={entries}
        rowKey={(row) => `${row.at} ${row.who} ${row.action} ${row.host ?? ""}`}
        sort={{ key: "at", down: true }}
        empty={log.problem ?? "Nothing has been commanded yet."}
      />
      {command !== null && (
        <Confirm
          command={command}
          onClose={() => setCommand(null)}
          onDone={(text, ok) => {
            setCommand(null);
            say({ text, ok });
            again((n) => n + 1);
          }}
        />
      )}
    </>
  );
}

function Token() {
  const [text, setText] = useState("");
  const [has, setHas] = useState(controlToken() !== null);
  return (
    <Panel title="Control token">
      {has ? (
        <div class="slots-row">
          <span class="tag ok">entered</span>
          <button
            type="button"
            class="button"
            onClick={() => {
              setControlToken(null);
              setHas(false);
            }}
          >
            Forget it
          </button>
        </div>
      ) : (
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            if (text.trim() === "") return;
            setControlToken(text.trim());
            setText("");
            setHas(true);
          }}
        >
          <p class="faint">
            Commands need the control token. It is kept in memory until this page is closed.
          </p>
          <div class="slots-row">
            <input
              class="field grow"
              type="password"
              autocomplete="off"
              aria-label="Control token"
              placeholder="Control token"
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
            />
            <button type="submit" class="button">
              Use
            </button>
          </div>
        </form>
      )}
    </Panel>
  );
}

const SPANS: [string, number | null][] = [
  ["until it is lifted", null],
  ["for 15 minutes", 900],
  ["for an hour", 3600],
  ["for a day", 86_400],
  ["for a week", 604_800],
];

function Confirm(props: {
  command: { action: Command["action"]; host: string };
  onClose: () => void;
  onDone: (text: string, ok: boolean) => void;
}) {
  const { action, host } = props.command;
  const [reason, setReason] = useState("");
  const [span, setSpan] = useState(0);
  const [busy, setBusy] = useState(false);
  const title = `${action[0]?.toUpperCase() ?? ""}${action.slice(1)} ${shownName(host)}?`;
  const send = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    try {
      const forSeconds = action === "block" ? (SPANS[span]?.[1] ?? null) : null;
      props.onDone(shownText(await manage({ action, host, reason, for_s: forSeconds })), true);
    } catch (error) {
      const text = error instanceof ApiError ? `${error.message}${error.hint === null ? "" : ` – ${error.hint}`}` : "the server does not answer";
      props.onDone(`${action} ${shownName(host)}: ${shownText(text)}`, false);
    }
  };
  return (
    <Modal title={title} onClose={props.onClose}>
      <form class="stack" onSubmit={(event) => void send(event)}>
        <p>{TELLS[action]}</p>
        <div class="form">
          <label for="reason">Reason</label>
          <input id="reason" class="field" maxLength={200} value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
          {action === "block" && (
            <>
              <label for="span">How long</label>
              <select id="span" class="field" value={span} onChange={(event) => setSpan(Number(event.currentTarget.value))}>
                {SPANS.map(([text], at) => (
                  <option key={text} value={at}>
                    {text}
                  </option>
                ))}
              </select>
            </>
          )}
        </div>
        {controlToken() === null && <p class="faint">No control token has been entered; the server may refuse.</p>}
        <div class="row-end">
          <button type="button" class="button" onClick={props.onClose}>
            Cancel
          </button>
          <button type="submit" class={`button ${action === "block" || action === "remove" ? "danger" : "main-action"}`} disabled={busy}>
            {action[0]?.toUpperCase()}
            {action.slice(1)}
          </button>
        </div>
      </form>
    </Modal>
  );
}
