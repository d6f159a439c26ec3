// Lines and areas over time, drawn by uPlot; the same numbers as a table for who cannot see them.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clockTime, dayOf, minuteTime, short, usableZone } from "../logic/format";
import { onTheme, settings, themeColour } from "../live/settings";

export interface Series {
  name: string;
  /** A colour of the theme. */
  colour: string;
  values: readonly (number | null)[];
  fill?: boolean;
  dashed?: boolean;
  stepped?: boolean;
}

interface Props {
  label: string;
  /** Milliseconds since 1970, or any number if `axis` says how it reads. */
  at: readonly number[];
  series: readonly Series[];
  height: number;
  axis?: (at: number) => string;
  unit?: (value: number) => string;
  /** The least the value axis reaches up to. */
  least?: number;
}

export function TimeChart(props: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const shape = `${props.series.map(({ name, colour }) => `${name} ${colour}`).join()} ${props.height}`;

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const build = () => {
      plot.current?.destroy();
      const width = Math.max(120, element.clientWidth);
      plot.current = new uPlot(options(latest, width), data(latest.current), element);
    };
    build();
    const observer = new ResizeObserver(() => {
      const width = element.clientWidth;
      if (width > 0) plot.current?.setSize({ width, height: latest.current.height });
    });
    observer.observe(element);
    const forget = onTheme(build);
    return () => {
      observer.disconnect();
      forget();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(data(props));
  }, [props.at, props.series]);

  return (
    <figure class="chart">
      <div ref={place} class="chart-place" aria-hidden="true" />
      <table class="behind">
        <caption>{props.label}</caption>
        <thead>
          <tr>
            <th scope="col">When</th>
            {props.series.map(({ name }) => (
              <th key={name} scope="col">{name}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sample(props.at.length).map((at) => (
            <tr key={at}>
              <th scope="row">{reads(props, props.at[at] ?? 0)}</th>
              {props.series.map(({ name, values }) => (
                <td key={name}>{says(props, values[at])}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}

const reads = (props: Props, at: number): string => (props.axis ?? ((ms: number) => clockTime(ms, settings().zone)))(at);
const says = (props: Props, value: number | null | undefined): string =>
  value === null || value === undefined ? "–" : (props.unit ?? short)(value);

/** A dozen places evenly over the whole: enough to follow a curve by ear. */
function sample(length: number): number[] {
  const most = Math.min(12, length);
  return Array.from({ length: most }, (_, at) => Math.round((at * (length - 1)) / Math.max(1, most - 1)));
}

function data(props: Props): uPlot.AlignedData {
  const x = props.at.map((at) => (props.axis === undefined ? at / 1000 : at));
  return [x, ...props.series.map(({ values }) => [...values])] as uPlot.AlignedData;
}

function options(latest: { current: Props }, width: number): uPlot.Options {
  const props = latest.current;
  const font = "11px system-ui, sans-serif";
  const line = themeColour("line");
  const ink = themeColour("ink-soft");
  const axis = { stroke: ink, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
  const zone = usableZone(settings().zone);
  const time = props.axis === undefined;
  return {
    width,
    height: props.height,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    ...(zone === undefined ? {} : { tzDate: (at: number) => uPlot.tzDate(new Date(at * 1000), zone) }),
    scales: { x: { time }, y: { range: (_, __, most) => [0, nice(Math.max(most ?? 0, latest.current.least ?? 1))] } },
    axes: [
      {
        ...axis,
        size: 26,
        space: 64,
        values: (_, splits) => {
          const span = ((splits[splits.length - 1] ?? 0) - (splits[0] ?? 0)) * (time ? 1000 : 1);
          return splits.map((at) => {
            if (!time) return reads(latest.current, at);
            const ms = at * 1000;
            const zoneName = settings().zone;
            if (span > 3 * 86_400_000) return dayOf(ms, zoneName);
            return span < 10 * 60_000 ? clockTime(ms, zoneName) : minuteTime(ms, zoneName);
          });
        },
      },
      {
        ...axis,
        size: 44,
        space: 28,
        values: (_, splits) => splits.map((value) => says(latest.current, value)),
      },
    ],
    series: [
      {},
      ...props.series.map((one): uPlot.Series => ({
        label: one.name,
        stroke: themeColour(one.colour),
        width: 1.5,
        points: { show: false },
        ...(one.fill === true ? { fill: `${themeColour(one.colour)}33` } : {}),
        ...(one.dashed === true ? { dash: [4, 4] } : {}),
        ...(one.stepped === true && uPlot.paths.stepped !== undefined ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
      })),
    ],
    plugins: [tooltip(latest)],
  };
}

function nice(most: number): number {
  return most * 1.08;
}

/** What the curve says under the pointer. */
function tooltip(latest: { current: Props }): uPlot.Plugin {
  let box: HTMLDivElement | null = null;
  return {
    hooks: {
      init: (plot) => {
        box = document.createElement("div");
        box.className = "chart-tip";
        box.hidden = true;
        plot.over.appendChild(box);
        plot.over.addEventListener("mouseleave", () => {
          if (box !== null) box.hidden = true;
        });
      },
      setCursor: (plot) => {
        const at = plot.cursor.idx;
        if (box === null || at === null || at === undefined || plot.cursor.left === undefined || plot.cursor.left < 0) return;
        const props = latest.current;
        box.replaceChildren();
        const when = document.createElement("b");
        when.textContent = reads(props, props.at[at] ?? 0);
        box.append(when);
        for (const { name, values } of props.series) {
          const row = document.createElement("div");
          row.textContent = `${name} ${says(props, values[at])}`;
          box.append(row);
        }
        box.hidden = false;
        const right = plot.cursor.left > plot.over.clientWidth / 2;
        box.style.left = right ? "" : `${plot.cursor.left + 12}px`;
        box.style.right = right ? `${plot.over.clientWidth - plot.cursor.left + 12}px` : "";
      },
    },
  };
}
