//! Which interfaces this Cerebro has.

use crate::interfaces::known;

/// The packages of WASI 0.2 that every component is given: language runtimes import them whether
/// they are used or not. Behind `sockets` and `http` stand the job's grants, behind the others
/// nothing of the machine.
const WASI: [&str; 7] = [
    "wasi:cli",
    "wasi:clocks",
    "wasi:filesystem",
    "wasi:http",
    "wasi:io",
    "wasi:random",
    "wasi:sockets",
];

/// The interface of `cerebro:recipe` that `import` names, in whatever version.
pub(crate) fn cerebro_interface(import: &str) -> Option<&str> {
    let rest = import.strip_prefix("cerebro:recipe/")?;
    Some(rest.split_once('@').map_or(rest, |(name, _)| name))
}

/// Why Cerebro cannot give `import` to a component.
pub(crate) fn problem(import: &str) -> Option<String> {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    if let Some(interface) = cerebro_interface(import) {
        return match (known(interface).is_some(), is_release_of(version, "0.1.")) {
            (true, true) => None,
            (true, false) => Some(format!("`{import}`: this Cerebro has version 0.1.0 of it")),
            (false, _) => Some(format!("`{import}`: this Cerebro has no such interface")),
        };
    }
    let package = name.split_once('/').map_or(name, |(package, _)| package);
    match WASI.contains(&package) {
        true if is_release_of(version, "0.2.") => None,
        true => Some(format!("`{import}`: this Cerebro has version 0.2 of it")),
        false => Some(format!("`{import}`: Cerebro does not have it")),
    }
}

/// Whether `version` is `<line><patch>`: pre-releases are compatible with nothing.
fn is_release_of(version: &str, line: &str) -> bool {
    let digits = |patch: &str| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit());
    version.strip_prefix(line).is_some_and(digits)
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn patches_are_compatible_and_other_versions_are_not() {
        for good in [
            "cerebro:recipe/log@0.1.0",
            "cerebro:recipe/log@0.1.7",
            "wasi:io/poll@0.2.9",
            "wasi:http/types@0.2.6",
            "cerebro:recipe/kv@0.1.0",
        ] {
            assert_eq!(problem(good), None);
        }
        let bad = [
            ("cerebro:recipe/log@0.2.0", "has version 0.1.0"),
            ("cerebro:recipe/log@0.1.1-rc1", "has version 0.1.0"),
            ("cerebro:recipe/teleport@0.1.0", "no such interface"),
            ("wasi:nn/tensor@0.2.0", "does not have"),
            ("wasi:http/outgoing-handler@0.3.0", "has version 0.2"),
            ("wasi:io/poll@0.3.0", "has version 0.2"),
            ("environment", "does not have"),
        ];
        for (import, why) in bad {
            assert!(problem(import).is_some_and(|text| text.contains(why)), "{import}");
        }
    }
}
