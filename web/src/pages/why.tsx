// Why jobs are not done elsewhere: each reason, how often, and what to do.

import { picture, useLive } from "../live/live";
import { shownFile } from "../live/names";
import { href } from "../live/route";
import { count, percent, plural } from "../logic/format";
import { Empty, Figure, Meter, Missing, PageHead, Panel, Prose } from "../ui/bits";

export function Why() {
  useLive();
  const { cluster } = picture;
  const reasons = [...picture.reasons].sort((a, b) => b.count - a.count);
  const all = reasons.reduce((sum, reason) => sum + reason.count, 0);
  if (cluster === null) return null;
  return (
    <>
      <PageHead title="Why local" note="what kept jobs on their submitter's machine" />
      <dl class="figures">
        <Figure label="Local" value={percent(cluster.local_percent)} sub="own and local jobs among all" />
        <Figure label="Own machine" value={count(cluster.totals.own)} unit="jobs" sub="the scheduler chose the submitter" />
        <Figure label="Local" value={count(cluster.totals.local)} unit="jobs" sub="could not travel" />
        <Figure label="Elsewhere" value={count(cluster.totals.remote)} unit="jobs" />
      </dl>
      <Panel title="Reasons" note={plural(all, "job")}>
        {reasons.length === 0 ? (
          cluster.has_records ? (
            <Empty>No job stayed home so far.</Empty>
          ) : (
            <Missing what="Reasons" />
          )
        ) : (
          <ul class="rows">
            {reasons.map((reason) => (
              <li key={reason.code} class="reason">
                <span class="words">
                  <a href={href("jobs", null, { q: `reason:${reason.code}` })}>
                    <code>{reason.code}</code>
                  </a>
                </span>
                <Meter share={reason.count / Math.max(1, all)} tone="local" />
                <span class="count">{count(reason.count)}</span>
                <p>
                  <Prose text={`${reason.explanation} ${reason.advice}`} />
                  {reason.example === "" ? "" : " Last: "}
                  {reason.example !== "" && <code>{shownFile(reason.example)}</code>}
                </p>
              </li>
            ))}
          </ul>
        )}
      </Panel>
    </>
  );
}
