// Small line drawings, 16 × 16, coloured by the text around them.

const PATHS: Record<string, string> = {
  overview: "M2 2.5h5v5H2zM9 2.5h5v3H9zM9 7.5h5v6H9zM2 9.5h5v4H2z",
  hosts: "M2 3h12v4H2zM2 9h12v4H2zM4.5 5h.01M4.5 11h.01M7 5h5M7 11h5",
  jobs: "M5.5 4H14M5.5 8H14M5.5 12H14M2 4h.01M2 8h.01M2 12h.01",
  gantt: "M2 3.5h6M5 8h7M8 12.5h6",
  star: "M8 8L3 3M8 8l5-5M8 8l-5 5M8 8l5 5M8 6.2a1.8 1.8 0 1 0 .01 0M3 2a1 1 0 1 0 .01 0M13 2a1 1 0 1 0 .01 0M3 12a1 1 0 1 0 .01 0M13 12a1 1 0 1 0 .01 0",
  builds: "M8 1.8l5.5 3v6.4L8 14.2l-5.5-3V4.8zM2.5 4.8L8 8l5.5-3.2M8 8v6.2",
  files: "M4 1.8h5.5L13 5.3v8.9H4zM9.2 1.8v3.8H13M6.5 8.5h4M6.5 11h4",
  people: "M6 7.5a2.7 2.7 0 1 0-.01 0M1.5 14c0-2.6 2-4.2 4.5-4.2s4.5 1.600 4.500 4.200M10.500 2.300a2.600 2.600 0 0 1 0 5M12 10c1.600.500 2.500 1.900 2.500 4",
  toolchains: "M10.500 2a3.600 3.600 0 0 0-3.400 4.800L2 11.900 4.100 14l5.100-5.100A3.600 3.600 0 0 0 13.900 4.300L11.700 6.500 9.500 4.300l2.200-2.200z",
  history: "M2 2v12h12M4.500 10.500l3-3.500 2.500 2 4-5",
  alerts: "M8 2l6.300 11.500H1.700zM8 6.500v3.300M8 11.800h.01",
  manage: "M2 4h7M12 4h2M2 8h2M7 8h7M2 12h6M11 12h3M10.500 2.500v3M5.500 6.500v3M9.500 10.500v3",
  settings: "M8 5.500a2.500 2.500 0 1 0 .01 0M8 1.500v2M8 12.500v2M1.500 8h2M12.500 8h2M3.400 3.400l1.400 1.400M11.200 11.200l1.400 1.400M3.400 12.600l1.400-1.400M11.200 4.800l1.400-1.400",
  pause: "M5.500 3v10M10.500 3v10",
  play: "M4.500 2.500l8 5.500-8 5.500z",
  close: "M3.500 3.500l9 9M12.500 3.500l-9 9",
  menu: "M2 4h12M2 8h12M2 12h12",
  copy: "M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3",
  columns: "M2 3h12v10H2zM6 3v10M10 3v10",
  up: "M3.500 10L8 5.500 12.500 10",
  down: "M3.500 6L8 10.500 12.500 6",
  external: "M9 2.500h4.500V7M13.500 2.500L7 9M6.500 3.500h-4v10h10v-4",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  theme: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
  help: "M6 6a2 2 0 1 1 2.800 1.900c-.5.300-.8.600-.8 1.400M8 12h.01M8 1.500a6.500 6.500 0 1 0 .01 0",
};

export function Icon({ name, size = 16 }: { name: string; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name] ?? ""} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg class="logo" width="22" height="22" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path class="cone" d="M9 15h14l-7 15z" />
      <path class="cone-low" d="M12.500 15h7L16 22.500z" />
      <path class="scoop" d="M16 2a7.500 7.500 0 0 1 7.500 7.200 4.200 4.200 0 0 1-1.700 8.100c-1.600 0-2.400-.7-3-1.500-.8.9-1.700 1.400-2.800 1.400s-2-.5-2.800-1.400c-.6.800-1.400 1.500-3 1.500a4.200 4.200 0 0 1-1.700-8.100A7.500 7.500 0 0 1 16 2z" />
    </svg>
  );
}
