//! The hours in which jobs of others are taken, as `worker.hours` has them: `Mon-Fri 19:00-07:00, Sat-Sun`. Pure.
//!
//! Asked is always what the clock on the wall shows, so a change to or from summer time needs no arithmetic: an hour
//! that comes twice counts twice, one that is left out does not count.

use std::fmt;
use std::str::FromStr;

const DAY: u16 = 24 * 60;
const NAMES: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// What the clock on the wall shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallClock {
    /// Days since Monday, 0 to 6.
    pub(crate) weekday: u8,
    /// Minutes since midnight, 0 to 1439.
    pub(crate) minute: u16,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    text: String,
    spans: Vec<Span>,
}

/// From `start` on the days of `days` until `end`, which is the next day if it is not later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    days: u8,
    start: u16,
    end: u16,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// Nothing between two commas, or nothing at all.
    #[error(
        "there is nothing between two commas; write for instance \"Mon-Fri 19:00-07:00, Sat-Sun\""
    )]
    Empty,
    /// Not a day and not a time.
    #[error("\"{0}\" is neither a day (Mon, Tue, …), days (Mon-Fri) nor a time (19:00-07:00)")]
    Word(String),
    /// Two times in one part.
    #[error("\"{0}\" is a second time for the same days; put a comma before it")]
    SecondTime(String),
    /// Days after the time.
    #[error("\"{0}\" stands after the time; days come first, as in \"Sat 08:00-20:00\"")]
    DayAfterTime(String),
    /// An hour or minute there is none of.
    #[error("\"{0}\" is no time; times go from 00:00 to 24:00")]
    Time(String),
    /// From and to are the same.
    #[error("\"{0}\" begins when it ends; leave the time out for whole days")]
    NoLength(String),
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Hours, HoursError> {
        let spans: Result<Vec<Span>, HoursError> = text.split(',').map(span).collect();
        Ok(Hours {
            text: text.trim().to_owned(),
            spans: spans?,
        })
    }
}

fn span(text: &str) -> Result<Span, HoursError> {
    let mut days = 0;
    let mut time = None;
    for word in text.split_whitespace() {
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            if time.is_some() {
                return Err(HoursError::SecondTime(word.to_owned()));
            }
            time = Some(times(word)?);
        } else if time.is_some() {
            return Err(HoursError::DayAfterTime(word.to_owned()));
        } else {
            days |= some_days(word).ok_or_else(|| HoursError::Word(word.to_owned()))?;
        }
    }
    if days == 0 && time.is_none() {
        return Err(HoursError::Empty);
    }
    let (start, end) = time.unwrap_or((0, DAY));
    Ok(Span {
        days: if days == 0 { 0x7f } else { days },
        start,
        end,
    })
}

/// A bit for each day of `Mon` or `Fri-Mon`.
fn some_days(word: &str) -> Option<u8> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (mut day, last) = (day(first)?, day(last)?);
    let mut days = 1 << day;
    while day != last {
        day = (day + 1) % 7;
        days |= 1 << day;
    }
    Some(days)
}

fn day(word: &str) -> Option<u8> {
    let word = word.to_ascii_lowercase();
    let found = NAMES
        .iter()
        .position(|name| word.len() >= 3 && name.starts_with(&word))?;
    u8::try_from(found).ok()
}

fn times(word: &str) -> Result<(u16, u16), HoursError> {
    let Some((start, end)) = word.split_once('-') else {
        return Err(HoursError::Word(word.to_owned()));
    };
    let (start, end) = (minute(start)?, minute(end)?);
    if start == end {
        return Err(HoursError::NoLength(word.to_owned()));
    }
    Ok((start % DAY, if end == 0 { DAY } else { end }))
}

fn minute(text: &str) -> Result<u16, HoursError> {
    let wrong = || HoursError::Time(text.to_owned());
    let number = |digits: &str| -> Option<u16> {
        let plain = digits.len() <= 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let (hour, minute) = (number(hour), number(minute));
    match (hour, minute) {
        (Some(24), Some(0)) => Ok(DAY),
        (Some(hour @ 0..=23), Some(minute @ 0..=59)) => Ok(hour * 60 + minute),
        _ => Err(wrong()),
    }
}

impl Hours {
    /// Whether jobs are taken at this time.
    pub(crate) fn contains(&self, clock: WallClock) -> bool {
        self.spans.iter().any(|span| span.contains(clock))
    }

    /// The next full minute after `clock` at which jobs are taken, as `Mon 19:00`, within a week.
    pub(crate) fn opens(&self, clock: WallClock) -> Option<String> {
        let mut at = clock;
        for _ in 0..7 * DAY {
            at.minute += 1;
            if at.minute >= DAY {
                at.minute = 0;
                at.weekday = (at.weekday + 1) % 7;
            }
            if self.contains(at) {
                return Some(at.to_string());
            }
        }
        None
    }
}

impl Span {
    fn contains(self, clock: WallClock) -> bool {
        let on = |day: u8| self.days & (1 << (day % 7)) != 0;
        let WallClock { weekday, minute } = clock;
        if self.start < self.end {
            on(weekday) && (self.start..self.end).contains(&minute)
        } else {
            (on(weekday) && minute >= self.start) || (on(weekday + 6) && minute < self.end)
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.get(usize::from(self.weekday)).unwrap_or(&"");
        let mut letters = name.chars().take(3);
        if let Some(first) = letters.next() {
            write!(f, "{}", first.to_ascii_uppercase())?;
        }
        for letter in letters {
            write!(f, "{letter}")?;
        }
        write!(f, " {:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(text: &str) -> Hours {
        text.parse().unwrap()
    }

    /// Monday is 0.
    fn at(weekday: u8, hour: u16, minute: u16) -> WallClock {
        WallClock {
            weekday,
            minute: hour * 60 + minute,
        }
    }

    #[test]
    fn nights_and_weekends() {
        let hours = hours("Mon-Fri 19:00-07:00, Sat-Sun");
        assert!(!hours.contains(at(0, 6, 59)), "the night of Sunday is none");
        assert!(!hours.contains(at(0, 18, 59)));
        assert!(hours.contains(at(0, 19, 0)));
        assert!(hours.contains(at(1, 6, 59)));
        assert!(!hours.contains(at(1, 7, 0)));
        assert!(hours.contains(at(5, 12, 0)) && hours.contains(at(6, 23, 59)));
        assert_eq!(hours.opens(at(0, 12, 0)).as_deref(), Some("Mon 19:00"));
        assert_eq!(hours.opens(at(4, 12, 0)).as_deref(), Some("Fri 19:00"));
    }

    #[test]
    fn other_ways_to_write_it() {
        assert!(hours("20:00-24:00").contains(at(3, 23, 59)));
        assert!(hours("20:00-00:00").contains(at(3, 23, 59)));
        assert!(!hours("24:00-06:00").contains(at(3, 23, 59)));
        assert!(hours("0:00-06:00").contains(at(3, 0, 0)));
        let long = hours("friday-MON 8:30-9:00");
        assert!(long.contains(at(4, 8, 30)) && long.contains(at(0, 8, 59)));
        assert!(!long.contains(at(1, 8, 30)));
        let several = hours("Mon Wed 10:00-12:00");
        assert!(several.contains(at(2, 11, 0)) && !several.contains(at(1, 11, 0)));
        assert!(!hours("Sat").contains(at(6, 0, 0)));
    }

    #[test]
    fn mistakes_are_named() {
        let wrong = |text: &str| text.parse::<Hours>().unwrap_err();
        assert_eq!(wrong(""), HoursError::Empty);
        assert_eq!(wrong("Mon,,Tue"), HoursError::Empty);
        assert_eq!(wrong("Mo"), HoursError::Word("Mo".to_owned()));
        assert_eq!(wrong("Mon-"), HoursError::Word("Mon-".to_owned()));
        assert_eq!(wrong("19:00"), HoursError::Word("19:00".to_owned()));
        assert_eq!(wrong("25:00-26:00"), HoursError::Time("25:00".to_owned()));
        assert_eq!(wrong("1:60-2:00"), HoursError::Time("1:60".to_owned()));
        assert_eq!(
            wrong("8:00-8:00"),
            HoursError::NoLength("8:00-8:00".to_owned())
        );
        assert_eq!(
            wrong("8:00-9:00 Mon"),
            HoursError::DayAfterTime("Mon".to_owned())
        );
        assert_eq!(
            wrong("8:00-9:00 10:00-11:00"),
            HoursError::SecondTime("10:00-11:00".to_owned())
        );
        for text in ["Mo", "x", "", "8:00-8:00"] {
            assert!(wrong(text).to_string().contains(' '));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-zA-Z0-9:, -]{0,40}", weekday in 0u8..7, minute in 0u16..1440) {
            if let Ok(hours) = text.parse::<Hours>() {
                let clock = WallClock { weekday, minute };
                let _inside = hours.contains(clock);
                prop_assert!(hours.opens(clock).is_some(), "no schedule is never open: {text:?}");
            }
        }

        #[test]
        fn a_span_and_its_complement_share_the_day(start in 0u16..1440, end in 0u16..1440, minute in 0u16..1440, day in 0u8..7) {
            prop_assume!(start != end);
            let spell = |a: u16, b: u16| format!("{:02}:{:02}-{:02}:{:02}", a / 60, a % 60, b / 60, b % 60);
            let clock = WallClock { weekday: day, minute };
            let inside = hours(&spell(start, end)).contains(clock);
            let outside = hours(&spell(end, start)).contains(clock);
            prop_assert!(inside != outside);
        }
    }
}
