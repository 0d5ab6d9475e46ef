//! Times in words: RFC 3339's for people and programs, HTTP's own for its `Date`.

const DAY: u64 = 86_400;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A time in UTC, as calendars have it.
struct Utc {
    year: u64,
    /// From 1.
    month: usize,
    /// From 1.
    day: u64,
    /// From 0, Sunday.
    weekday: usize,
    /// Within the day.
    second: u64,
}

impl Utc {
    fn new(since_1970: u64) -> Self {
        let (days, second) = (since_1970 / DAY, since_1970 % DAY);
        let (mut year, mut left) = (1970, days);
        while left >= days_of_year(year) {
            left -= days_of_year(year);
            year += 1;
        }
        let mut month = 1;
        while left >= days_of_month(year, month) {
            left -= days_of_month(year, month);
            month += 1;
        }
        // The first of them was a Thursday.
        let weekday = usize::try_from((days + 4) % 7).unwrap_or(0);
        Self { year, month, day: left + 1, weekday, second }
    }

    fn clock(&self) -> String {
        format!("{:02}:{:02}:{:02}", self.second / 3600, self.second / 60 % 60, self.second % 60)
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn days_of_month(year: u64, month: usize) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Microseconds since 1970, such as `2026-11-23T04:43:44.007Z`.
pub fn rfc3339(micros: u64) -> String {
    let utc = Utc::new(micros / 1_000_000);
    let millis = micros / 1000 % 1000;
    format!("{:04}-{:02}-{:02}T{}.{millis:03}Z", utc.year, utc.month, utc.day, utc.clock())
}

/// Microseconds since 1970, such as `2026-11-23 04:43:44 UTC`.
pub fn for_people(micros: u64) -> String {
    let utc = Utc::new(micros / 1_000_000);
    format!("{:04}-{:02}-{:02} {} UTC", utc.year, utc.month, utc.day, utc.clock())
}

/// Seconds since 1970, such as `Mon, 23 Nov 2026 04:43:44 GMT` (RFC 9110, 5.6.7).
pub fn http(seconds: u64) -> String {
    let utc = Utc::new(seconds);
    let (weekday, month) = (WEEKDAYS[utc.weekday], MONTHS[utc.month - 1]);
    format!("{weekday}, {:02} {month} {:04} {} GMT", utc.day, utc.year, utc.clock())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_told_right() {
        // From `date -u -d @N`.
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (1_795_409_024, "Mon, 23 Nov 2026 04:43:44 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(http(seconds), date);
        }
        assert_eq!(rfc3339(1_795_409_024_007_999), "2026-11-23T04:43:44.007Z");
        assert_eq!(for_people(1_795_409_024_007_999), "2026-11-23 04:43:44 UTC");
    }
}
