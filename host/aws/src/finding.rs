//! What a check of settings finds.

use std::fmt;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What, such as "permission `ec2:RunInstances` in us-west-2".
    pub what: String,
    /// How it is.
    pub verdict: Verdict,
}

/// How something is that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// It could not be tried, and why not.
    Untried(String),
    /// Not as it should be: why, and what to do.
    Wrong(String),
}

impl Finding {
    /// It is as it should be.
    pub fn fine(what: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Fine }
    }

    /// It could not be tried.
    pub fn untried(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Untried(why.into()) }
    }

    /// It is not as it should be.
    pub fn wrong(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Wrong(why.into()) }
    }

    /// Whether somebody has to do something.
    pub fn is_wrong(&self) -> bool {
        matches!(self.verdict, Verdict::Wrong(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Fine => write!(f, "ok       {}", self.what),
            Verdict::Untried(why) => write!(f, "untried  {}: {why}", self.what),
            Verdict::Wrong(why) => write!(f, "wrong    {}: {why}", self.what),
        }
    }
}
