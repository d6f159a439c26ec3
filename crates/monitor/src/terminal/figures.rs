//! Numbers as people read them in a narrow column.

/// A span of milliseconds, at most six characters: `0.4s`, `12.0s`, `3m07s`, `2h05m`, `4d03h`.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{:.1}s", ms as f64 / 1000.0),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Bytes, at most six characters: `812B`, `4.0K`, `1.5M`.
pub(super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "K", "M", "G"] {
        if value < 1000.0 {
            return if unit == "B" {
                format!("{count}B")
            } else {
                format!("{value:.1}{unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1}T")
}

/// Levels as a row of bars, `top` being the highest.
pub(super) fn sparkline(levels: &[f64], top: f64) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    levels
        .iter()
        .map(|level| {
            let share = if top > 0.0 {
                (level / top).clamp(0.0, 1.0)
            } else {
                0.0
            };
            let index = (share * 8.0).round() as usize;
            // What is little is not nothing.
            BARS[if index == 0 && *level > 0.0 { 1 } else { index }]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes() {
        let spans = [400, 59_900, 187_000, 7_500_000, 356_400_000].map(span);
        assert_eq!(spans, ["0.4s", "59.9s", "3m07s", "2h05m", "4d03h"]);
        assert_eq!([812, 4_096, 1_572_864].map(bytes), ["812B", "4.0K", "1.5M"]);
        assert_eq!(bytes(1_010 << 10), "1.0M");
    }

    #[test]
    fn little_is_seen() {
        assert_eq!(sparkline(&[0.0, 0.01, 2.0, 4.0, 9.0], 4.0), " ▁▄██");
        assert_eq!(sparkline(&[0.0], 0.0), " ");
    }
}
