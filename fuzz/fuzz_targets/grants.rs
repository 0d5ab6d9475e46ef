//! Any grants can be asked anything; what they allow lies within what they name.
#![no_main]

use cerebro_model::Grants;

// A line of grants, a line that is asked about, and a line with the words of a command.
libfuzzer_sys::fuzz_target!(|input: &str| {
    let mut lines = input.splitn(3, '\n');
    let Ok(grants) = serde_json::from_str::<Grants>(lines.next().unwrap_or_default()) else {
        return;
    };
    let written = serde_json::to_string(&grants).expect("grants can be written down");
    let again: Grants = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(grants, again, "{written}");

    let text = lines.next().unwrap_or_default();
    let argv: Vec<String> =
        lines.next().unwrap_or_default().split(' ').map(str::to_owned).collect();
    if grants.write(text).is_ok() {
        assert!(grants.read(text).is_ok(), "what may be written may be looked at: {text}");
    }
    if grants.read(text).is_ok() {
        assert!(text.starts_with('/'), "{text}");
        assert!(!grants.read.is_empty() || !grants.write.is_empty());
    }
    for user in [None, Some(text)] {
        if grants.run(&argv, user).is_ok() {
            assert!(!grants.commands.is_empty());
            assert!(argv.first().is_some_and(|program| program.starts_with('/')), "{argv:?}");
        }
    }
    if grants.fetch(text).is_ok() {
        let scheme = text.split("://").next().unwrap_or_default().to_ascii_lowercase();
        assert!(matches!(scheme.as_str(), "http" | "https"), "{text}");
    }
    if grants.connect(text, 80).is_ok() {
        assert!(!grants.hosts.is_empty(), "{text}");
    }
    for asked in [
        grants.resolve(text),
        grants.install(text),
        grants.service(text),
        grants.user(text),
        grants.group(text),
        grants.secret(text),
        grants.task(text),
    ] {
        // A refusal tells what to do about it.
        if let Err(denied) = asked {
            assert!(!denied.to_string().is_empty());
        }
    }
});
