//! Numbers, times and long sentences as people read them, within the width of a terminal. Pure.

use std::time::Duration;

use gelato_monitor::verdict::Evidence;

/// Columns of the narrowest terminal.
pub(crate) const WIDTH: usize = 80;

/// Columns of the words on the left.
pub(crate) const LEFT: usize = 12;

/// `time` as `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
pub(crate) fn time(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{minutes} min"),
        7200..172_800 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Bytes with a unit and at most one decimal.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value >= 10.0 || unit == 0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// `1 job`, `2 jobs`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A figure behind a verdict on a build, on a line.
pub(crate) fn evidence(evidence: &Evidence) -> String {
    let value = match evidence.unit.as_str() {
        "B" => bytes(evidence.value as u64),
        "ms" if evidence.value >= 10_000.0 => format!("{:.1} s", evidence.value / 1000.0),
        "%" => format!("{:.0} %", evidence.value),
        unit => format!("{:.1} {unit}", evidence.value)
            .trim_end()
            .to_owned(),
    };
    format!("{value:>14}  {}", evidence.what)
}

/// A line with a word on the left; what does not fit goes on below.
pub(crate) fn row(left: &str, text: &str) -> Vec<String> {
    hang(&format!("{left:<0$}", LEFT.max(left.len() + 1)), text)
}

/// A text that begins with `first` and goes on below at the same column.
pub(crate) fn hang(first: &str, text: &str) -> Vec<String> {
    let column = first.chars().count();
    let room = WIDTH.saturating_sub(column).max(20);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let needed = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && needed > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let blank = " ".repeat(column);
    lines
        .into_iter()
        .enumerate()
        .map(|(at, line)| format!("{}{line}", if at == 0 { first } else { &blank }))
        .collect()
}

/// The end of a text that is too long, as what differs in paths and names stands there.
pub(crate) fn tail(text: &str, room: usize) -> String {
    let length = text.chars().count();
    if length <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().skip(length - room.saturating_sub(1)).collect();
    format!("…{kept}")
}

/// A text of a peer without what would steer the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// `90`, `90s`, `90m`, `2h`, `1d`, `1h30m`.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write for instance 90m, 2h or 1h30m");
    let mut seconds: u64 = 0;
    let mut digits = String::new();
    let mut add = |digits: &mut String, unit: u64| -> Result<(), String> {
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        digits.clear();
        seconds = number
            .checked_mul(unit)
            .and_then(|part| seconds.checked_add(part))
            .ok_or_else(wrong)?;
        Ok(())
    };
    for c in text.trim().chars() {
        match c {
            '0'..='9' => digits.push(c),
            's' => add(&mut digits, 1)?,
            'm' => add(&mut digits, 60)?,
            'h' => add(&mut digits, 3600)?,
            'd' => add(&mut digits, 86_400)?,
            _ => return Err(wrong()),
        }
    }
    if !digits.is_empty() {
        add(&mut digits, 1)?;
    }
    match seconds {
        0 => Err(wrong()),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let seconds = |text| parse_time(text).map(|time| time.as_secs()).ok();
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(seconds("90m"), Some(5400));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds(" 2d "), Some(172_800));
        for wrong in ["", "0", "h", "2 h", "-1h", "2w", "99999999999999999999d"] {
            assert_eq!(seconds(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn nothing_is_wider_than_a_terminal() {
        let text = "a sentence of many words that goes on for longer than one line of a terminal has room for it, and on";
        let lines = row("Mode", text);
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines[1].starts_with("            "));
    }

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_530_000), "1.5 MB");
        assert_eq!(bytes(204_000_000), "204 MB");
        assert_eq!(time(119), "119 s");
        assert_eq!(time(3600), "60 min");
        assert_eq!(time(90_000), "25 h 0 min");
        assert_eq!(tail("/home/u/project/x.c", 8), "…ect/x.c");
    }
}
