//! Amounts of CPU, memory and time.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Why a number is not a possible amount.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{given} is not a possible number of {unit}: expected {expected}")]
pub struct QuantityError {
    given: f64,
    unit: &'static str,
    expected: &'static str,
}

/// CPU, in cores; kept to a thousandth of one.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(try_from = "f64", into = "f64")]
#[schema(value_type = f64)]
pub struct Cores(u32);

impl Cores {
    /// No CPU at all: what is left of a machine that is full.
    pub const ZERO: Self = Self(0);

    /// From thousandths of a core.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis)
    }

    /// In thousandths of a core.
    pub const fn millis(self) -> u32 {
        self.0
    }

    /// What is left when `other` is taken away; zero at least.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Both together.
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl TryFrom<f64> for Cores {
    type Error = QuantityError;
    fn try_from(cores: f64) -> Result<Self, QuantityError> {
        if (0.001..=4096.0).contains(&cores) {
            // In range by the line above: at most 4,096,000 thousandths.
            Ok(Self((cores * 1000.0).round() as u32))
        } else {
            let expected = "at least 0.001 and at most 4096";
            Err(QuantityError { given: cores, unit: "cores", expected })
        }
    }
}

impl From<Cores> for f64 {
    fn from(cores: Cores) -> f64 {
        f64::from(cores.0) / 1000.0
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(*self))
    }
}

/// Memory, in megabytes of 2^20 bytes.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(try_from = "f64", into = "u64")]
#[schema(value_type = u64)]
pub struct Megabytes(u64);

impl Megabytes {
    /// No memory at all: what is left of a machine that is full.
    pub const ZERO: Self = Self(0);

    /// From a number of megabytes.
    pub const fn new(megabytes: u64) -> Self {
        Self(megabytes)
    }

    /// As a number of megabytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// As a number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0.saturating_mul(1 << 20)
    }

    /// What is left when `other` is taken away; zero at least.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Both together.
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl TryFrom<f64> for Megabytes {
    type Error = QuantityError;
    fn try_from(megabytes: f64) -> Result<Self, QuantityError> {
        if (1.0..=67_108_864.0).contains(&megabytes) && megabytes.fract() == 0.0 {
            // In range by the line above.
            Ok(Self(megabytes as u64))
        } else {
            let expected = "a whole number, at least 1 and at most 67108864 (64 TiB)";
            Err(QuantityError { given: megabytes, unit: "megabytes", expected })
        }
    }
}

impl From<Megabytes> for u64 {
    fn from(megabytes: Megabytes) -> u64 {
        megabytes.0
    }
}

impl fmt::Display for Megabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MB", self.0)
    }
}

/// A span of time, in seconds; kept to a millisecond.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(try_from = "f64", into = "f64")]
#[schema(value_type = f64)]
pub struct Seconds(u64);

impl Seconds {
    /// From whole seconds.
    pub const fn new(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// As the standard library's type.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl TryFrom<f64> for Seconds {
    type Error = QuantityError;
    fn try_from(seconds: f64) -> Result<Self, QuantityError> {
        if (0.0..=3.2e9).contains(&seconds) {
            // In range by the line above.
            Ok(Self((seconds * 1000.0).round() as u64))
        } else {
            let expected = "at least 0 and at most 3200000000 (a hundred years)";
            Err(QuantityError { given: seconds, unit: "seconds", expected })
        }
    }
}

impl From<Seconds> for f64 {
    fn from(seconds: Seconds) -> f64 {
        seconds.0 as f64 / 1000.0
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", f64::from(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_amounts_are_refused() {
        for bad in [-1.0, 0.0, f64::NAN, f64::INFINITY, 1e30] {
            assert!(Cores::try_from(bad).is_err(), "{bad} cores");
            assert!(Megabytes::try_from(bad).is_err(), "{bad} MB");
        }
        assert!(Megabytes::try_from(1.5).is_err());
        assert!(Seconds::try_from(-0.1).is_err());
    }

    #[test]
    fn half_a_core_is_kept_exactly() {
        let half = Cores::try_from(0.5).unwrap();
        assert_eq!((half.millis(), half.to_string().as_str()), (500, "0.5"));
    }
}
