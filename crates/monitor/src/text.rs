//! Names from the network, made fit to be shown: bounded, and without characters that move a cursor.

/// Longest file or host name that is kept, in bytes; longer ones lose their beginning, where files are least distinct.
const LONGEST: usize = 512;

/// The text with control characters replaced and its length bounded.
pub(crate) fn presentable(raw: &str) -> String {
    let mut start = raw.len().saturating_sub(LONGEST);
    while !raw.is_char_boundary(start) {
        start += 1;
    }
    raw[start..]
        .chars()
        .map(|letter| {
            if is_hostile(letter) {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

/// Control characters, and those that change the direction of what follows.
fn is_hostile(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_overlong_names_do_no_harm() {
        assert_eq!(presentable("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(presentable("ok\u{202e}txt"), "ok\u{fffd}txt");
        let long = presentable(&"ä".repeat(1000));
        assert!(long.len() <= LONGEST && long.chars().all(|letter| letter == 'ä'));
    }
}
