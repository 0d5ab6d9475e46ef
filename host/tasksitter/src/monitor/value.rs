//! Values with their units, as people, lines and JSON have them.

use super::date;
use super::escape::OneLine;
use serde::ser::{Serialize, Serializer};
use std::fmt::{self, Display};
use std::time::Duration;

/// A value with its unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// It is not there, or not known.
    None,
    Text(String),
    Flag(bool),
    Number(i64),
    Count(u64),
    Bytes(u64),
    Cores(f64),
    Seconds(f64),
    Percent(f64),
    /// Microseconds since 1970.
    Time(u64),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

/// A value as programs read it from a line.
pub struct Plain<'a>(pub &'a Value);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::None => Ok(()),
            Value::Text(text) => OneLine(text).fmt(f),
            Value::Flag(flag) => flag.fmt(f),
            Value::Number(number) => number.fmt(f),
            Value::Count(number) | Value::Bytes(number) => number.fmt(f),
            Value::Cores(number) | Value::Seconds(number) => write!(f, "{number:.3}"),
            Value::Percent(number) => write!(f, "{number:.1}"),
            Value::Time(micros) => f.write_str(&date::rfc3339(*micros)),
        }
    }
}

/// As people read it.
impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("–"),
            Self::Text(text) => f.write_str(text),
            Self::Flag(flag) => f.write_str(if *flag { "yes" } else { "no" }),
            Self::Number(number) => number.fmt(f),
            Self::Count(number) => number.fmt(f),
            Self::Bytes(bytes) => f.write_str(&bytes_for_people(*bytes)),
            Self::Cores(cores) => write!(f, "{cores:.2} cores"),
            Self::Seconds(seconds) => f.write_str(&time_for_people(*seconds)),
            Self::Percent(percent) => write!(f, "{percent:.0} %"),
            Self::Time(micros) => f.write_str(&date::for_people(*micros)),
        }
    }
}

/// Such as `1.5 GiB`.
pub fn bytes_for_people(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "bytes");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        // What would be rounded to 1024.
        if value < 1023.95 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "bytes" { format!("{bytes} {unit}") } else { format!("{value:.1} {unit}") }
}

/// Such as `3 h 12 min`.
fn time_for_people(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds:.1} s"),
        (0, 0, _) => format!("{minutes} min {} s", whole % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Count(number) | Self::Bytes(number) => serializer.serialize_u64(*number),
            Self::Cores(number) | Self::Seconds(number) | Self::Percent(number) => {
                serializer.serialize_f64(*number)
            }
            Self::Time(micros) => serializer.serialize_str(&date::rfc3339(*micros)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_rounded_figures() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (5 << 50, "5120.0 TiB"),
        ] {
            assert_eq!(bytes_for_people(bytes), text);
        }
        for (seconds, text) in [
            (0.25, "0.2 s"),
            (61.0, "1 min 1 s"),
            (3600.0 * 3.0 + 60.0 * 12.0, "3 h 12 min"),
            (86_400.0 * 9.0 + 7200.0, "9 d 2 h"),
        ] {
            assert_eq!(time_for_people(seconds), text);
        }
    }
}
