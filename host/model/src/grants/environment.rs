//! Variables that make one program out of another.

/// Whether a variable has common programs load, or do, what it says: a component that may set one
/// of these and write one file would turn every granted program into any program. The list names
/// what loaders, shells, interpreters and package managers obey; a program may have more of its own.
pub fn is_treacherous_variable(name: &str) -> bool {
    const BEGINNINGS: [&str; 8] =
        ["LD_", "DYLD_", "BASH_", "PYTHON", "PERL", "RUBY", "LUA_", "GIT_"];
    const NAMES: [&str; 30] = [
        "PATH",
        "ENV",
        "IFS",
        "SHELL",
        "SHELLOPTS",
        "BASHOPTS",
        "PS4",
        "PROMPT_COMMAND",
        "ZDOTDIR",
        "FPATH",
        "CDPATH",
        "GLIBC_TUNABLES",
        "GCONV_PATH",
        "NLSPATH",
        "LOCPATH",
        "HOSTALIASES",
        "RES_OPTIONS",
        "NODE_OPTIONS",
        "NODE_PATH",
        "PHPRC",
        "PHP_INI_SCAN_DIR",
        "JAVA_TOOL_OPTIONS",
        "_JAVA_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "APT_CONFIG",
        "DPKG_ROOT",
        "EDITOR",
        "VISUAL",
        "PAGER",
        "OPENSSL_CONF",
    ];
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) || NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::is_treacherous_variable;

    #[test]
    fn what_loads_code_is_treacherous_and_the_rest_is_not() {
        for name in ["LD_PRELOAD", "BASH_ENV", "PYTHONPATH", "PERL5OPT", "PATH", "GLIBC_TUNABLES"] {
            assert!(is_treacherous_variable(name), "{name}");
        }
        for name in
            ["HOME", "LANG", "PGPASSWORD", "RAILS_ENV", "CEREBRO_JOB", "ld_preload", "PATHS"]
        {
            assert!(!is_treacherous_variable(name), "{name}");
        }
    }
}
