//! The values of flags.

use super::Result;
use cerebro_tasksitter::protocol::{Constraint, Readiness, Rlimit};
use lexopt::prelude::*;
use nix::sys::signal::Signal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// `NAME=VALUE`.
pub fn pair(parser: &mut lexopt::Parser) -> Result<(String, String)> {
    let text = parser.value()?.string()?;
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}`: expected NAME=VALUE").into()),
    }
}

/// `CONSTRAINT=VALUE`.
pub fn of_constraint(parser: &mut lexopt::Parser) -> Result<(Constraint, String)> {
    let (name, value) = pair(parser)?;
    let found = Constraint::ALL.into_iter().find(|c| c.to_string() == name.replace('_', "-"));
    let refused = || format!("`{name}`: expected cpu, mem or time-limit").into();
    found.map(|constraint| (constraint, value)).ok_or_else(refused)
}

/// Seconds, with a fraction if need be.
pub fn seconds(parser: &mut lexopt::Parser) -> Result<Duration> {
    parse_seconds(&parser.value()?.string()?)
}

/// Seconds; none for 0 or -1, as the original had it.
pub fn seconds_or_none(parser: &mut lexopt::Parser) -> Result<Option<Duration>> {
    let text = parser.value()?.string()?;
    if text == "-1" {
        return Ok(None);
    }
    Ok(Some(parse_seconds(&text)?).filter(|time| !time.is_zero()))
}

pub fn parse_seconds(text: &str) -> Result<Duration> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| format!("`{text}`: expected a number of seconds").into())
}

/// A number; none for -1.
pub fn count_or_never(parser: &mut lexopt::Parser) -> Result<Option<u32>> {
    let text = parser.value()?.string()?;
    if text == "-1" {
        return Ok(None);
    }
    let number = text.parse();
    number.map(Some).map_err(|_| format!("`{text}`: expected a number, or -1 for never").into())
}

/// Cores, in thousandths; none for 0.
pub fn cores(parser: &mut lexopt::Parser) -> Result<Option<u32>> {
    let text = parser.value()?.string()?;
    let cores = text.parse::<f64>().ok().filter(|cores| (0.0..=1_000_000.0).contains(cores));
    let cores =
        cores.ok_or_else(|| format!("`{text}`: expected a number of cores, such as 0.5"))?;
    // In range, so that nothing is lost but what is below a thousandth.
    let millis = (cores * 1000.0).round() as u32;
    Ok(Some(millis).filter(|millis| *millis > 0))
}

/// Megabytes, in bytes; none for 0.
pub fn megabytes(parser: &mut lexopt::Parser) -> Result<Option<u64>> {
    let text = parser.value()?.string()?;
    let bytes = text.parse::<u64>().ok().and_then(|megabytes| megabytes.checked_mul(1 << 20));
    let bytes = bytes.ok_or_else(|| format!("`{text}`: expected a number of megabytes"))?;
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}

/// Percents, with commas between them.
pub fn percents(text: &str) -> Result<Vec<f64>> {
    let percent = |part: &str| {
        let percent = part.trim().parse().ok().filter(|percent| (0.0..=1000.0).contains(percent));
        percent.ok_or_else(|| format!("`{part}`: expected percents, such as 80,95").into())
    };
    text.split(',').map(percent).collect()
}

/// `RESTARTS/SECONDS`.
pub fn flap(text: &str) -> Result<(u32, Duration)> {
    let expected = || format!("`{text}`: expected RESTARTS/SECONDS, such as 5/60");
    let (restarts, window) = text.split_once('/').ok_or_else(expected)?;
    Ok((restarts.parse().map_err(|_| expected())?, parse_seconds(window)?))
}

/// `none`, `notify`, a port of this machine, or an address with a port.
pub fn readiness(text: &str) -> Result<Readiness> {
    Ok(match (text, text.parse::<u16>(), text.parse::<SocketAddr>()) {
        ("none", ..) => Readiness::None,
        ("notify", ..) => Readiness::Notify,
        (_, Ok(port), _) => Readiness::Port(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        (_, _, Ok(address)) => Readiness::Port(address),
        _ => {
            let message = format!("`{text}`: expected none, notify, PORT or ADDRESS:PORT");
            return Err(message.into());
        }
    })
}

/// Permissions, in octal.
pub fn octal(text: &str) -> Result<u32> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| format!("`{text}`: expected an octal number such as 022").into())
}

/// `LIMIT`, or `SOFT:HARD`; `unlimited` for no limit.
pub fn rlimit(text: &str) -> Result<Rlimit> {
    let expected =
        || format!("`{text}`: expected LIMIT, or SOFT:HARD, with numbers or `unlimited`");
    let number = |text: &str| match text {
        "unlimited" => Ok(None),
        number => number.parse().map(Some).map_err(|_| expected()),
    };
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    let limit = Rlimit { soft: number(soft)?, hard: number(hard)? };
    let above = |soft: u64| limit.hard.is_some_and(|hard| soft > hard);
    if limit.soft.map_or(limit.hard.is_some(), above) {
        return Err(format!("`{text}`: the first may not be above the second").into());
    }
    Ok(limit)
}

/// A number within bounds.
pub fn within(parser: &mut lexopt::Parser, least: i32, most: i32) -> Result<i32> {
    let text = parser.value()?.string()?;
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("`{text}`: expected a number from {least} to {most}").into())
}

/// A signal, by name, with or without `SIG`, or by number.
pub fn signal(text: &str) -> Result<i32> {
    if let Ok(number) = text.parse::<i32>()
        && let Ok(signal) = Signal::try_from(number)
    {
        return Ok(signal as i32);
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    let signal = name.parse::<Signal>().map(|signal| signal as i32);
    signal.map_err(|_| format!("`{text}` is no signal; see signal(7)").into())
}
