// What is wrong, since when, measured against what, and what to do.

import { picture, serverNow, useLive, useTick } from "../live/live";
import { shownFile, shownText, trueHost } from "../live/names";
import { href } from "../live/route";
import { settings } from "../live/settings";
import { age, fullTime, plural } from "../logic/format";
import { Empty, PageHead, Panel, Severity, StateTag } from "../ui/bits";

export function Alerts() {
  useLive();
  useTick(1000);
  const { alerts } = picture;
  const failures = [...picture.jobs.values()].filter(({ state }) => state === "failed" || state === "lost").slice(-12).reverse();
  return (
    <>
      <PageHead title="Alerts" note={alerts.length === 0 ? undefined : plural(alerts.length, "alert")} />
      <Panel title="Now">
        {alerts.length === 0 ? (
          <Empty>Nothing to worry about.</Empty>
        ) : (
          <ul class="rows">
            {alerts.map((alert) => (
              <li key={alert.id} class="alert-row" data-alert={alert.code}>
                <span>
                  <Severity alert={alert} />
                </span>
                <span>
                  <b>{shownText(alert.text)}</b> <code class="faint">{alert.code}</code>
                </span>
                <span class="faint" title={fullTime(alert.since, settings().zone)}>
                  for {age(serverNow() - alert.since)}
                </span>
                <p>
                  {shownText(alert.advice)}{" "}
                  <span>
                    Measured {round(alert.value)}, wrong from {round(alert.threshold)}.
                  </span>
                </p>
              </li>
            ))}
          </ul>
        )}
      </Panel>
      <Panel title="Last failed and lost jobs" actions={<a href={href("jobs", null, { q: "state:failed,lost" })}>All</a>}>
        {failures.length === 0 ? (
          <Empty>None.</Empty>
        ) : (
          <ul class="rows">
            {failures.map((job) => (
              <li key={job.id} class="alert-row">
                <StateTag state={job.state} />
                <a class="mono" href={href("jobs", job.id)}>
                  {shownFile(job.file)}
                </a>
                <span class="faint">
                  exit {job.exit ?? "?"}
                  {job.server === null ? "" : ` on ${shownText(trueHost(job.server))}`}
                </span>
              </li>
            ))}
          </ul>
        )}
      </Panel>
    </>
  );
}

const round = (value: number): string => String(Math.round(value * 100) / 100);
