// The pages, in the order in which they are offered. The key chooses a page as in the terminal.

export interface PageEntry {
  id: string;
  title: string;
  group: "Now" | "Work" | "Over time" | "This page";
  key: string;
}

export const PAGES: readonly PageEntry[] = [
  { id: "overview", title: "Overview", group: "Now", key: "0" },
  { id: "hosts", title: "Hosts", group: "Now", key: "1" },
  { id: "jobs", title: "Jobs", group: "Now", key: "2" },
  { id: "gantt", title: "Timeline", group: "Now", key: "4" },
  { id: "star", title: "Star", group: "Now", key: "9" },
  { id: "builds", title: "Builds", group: "Work", key: "3" },
  { id: "files", title: "Slowest files", group: "Work", key: "5" },
  { id: "why", title: "Why local", group: "Work", key: "6" },
  { id: "people", title: "People", group: "Work", key: "7" },
  { id: "toolchains", title: "Toolchains", group: "Work", key: "x" },
  { id: "alerts", title: "Alerts", group: "Over time", key: "8" },
  { id: "history", title: "History", group: "Over time", key: "h" },
  { id: "manage", title: "Manage", group: "This page", key: "m" },
  { id: "settings", title: "Settings", group: "This page", key: "," },
];
