// The small parts every page is made of.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { letter, shade } from "../logic/marks";
import { href } from "../live/route";
import { picture } from "../live/live";
import { hostOf, shownHost } from "../live/names";
import type { AlertRow, HostRow, JobRow } from "../types";
import { Icon } from "./icons";

export function Panel(props: {
  title: string;
  note?: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
  class?: string;
}) {
  return (
    <section class={`panel ${props.class ?? ""}`} aria-label={props.title}>
      <header class="panel-head">
        <h2>{props.title}</h2>
        {props.note !== undefined && <span class="note">{props.note}</span>}
        {props.actions !== undefined && <div class="actions">{props.actions}</div>}
      </header>
      <div class="panel-body">{props.children}</div>
    </section>
  );
}

/** A page's title and what can be done with the whole of it. */
export function PageHead(props: { title: string; note?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="page-head">
      <h1>{props.title}</h1>
      {props.note !== undefined && <p class="note">{props.note}</p>}
      {props.children !== undefined && <div class="actions">{props.children}</div>}
    </div>
  );
}

export function Figure(props: { label: string; value: ComponentChildren; unit?: string; sub?: ComponentChildren; tone?: string | undefined }) {
  return (
    <div class={`figure ${props.tone ?? ""}`}>
      <dt>{props.label}</dt>
      <dd>
        <b>{props.value}</b>
        {props.unit !== undefined && <span class="unit"> {props.unit}</span>}
        {props.sub !== undefined && <span class="sub">{props.sub}</span>}
      </dd>
    </div>
  );
}

/** Names and values in two columns. */
export function Facts({ rows }: { rows: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value === null || value === undefined || value === "" ? "–" : value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Mark({ mark }: { mark: number | null | undefined }) {
  const { fill, ink } = shade(mark);
  return (
    <span class="mark" style={{ background: fill, color: ink }} aria-hidden="true">
      {letter(mark)}
    </span>
  );
}

export function HostName({ id, plain }: { id: number | null; plain?: boolean }) {
  const host = hostOf(id);
  if (host === undefined) return <span class="faint">–</span>;
  return (
    <span class="host-name">
      <Mark mark={host.mark} />
      {plain === true ? <span>{shownHost(id)}</span> : <a href={href("hosts", id)} tabIndex={-1}>{shownHost(id)}</a>}
    </span>
  );
}

const STATES: Record<JobRow["state"], string> = {
  queued: "◌",
  running: "▶",
  finished: "✓",
  failed: "✕",
  lost: "⚠",
  cancelled: "⊘",
};

export function StateTag({ state }: { state: JobRow["state"] }) {
  return (
    <span class={`state ${state}`}>
      <span aria-hidden="true">{STATES[state]}</span> {state}
    </span>
  );
}

export function KindTag({ kind }: { kind: JobRow["kind"] }) {
  return <span class={`kind ${kind}`}>{kind}</span>;
}

/** What holds a host back, in one word each. */
export function hostWords(host: HostRow): { word: string; tone: string }[] {
  const words: { word: string; tone: string }[] = [];
  if (host.left !== null) words.push({ word: "gone", tone: "bad" });
  if (host.blocked) words.push({ word: "blocked", tone: "bad" });
  if (host.draining) words.push({ word: "draining", tone: "warn" });
  if (host.no_remote) words.push({ word: "no remote", tone: "mute" });
  if (host.accepting === false && host.left === null) words.push({ word: "unreachable", tone: "bad" });
  if (words.length === 0) words.push(host.running > 0 ? { word: "busy", tone: "ok" } : { word: "idle", tone: "mute" });
  return words;
}

export function HostWords({ host }: { host: HostRow }) {
  return (
    <span class="tags">
      {hostWords(host).map(({ word, tone }) => (
        <span key={word} class={`tag ${tone}`}>{word}</span>
      ))}
    </span>
  );
}

export function Severity({ alert }: { alert: AlertRow }) {
  return (
    <span class={`tag ${alert.severity === "critical" ? "bad" : "warn"}`}>
      {alert.severity === "critical" ? "critical" : "warning"}
    </span>
  );
}

/** A bar behind a number; the number is beside it, so the bar says nothing to screen readers. */
export function Meter({ share, tone }: { share: number; tone?: string }) {
  const width = Math.max(0, Math.min(1, Number.isFinite(share) ? share : 0)) * 100;
  return (
    <span class={`meter ${tone ?? ""}`} aria-hidden="true">
      <span style={{ width: `${width}%` }} />
    </span>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** The server's sentences: what stands between backticks is code. */
export function Prose({ text }: { text: string }) {
  return <>{text.split("`").map((part, at) => (at % 2 === 1 ? <code key={at}>{part}</code> : part))}</>;
}

/** Why a panel has nothing to show. */
export function Missing({ what }: { what: string }) {
  const ours = picture.cluster?.version?.startsWith("gelato") === true;
  return (
    <p class="empty missing">
      {ours ? (
        <>
          <b>{what}</b> come from job records, and none has been told yet: they arrive with the first job of a Gelato client.
        </>
      ) : (
        <>
          <b>{what}</b> need job records, and this scheduler sends none: it is Icecream's, or an older Gelato. Hosts, jobs and the
          timeline work all the same. Run <code>gelato scheduler</code> to see this, too.
        </>
      )}
    </p>
  );
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [said, say] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("copied");
    } catch {
      say("not allowed here");
    }
    setTimeout(() => say(""), 1500);
  };
  return (
    <button type="button" class="button" onClick={() => void copy()} aria-label={label}>
      <Icon name="copy" size={14} /> <span aria-live="polite">{said === "" ? "Copy" : said}</span>
    </button>
  );
}

export function Segmented<T extends string>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  return (
    <div class="segmented" role="group" aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <button key={value} type="button" aria-pressed={props.value === value} onClick={() => props.onChange(value)}>
          {text}
        </button>
      ))}
    </div>
  );
}

/** Levels over the last minutes as a small area; the figure itself stands elsewhere. */
export function Spark({ levels, top, width = 96, height = 20 }: { levels: readonly number[]; top: number; width?: number; height?: number }) {
  const most = Math.max(top, 1, ...levels);
  const step = levels.length > 1 ? width / (levels.length - 1) : width;
  const points = levels.map((level, at) => `${(at * step).toFixed(1)},${(height - 1 - (level / most) * (height - 2)).toFixed(1)}`);
  const line = points.join(" ");
  return (
    <svg class="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
      {points.length > 1 && <polygon points={`0,${height} ${line} ${width},${height}`} />}
      {points.length > 1 && <polyline points={line} />}
    </svg>
  );
}
