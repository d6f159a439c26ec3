// How the page looks and moves; kept in this browser.

import { change, DEFAULTS, useSettings } from "../live/settings";
import { fullTime, usableZone } from "../logic/format";
import { serverNow, useTick } from "../live/live";
import { PageHead, Panel, Segmented } from "../ui/bits";

const ZONES = ["local", "UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles", "Asia/Kolkata", "Asia/Tokyo", "Australia/Sydney"];

export function SettingsPage() {
  useTick(1000);
  const chosen = useSettings();
  const zoneKnown = chosen.zone === "local" || usableZone(chosen.zone) !== undefined;
  return (
    <>
      <PageHead title="Settings" note="kept in this browser" />
      <Panel title="Looks" class="settings-list">
        <div class="form">
          <span class="name">Theme</span>
          <Segmented
            label="Theme"
            value={chosen.theme}
            options={[["auto", "Automatic"], ["light", "Light"], ["dark", "Dark"], ["contrast", "High contrast"]] as const}
            onChange={(theme) => change({ theme })}
          />
          <span class="name">Size of type</span>
          <Segmented
            label="Size of type"
            value={String(chosen.scale)}
            options={[["85", "85 %"], ["100", "100 %"], ["115", "115 %"], ["130", "130 %"], ["160", "160 %"]] as const}
            onChange={(scale) => change({ scale: Number(scale) })}
          />
          <span class="name">Motion</span>
          <Segmented
            label="Motion"
            value={chosen.motion}
            options={[["auto", "As the system says"], ["reduce", "Less"], ["full", "All"]] as const}
            onChange={(motion) => change({ motion })}
          />
          <label for="zone">Time zone</label>
          <span>
            <input
              id="zone"
              class={`field ${zoneKnown ? "" : "wrong"}`}
              list="zones"
              value={chosen.zone}
              aria-invalid={!zoneKnown}
              onChange={(event) => change({ zone: event.currentTarget.value.trim() || "local" })}
            />{" "}
            <span class="faint">{fullTime(serverNow(), chosen.zone)}</span>
            <datalist id="zones">
              {ZONES.map((zone) => (
                <option key={zone} value={zone} />
              ))}
            </datalist>
          </span>
          <span class="name">Timeline</span>
          <Segmented
            label="Timeline"
            value={chosen.newestLeft ? "left" : "right"}
            options={[["right", "Newest at the right"], ["left", "Newest at the left"]] as const}
            onChange={(side) => change({ newestLeft: side === "left" })}
          />
        </div>
      </Panel>
      <Panel title="Names and keys" class="settings-list">
        <div class="stack">
          <label>
            <input type="checkbox" checked={chosen.anonymise} onChange={() => change({ anonymise: !chosen.anonymise })} /> Anonymise hosts,
            files and people, for demonstrations and screenshots
          </label>
          <label>
            <input type="checkbox" checked={chosen.hidePeople} onChange={() => change({ hidePeople: !chosen.hidePeople })} /> Hide the names
            of people
          </label>
          <label>
            <input type="checkbox" checked={chosen.shortcuts} onChange={() => change({ shortcuts: !chosen.shortcuts })} /> Single keys choose
            pages
          </label>
          <div>
            <button type="button" class="button" onClick={() => change(DEFAULTS)}>
              As it was
            </button>
          </div>
        </div>
      </Panel>
    </>
  );
}
