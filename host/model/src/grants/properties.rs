//! What must hold for whatever grants.

use super::*;
use proptest::prelude::*;

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a", "b", "ab", "-a", "--x=a", "/a/b", "/a/../b", "*", "a*", "-*", "/a/*", "*b",
    ])
    .prop_map(str::to_owned)
}

fn program() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["/b/x", "/b/y", "/b/*", "/b/", "/b/c/", "/b/c/x", "/*/x", "/b/x*"])
        .prop_map(str::to_owned)
}

fn command() -> impl Strategy<Value = CommandPattern> {
    let user = prop::option::of(prop::sample::select(vec!["u", "v"]));
    (program(), prop::collection::vec(word(), 0..3), any::<bool>(), user).prop_map(
        |(program, mut words, open, user)| {
            words.insert(0, program);
            if open {
                words.push("**".to_owned());
            }
            serde_json::from_value(serde_json::json!({ "argv": words, "user": user })).unwrap()
        },
    )
}

fn argv() -> impl Strategy<Value = Vec<String>> {
    let program = prop::sample::select(vec!["/b/x", "/b/y", "/b/c/x", "/b/c/d", "/c/x", "/b/xy"]);
    let word = prop::sample::select(vec![
        "a", "b", "ab", "-a", "--x=a", "/a/b", "/a/../b", "/a/x", "", "xb",
    ]);
    (program, prop::collection::vec(word, 0..3)).prop_map(|(program, words)| {
        std::iter::once(program).chain(words).map(str::to_owned).collect()
    })
}

fn host() -> impl Strategy<Value = HostPattern> {
    let host = prop::sample::select(vec![
        "*",
        "a.x",
        "*.x",
        "*.a.x",
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.3",
        "0.0.0.0/0",
        "::/0",
        "fd00::/8",
        "::1",
    ]);
    let port = prop::sample::select(vec!["*", "1", "2"]);
    (host, port).prop_map(|(host, port)| HostPattern::try_from(format!("[{host}]:{port}")).unwrap())
}

fn url() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec!["http://h", "https://h", "https://h:444", "https://g"]);
    let path = prop::sample::select(vec![
        "", "/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/a%2f..", "/a/.b",
    ]);
    (host, path).prop_map(|(host, path)| format!("{host}{path}"))
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "ab", "*", "a*", "*b", "a*b", "aab", "b"])
        .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn no_text_makes_a_pattern_panic(text in any::<String>()) {
        let _ = PathPattern::try_from(text.clone());
        let _ = CommandPattern::try_from(text.clone());
        let _ = HostPattern::try_from(text.clone());
        let _ = UrlPattern::try_from(text.clone());
        let _ = NamePattern::try_from(text.clone());
        let none = Grants::default();
        prop_assert!(none.fetch(&text).is_err() && none.install(&text).is_err());
        prop_assert!(none.run(std::slice::from_ref(&text), None).is_err() && none.connect(&text, 1).is_err());
        prop_assert!(none.resolve(&text).is_err());
    }

    #[test]
    fn a_pattern_is_read_as_it_was_written(command in command(), host in host(), url in url()) {
        let text = serde_json::to_string(&command).unwrap();
        prop_assert_eq!(serde_json::from_str::<CommandPattern>(&text).unwrap(), command);
        prop_assert_eq!(HostPattern::try_from(host.to_string()).unwrap(), host);
        if let Ok(url) = UrlPattern::try_from(url) {
            prop_assert_eq!(UrlPattern::try_from(String::from(url.clone())).unwrap(), url);
        }
    }

    /// What a denial says to add does allow it.
    #[test]
    fn the_line_of_a_denial_allows_it(argv in argv(), user in prop::option::of("[a-z]{1,3}"), url in url()) {
        let user = user.as_deref();
        let line = Grants::default().run(&argv, user).unwrap_err().line;
        let pattern: CommandPattern = serde_json::from_str(&line).unwrap();
        prop_assert!(pattern.covers(&argv, user), "{line}");
        if UrlPattern::try_from(url.clone()).is_ok() {
            let line = Grants::default().fetch(&url).unwrap_err().line;
            let pattern: UrlPattern = serde_json::from_str(&line).unwrap();
            prop_assert!(pattern.covers(&url), "{line}");
        }
    }

    /// What is wanted and not missing is granted: whatever the wants cover, the grants do.
    #[test]
    fn nothing_is_missing_only_where_everything_is_granted(
        own in command(), want in command(), argv in argv(), user in prop::option::of("[uvw]"),
        own_host in host(), want_host in host(), port in 1_u16..3,
        host in prop::sample::select(vec!["a.x", "b.a.x", "x", "10.1.2.3", "10.1.0.1", "10.9.9.9", "9.9.9.9", "::1", "fd00::1"]),
        urls in (url(), url(), url()), names in (name(), name(), name()),
    ) {
        if own.includes(&want) && want.covers(&argv, user.as_deref()) {
            prop_assert!(own.covers(&argv, user.as_deref()), "{own} / {want} / {argv:?}");
        }
        if own_host.includes(&want_host) && want_host.covers(host, port) {
            prop_assert!(own_host.covers(host, port), "{own_host} / {want_host} / {host}");
        }
        let (own, want, url) = urls;
        if let (Ok(own), Ok(want)) = (UrlPattern::try_from(own), UrlPattern::try_from(want))
            && own.includes(&want) && want.covers(&url)
        {
            prop_assert!(own.covers(&url));
        }
        let (own, want, name) = names;
        let pattern = |text| NamePattern::try_from(text).unwrap();
        if pattern(own.clone()).covers(&want) && pattern(want.clone()).covers(&name) {
            prop_assert!(pattern(own).covers(&name));
        }
    }

    #[test]
    fn a_covered_path_lies_in_its_tree(tree in "(/[a-c]{1,2}){1,3}", path in "(/[a-c]{1,2}){1,4}") {
        let covers = PathPattern::try_from(tree.clone()).unwrap().covers(&path);
        let (tree, path): (Vec<_>, Vec<_>) = (tree.split('/').collect(), path.split('/').collect());
        prop_assert_eq!(covers, path.starts_with(&tree));
    }
}
