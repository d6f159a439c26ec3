// The frame around every page: cluster line, list of pages, what is wrong with the connection, keys.

import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { age, count, fullTime } from "./logic/format";
import { ApiError, logIn } from "./live/api";
import { connect, isPaused, onMessage, picture, setPaused, state, useLive, useTick } from "./live/live";
import { shownAddress } from "./live/names";
import { go, href, type Route, useRoute } from "./live/route";
import { change, settings, useSettings } from "./live/settings";
import { Alerts } from "./pages/alerts";
import { Build, Builds } from "./pages/builds";
import { Files } from "./pages/files";
import { Timeline } from "./pages/timeline";
import { HistoryPage } from "./pages/history";
import { Hosts } from "./pages/hosts";
import { Jobs } from "./pages/jobs";
import { PAGES } from "./pages/list";
import { Manage } from "./pages/manage";
import { Overview } from "./pages/overview";
import { People } from "./pages/people";
import { SettingsPage } from "./pages/settings";
import { StarPage } from "./pages/star";
import { Toolchains } from "./pages/toolchains";
import { Why } from "./pages/why";
import { Empty, Meter } from "./ui/bits";
import { Modal } from "./ui/dialog";
import { Icon, Logo } from "./ui/icons";

const VIEWS: Record<string, ComponentType<{ route: Route }>> = {
  overview: Overview,
  hosts: Hosts,
  jobs: Jobs,
  gantt: Timeline,
  star: StarPage,
  builds: ({ route }) => (route.id === null ? <Builds /> : <Build id={route.id} />),
  files: Files,
  why: Why,
  people: People,
  toolchains: Toolchains,
  alerts: Alerts,
  history: HistoryPage,
  manage: Manage,
  settings: SettingsPage,
};

export function App() {
  useSettings();
  const route = useRoute();
  const [menu, setMenu] = useState(false);
  const [help, setHelp] = useState(false);
  const page = useRef<HTMLElement>(null);
  const View = VIEWS[route.page];
  const title = PAGES.find(({ id }) => id === route.page)?.title ?? "Not found";

  useEffect(() => setMenu(false), [route]);
  useEffect(() => {
    const show = () => {
      document.title = pageTitle(title);
    };
    show();
    return onMessage(show);
  }, [title]);
  useEffect(() => {
    const listener = (event: KeyboardEvent) => shortcut(event, () => setHelp(true));
    addEventListener("keydown", listener);
    return () => removeEventListener("keydown", listener);
  }, []);

  return (
    <>
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          page.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <header class="top">
        <button type="button" class="button quiet menu-button" aria-label="Pages" aria-expanded={menu} onClick={() => setMenu(!menu)}>
          <Icon name="menu" />
        </button>
        <a class="brand" href="#/overview" aria-label="Gelato, overview">
          <Logo />
          <span>Gelato</span>
        </a>
        <ClusterLine />
        <Tools onHelp={() => setHelp(true)} />
      </header>
      <Pages current={route.page} open={menu} onClose={() => setMenu(false)} />
      <Content title={title}>
        {/* The page scrolls, so the keyboard must reach it. */}
        <main ref={page} id="content" class={`page page-${route.page} ${WHOLE.has(route.page) ? "whole" : ""}`} tabIndex={-1}>
          {View === undefined ? (
            <Empty>
              There is no page “{route.page}”. <a href="#/overview">To the overview</a>
            </Empty>
          ) : (
            <Guarded>
              <View route={route} />
            </Guarded>
          )}
        </main>
      </Content>
      {help && <Help onClose={() => setHelp(false)} />}
    </>
  );
}

/** Pages that fill the window and scroll inside. */
const WHOLE = new Set(["hosts", "jobs", "gantt", "star", "files"]);

function pageTitle(title: string): string {
  const { cluster } = picture;
  const { connection } = state();
  if (connection === "lost" || (cluster?.link === "down" && cluster.link_reason !== OVER)) return `⚠ ${title} · Gelato`;
  return cluster === null ? `${title} · Gelato` : `${cluster.running}/${cluster.slots} ${title} · Gelato`;
}

function Guarded({ children }: { children: preact.ComponentChildren }) {
  useLive();
  const { connection } = state();
  if (connection === "denied") return <TokenEntry />;
  if (picture.cluster === null) return <Empty>{connection === "connecting" ? "Connecting…" : "The server does not answer. Trying again…"}</Empty>;
  return <>{children}</>;
}

function TokenEntry() {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState("");
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await logIn(token.trim());
      connect();
    } catch (error) {
      setProblem(error instanceof ApiError ? `${error.message}${error.hint === null ? "" : `: ${error.hint}`}` : "the server does not answer");
    }
  };
  return (
    <section class="panel settings-list" aria-label="Token">
      <header class="panel-head">
        <h1>This page needs a token</h1>
      </header>
      <form class="panel-body stack" onSubmit={(event) => void submit(event)}>
        <p class="faint">
          The server listens for other machines, so it asks who is there. The token is in the file given by <code>--token-file</code>.
        </p>
        <label class="labelled">
          Token
          <input class="field grow" type="password" autocomplete="off" value={token} onInput={(event) => setToken(event.currentTarget.value)} />
        </label>
        <p role="alert" class="state failed">{problem}</p>
        <button class="button main-action" type="submit">Open</button>
      </form>
    </section>
  );
}

function ClusterLine() {
  useLive();
  useTick(1000);
  const { cluster } = picture;
  const { connection } = state();
  if (cluster === null) {
    return (
      <div class="cluster">
        <div>
          <i class={`link-dot ${connection}`} /> <span>{connection === "denied" ? "token needed" : "connecting"}</span>
        </div>
      </div>
    );
  }
  const dot = connection === "live" ? cluster.link : connection;
  const platforms = cluster.platforms.filter(({ slots, busy }) => slots > 0 || busy > 0);
  return (
    <div class="cluster" role="region" aria-label="Cluster">
      <div class="who">
        <i class={`link-dot ${dot}`} />
        <b title="network">{cluster.netname ?? "network"}</b>
        <span class="optional">
          {cluster.scheduler === null ? "no scheduler" : shownAddress(cluster.scheduler)}
          {cluster.version === null ? "" : ` · ${cluster.version}`}
          {cluster.started === null ? "" : ` · up ${age(cluster.now - cluster.started)}`}
        </span>
      </div>
      <div title="Running jobs / slots of hosts that take remote work">
        <b data-figure="busy">
          {count(cluster.running)}/{count(cluster.slots)}
        </b>
        <span>busy</span>
        <Meter share={cluster.running / Math.max(1, cluster.slots)} />
      </div>
      {platforms.length > 1 &&
        platforms.slice(0, 3).map(({ platform, slots, busy }) => (
          <div key={platform} class="optional" title={`Slots on ${platform}`}>
            <b>
              {count(busy)}/{count(slots)}
            </b>
            <span>{platform}</span>
          </div>
        ))}
      <div title="Jobs that wait for a worker">
        <b data-figure="queued">{count(cluster.queued)}</b>
        <span>queued</span>
      </div>
      <div title="Hosts: at work / taking work / all">
        <b data-figure="hosts">
          {count(cluster.active)}/{count(cluster.available)}/{count(cluster.hosts)}
        </b>
        <span>hosts</span>
      </div>
    </div>
  );
}

function Tools({ onHelp }: { onHelp: () => void }) {
  useLive();
  const { theme } = useSettings();
  const { paused } = state();
  const shown = document.documentElement.dataset["theme"];
  return (
    <div class="top-tools">
      <button
        type="button"
        class={`button ${paused ? "" : "quiet"}`}
        aria-pressed={paused}
        title={paused ? "Go on (p)" : "Pause everything (p)"}
        aria-label="Pause"
        onClick={() => setPaused(!paused)}
      >
        <Icon name={paused ? "play" : "pause"} />
      </button>
      <button
        type="button"
        class="button quiet"
        title="Light or dark"
        aria-label={`Theme: ${theme}; switch`}
        onClick={() => change({ theme: shown === "dark" ? "light" : "dark" })}
      >
        <Icon name="theme" />
      </button>
      <button type="button" class="button quiet" title="Keys (?)" aria-label="Keys" onClick={onHelp}>
        <Icon name="help" />
      </button>
    </div>
  );
}

function Pages({ current, open, onClose }: { current: string; open: boolean; onClose: () => void }) {
  useLive();
  const badges: Record<string, { text: string; bad: boolean } | undefined> = {
    alerts: picture.alerts.length > 0 ? { text: String(picture.alerts.length), bad: true } : undefined,
    builds: openBuilds() > 0 ? { text: String(openBuilds()), bad: false } : undefined,
  };
  const groups = [...new Set(PAGES.map(({ group }) => group))];
  return (
    <nav
      class={`nav ${open ? "open" : ""}`}
      aria-label="Pages"
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
    >
      {groups.map((group) => (
        <div key={group}>
          <h3>{group}</h3>
          <ul>
            {PAGES.filter((page) => page.group === group).map((page) => {
              const badge = badges[page.id];
              return (
                <li key={page.id}>
                  <a href={href(page.id)} aria-current={page.id === current ? "page" : undefined} onClick={onClose}>
                    <Icon name={page.id === "why" ? "help" : page.id} />
                    {page.title}
                    {badge !== undefined && <span class={`badge ${badge.bad ? "bad" : ""}`}>{badge.text}</span>}
                  </a>
                </li>
              );
            })}
          </ul>
        </div>
      ))}
    </nav>
  );
}

const openBuilds = (): number => [...picture.builds.values()].filter(({ open }) => open).length;

/** What the server says at the end of a recording. */
const OVER = "the recording is over";

function Content({ children }: { title: string; children: preact.ComponentChildren }) {
  useLive();
  useTick(1000);
  const { cluster } = picture;
  const { connection, lastHeard, paused, held } = state();
  const lost = connection === "lost";
  const down = !lost && cluster !== null && cluster.link !== "up";
  return (
    <div class={`main ${lost || (down && cluster.link_reason !== OVER) ? "stale" : ""}`}>
      {/* Words that change each second stay out of the live region, or nothing else would be heard. */}
      <div aria-live="polite" class="behind">
        {lost ? "Connection to the server lost; showing the last picture." : down ? "Scheduler lost; showing the last picture." : ""}
      </div>
      {lost && (
        <div class="banner bad" data-banner="lost">
          <span>
            Connection lost. This is the picture of {age(Date.now() - lastHeard)} ago; trying again.
          </span>
          <button type="button" class="button" onClick={connect}>
            Try now
          </button>
        </div>
      )}
      {down && cluster !== null && cluster.link_reason === OVER && (
        <div class="banner" data-banner="over">
          <span>The recording is over. This is the picture at its end, {fullTime(cluster.now, settings().zone)}.</span>
        </div>
      )}
      {down && cluster !== null && cluster.link_reason !== OVER && (
        <div class="banner" data-banner="down">
          <span>
            {cluster.link === "searching" ? "Searching a scheduler" : "The scheduler is not heard"}
            {cluster.link_since === null ? "" : ` for ${age(cluster.now - cluster.link_since)}`}
            {cluster.link_reason === null || cluster.link_reason === "" ? "" : ` (${cluster.link_reason})`}. Hosts and jobs are as they were
            last.
          </span>
        </div>
      )}
      {paused && (
        <div class="banner" data-banner="paused">
          <span>Paused{held > 0 ? `; ${count(held)} updates wait` : ""}.</span>
          <button type="button" class="button" onClick={() => setPaused(false)}>
            Go on
          </button>
        </div>
      )}
      {children}
    </div>
  );
}

function shortcut(event: KeyboardEvent, help: () => void): void {
  const { target } = event;
  const typing = target instanceof HTMLElement && target.closest("input,textarea,select,dialog") !== null;
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !settings().shortcuts) return;
  if (event.key === "?") help();
  else if (event.key === "p") setPaused(!isPaused());
  else if (event.key === "/") {
    const field = document.querySelector<HTMLElement>("[data-filter]");
    if (field === null) go("jobs");
    else field.focus();
    event.preventDefault();
  } else {
    const page = PAGES.find(({ key }) => key === event.key);
    if (page !== undefined) go(page.id);
  }
}

function Help({ onClose }: { onClose: () => void }) {
  const keys: [string, string][] = [
    ...PAGES.map(({ key, title }): [string, string] => [key, title]),
    ["/", "Filter"],
    ["p", "Pause or go on"],
    ["↑ ↓", "Rows of a table; also j, k, Page up, Page down, Home, End"],
    ["Enter", "Details of the row"],
    ["Esc", "Close details"],
    ["+ −", "Timeline: zoom"],
    ["← →", "Timeline: back and forth"],
    ["f", "Timeline: follow the present"],
  ];
  return (
    <Modal title="Keys" onClose={onClose}>
      <dl class="keys">
        {keys.map(([key, text]) => [
          <dt key={`${text}k`}>
            <kbd>{key}</kbd>
          </dt>,
          <dd key={text}>{text}</dd>,
        ])}
      </dl>
      <p class="faint">Single keys can be switched off in the settings.</p>
    </Modal>
  );
}
