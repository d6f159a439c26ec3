//! What makes a machine somebody's own: its battery, its heat, and whether anybody sits there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Sources;

/// Whether this machine runs on its battery. Batteries of mice and keyboards do not count, nor does one that is used up
/// while the machine is plugged in.
pub(super) fn on_battery(sources: &Sources) -> bool {
    const FOLDER: &str = "/sys/class/power_supply";
    let mut discharging = false;
    for name in sources.names(FOLDER) {
        let folder = Path::new(FOLDER).join(name);
        let value = |file: &str| sources.text(folder.join(file)).trim().to_owned();
        match value("type").as_str() {
            "Battery" | "UPS" if value("scope") != "Device" => {
                discharging |= value("status") == "Discharging";
            }
            "Mains" if value("online") == "1" => return false,
            _ => {}
        }
    }
    discharging
}

/// How often processors have been throttled since boot, summed over all; `None` if nobody counts.
pub(super) fn throttled(sources: &Sources) -> Option<u64> {
    const FOLDER: &str = "/sys/devices/system/cpu";
    let mut sum = None;
    for cpu in sources.names(FOLDER) {
        let number = cpu.strip_prefix("cpu").unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        for kind in ["core", "package"] {
            let path = format!("{FOLDER}/{cpu}/thermal_throttle/{kind}_throttle_count");
            if let Ok(count) = sources.text(path).trim().parse::<u64>() {
                sum = Some(count.saturating_add(sum.unwrap_or(0)));
            }
        }
    }
    sum
}

/// Trip points of a sensor that are looked at.
const MOST_TRIPS: u32 = 12;

/// Whether a sensor has reached the temperature from which the kernel slows processors down.
pub(super) fn too_hot(sources: &Sources) -> bool {
    const FOLDER: &str = "/sys/class/thermal";
    let zones = sources.names(FOLDER);
    zones
        .iter()
        .filter(|name| name.starts_with("thermal_zone"))
        .any(|zone| is_tripped(sources, &Path::new(FOLDER).join(zone)))
}

fn is_tripped(sources: &Sources, zone: &Path) -> bool {
    let value = |file: String| sources.text(zone.join(file)).trim().to_owned();
    let degrees = |file: String| value(file).parse::<i64>().ok();
    let Some(now) = degrees("temp".to_owned()) else {
        return false;
    };
    (0..MOST_TRIPS)
        .map(|trip| (trip, value(format!("trip_point_{trip}_type"))))
        .take_while(|(_, kind)| !kind.is_empty())
        .filter(|(_, kind)| kind == "passive" || kind == "hot")
        .filter_map(|(trip, _)| degrees(format!("trip_point_{trip}_temp")))
        // Some firmware has trip points at or below zero that mean nothing.
        .any(|at| at > 0 && now >= at)
}

/// Whether somebody sits at this machine: a session at its own screen and keyboard, as the login service has it, that is not
/// left alone. Sessions from other machines do not count, nor does a screen that is dark.
pub(super) fn in_use(sources: &Sources, now: SystemTime, recent: Duration) -> bool {
    const FOLDER: &str = "/run/systemd/sessions";
    sources.names(FOLDER).iter().any(|name| {
        let text = sources.text(Path::new(FOLDER).join(name));
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .unwrap_or_default()
        };
        let present = value("ACTIVE") == "1"
            && value("REMOTE") != "1"
            && !value("SEAT").is_empty()
            && value("CLASS").starts_with("user");
        present
            && match value("TYPE") {
                "x11" | "wayland" | "mir" => !screens_are_dark(sources),
                "tty" => typed_since(sources, value("TTY"), now, recent),
                _ => false,
            }
    })
}

/// Whether there are screens and all are switched off, which desktops do when nobody has touched them for a while.
fn screens_are_dark(sources: &Sources) -> bool {
    const FOLDER: &str = "/sys/class/drm";
    let mut any = false;
    for name in sources.names(FOLDER) {
        let folder = Path::new(FOLDER).join(name);
        let value = |file: &str| sources.text(folder.join(file)).trim().to_owned();
        if value("status") == "connected" {
            match value("dpms").as_str() {
                "On" => return false,
                "" => {}
                _ => any = true,
            }
        }
    }
    any
}

/// Reading from a terminal device sets its access time.
fn typed_since(sources: &Sources, tty: &str, now: SystemTime, recent: Duration) -> bool {
    let plain = tty.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if tty.is_empty() || !plain {
        return false;
    }
    let Ok(metadata) = fs::metadata(sources.path(Path::new("/dev").join(tty))) else {
        return false;
    };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let read = Duration::from_secs(u64::try_from(metadata.atime()).unwrap_or(0));
    now.saturating_sub(read) < recent
}

#[cfg(test)]
mod tests {
    use super::super::fake::Machine;
    use super::*;

    const RECENT: Duration = Duration::from_secs(300);

    #[test]
    fn a_laptop_without_its_cable() {
        let machine = Machine::new(&[
            ("/sys/class/power_supply/BAT0/type", "Battery\n"),
            ("/sys/class/power_supply/BAT0/status", "Discharging\n"),
            ("/sys/class/power_supply/AC/type", "Mains\n"),
            ("/sys/class/power_supply/AC/online", "0\n"),
        ]);
        assert!(on_battery(&machine.sources()));
        machine.write("/sys/class/power_supply/AC/online", "1\n");
        assert!(!on_battery(&machine.sources()));
        machine.write("/sys/class/power_supply/AC/online", "0\n");
        machine.write("/sys/class/power_supply/BAT0/status", "Full\n");
        assert!(!on_battery(&machine.sources()));
    }

    #[test]
    fn the_battery_of_a_mouse_is_none() {
        let machine = Machine::new(&[
            ("/sys/class/power_supply/hidpp_0/type", "Battery\n"),
            ("/sys/class/power_supply/hidpp_0/scope", "Device\n"),
            ("/sys/class/power_supply/hidpp_0/status", "Discharging\n"),
        ]);
        assert!(!on_battery(&machine.sources()));
        assert!(!on_battery(&Machine::new(&[]).sources()));
    }

    #[test]
    fn throttling_is_counted_over_all_processors() {
        let count = |cpu: &str, kind: &str| {
            format!("/sys/devices/system/cpu/{cpu}/thermal_throttle/{kind}_throttle_count")
        };
        let machine = Machine::new(&[
            (&count("cpu0", "core"), "3\n"),
            (&count("cpu0", "package"), "4\n"),
            (&count("cpu10", "core"), "5\n"),
            (&count("cpufreq", "core"), "100\n"),
        ]);
        assert_eq!(throttled(&machine.sources()), Some(12));
        assert_eq!(throttled(&Machine::new(&[]).sources()), None);
    }

    #[test]
    fn a_sensor_at_its_trip_point() {
        let zone = "/sys/class/thermal/thermal_zone0";
        let machine = Machine::new(&[
            (&format!("{zone}/temp"), "85000\n"),
            (&format!("{zone}/trip_point_0_type"), "active\n"),
            (&format!("{zone}/trip_point_0_temp"), "40000\n"),
            (&format!("{zone}/trip_point_1_type"), "passive\n"),
            (&format!("{zone}/trip_point_1_temp"), "90000\n"),
            (&format!("{zone}/trip_point_2_type"), "hot\n"),
            (&format!("{zone}/trip_point_2_temp"), "-274000\n"),
        ]);
        assert!(!too_hot(&machine.sources()));
        machine.write(&format!("{zone}/temp"), "90000\n");
        assert!(too_hot(&machine.sources()));
    }

    /// A session file with some of its lines changed.
    fn session(changes: &[(&str, &str)]) -> String {
        let usual = [
            ("ACTIVE", "1"),
            ("REMOTE", "0"),
            ("SEAT", "seat0"),
            ("CLASS", "user"),
            ("TYPE", "wayland"),
            ("TTY", "tty2"),
        ];
        let lines = usual.map(|(key, value)| {
            let changed = changes.iter().find(|change| change.0 == key);
            format!("{key}={}\n", changed.map_or(value, |change| change.1))
        });
        lines.concat()
    }

    #[test]
    fn people_at_the_screen() {
        let machine = Machine::new(&[("/dev/tty2", "")]);
        let tty = fs::metadata(machine.sources().path("/dev/tty2")).unwrap();
        let typed = tty.accessed().unwrap();
        let used = |changes: &[(&str, &str)], now: SystemTime| {
            machine.write("/run/systemd/sessions/2", &session(changes));
            in_use(&machine.sources(), now, RECENT)
        };
        assert!(used(&[], typed));
        for change in [
            ("ACTIVE", "0"),
            ("REMOTE", "1"),
            ("SEAT", ""),
            ("CLASS", "greeter"),
            ("TYPE", "unspecified"),
        ] {
            assert!(!used(&[change], typed), "{change:?}");
        }
        assert!(used(&[("TYPE", "tty")], typed));
        assert!(!used(&[("TYPE", "tty")], typed + RECENT * 2));
        assert!(!used(&[("TYPE", "tty"), ("TTY", "../tty2")], typed));
        machine.write("/sys/class/drm/card0-DP-1/status", "connected\n");
        machine.write("/sys/class/drm/card0-DP-1/dpms", "Off\n");
        assert!(!used(&[], typed), "the screen is dark");
        machine.write("/sys/class/drm/card0-DP-1/dpms", "On\n");
        assert!(used(&[], typed));
    }
}
