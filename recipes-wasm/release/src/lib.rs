//! Releases side by side in one directory, and a link `current` to the one in use:
//!
//! ```text
//! <release_dir>/releases/1.4.1/   unpacked from an artifact, with its templates filled in
//! <release_dir>/releases/1.4.2/
//! <release_dir>/shared/           what outlives releases: linked into each
//! <release_dir>/current -> releases/1.4.2
//! ```
//!
//! Several instances on a machine may share a release directory: the last one to leave cleans up.

mod layout;

use cerebro_recipe::error::Doing;
use cerebro_recipe::{File, Host, Recipe, template};
use layout::Options;

/// Bytes of a template.
const LARGEST: u64 = 1 << 20;

struct Release;

cerebro_recipe::recipe!(Release);

impl Recipe for Release {
    type Options = Options;

    fn deploy(host: &impl Host, options: Options) -> Result<(), String> {
        let (version, values) = (host.instance().version, host.values());
        let layout = layout::layout(&options, &values)?;
        let source = layout::source(&options, &values)?;
        let base = &layout.base;
        let release = host.release_path(base, &version)?;

        let staged = host
            .stage(&layout, &version, Some(&source), options.strip)
            .doing(|| format!("stage the artifact `{}` as `{release}`", options.artifact))?;
        host.say(&format!("`{release}`: {staged}"));
        fill_templates(host, &options, base, &release)?;
        // All is there: from here on the new version is what starts.
        let flipped = host.activate(base, &version)?;
        host.say(&format!("`{base}/current` leads to `{version}`: {flipped}"));
        for old in host.prune(base, options.keep)? {
            host.say(&format!("release `{old}` is old: removed"));
        }
        Ok(())
    }

    fn undeploy(host: &impl Host, options: Options) -> Result<(), String> {
        let base = layout::layout(&options, &host.values())?.base;
        host.leave(&base)?;
        if !host.releases(&base)?.is_empty() {
            host.say("other instances use these releases: they stay");
            return Ok(());
        }
        for destination in options.templates.values().filter(|to| to.starts_with('/')) {
            host.remove(&host.render(destination)?)?;
        }
        Ok(())
    }
}

fn fill_templates(
    host: &impl Host,
    options: &Options,
    base: &str,
    release: &str,
) -> Result<(), String> {
    let mut known = host.values();
    known.insert("release".to_owned(), release.to_owned());
    known.insert("current".to_owned(), format!("{base}/current"));
    known.extend(options.variables.clone());
    for (from, to) in &options.templates {
        let (from, to) = layout::template(release, from, &template::render(to, &known)?)?;
        let text = host.read(&from, LARGEST).doing(|| format!("read the template `{from}`"))?;
        let text = String::from_utf8(text)
            .map_err(|_| format!("the template `{from}` is not UTF-8 text"))?;
        let text = template::render(&text, &known)
            .map_err(|why| format!("the template `{from}`: {why}"))?;
        File::new(to).owner_if(options.user.as_deref()).write(host, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_recipe::FakeHost;

    const OPTIONS: &str = r#"{
        "release_dir": "/srv/{{ job }}/", "artifact": "aa", "strip": 1, "keep": 1,
        "shared": ["log/", "config/local.yaml"], "user": "app",
        "templates": {"app.tmpl": "app.conf", "cron.tmpl": "/etc/cron.d/{{ job }}"},
        "variables": {"greeting": "hello"}
    }"#;
    const BASE: &str = "/srv/app.example.com";

    fn host() -> FakeHost {
        let files = [
            ("app-1/app", "program"),
            ("app-1/app.tmpl", "{{ greeting }} from {{ current }}"),
            ("app-1/cron.tmpl", "@daily {{ release }}/app"),
        ];
        FakeHost::new()
            .with_directory("/etc/cron.d")
            .with_artifact("aa", &files)
            .with_options(OPTIONS)
    }

    #[test]
    fn a_release_is_staged_filled_and_only_then_used() {
        let host = host();
        host.deploy::<Release>().unwrap();
        let calls = host.take_calls();
        let at = |call: &str| calls.iter().position(|c| c == call).unwrap();
        let activated = at(&format!("activate {BASE}/releases/1"));
        assert!(activated > at("write /etc/cron.d/app.example.com"), "{calls:?}");
        let conf = format!("{BASE}/current/app.conf");
        assert_eq!(host.text(&conf), format!("hello from {BASE}/current"));
        assert_eq!(host.owner(&conf), "app");
        assert!(host.has(&format!("{BASE}/shared/log")));
        host.deploy::<Release>().unwrap();
        assert!(host.calls().is_empty(), "{:?}", host.calls());
    }

    #[test]
    fn old_releases_go_and_the_previous_one_stays() {
        let mut host = host();
        host.deploy::<Release>().unwrap();
        for version in ["2", "3"] {
            host = host.with_version(version);
            host.deploy::<Release>().unwrap();
        }
        let there = |version: &str| host.has(&format!("{BASE}/releases/{version}"));
        assert!(!there("1") && there("2") && there("3"));
        host.undeploy::<Release>().unwrap();
        assert!(!host.has("/etc/cron.d/app.example.com") && !host.has(&format!("{BASE}/current")));
        assert!(host.has(&format!("{BASE}/shared/log")));
        host.undeploy::<Release>().unwrap();
    }

    #[test]
    fn a_mistake_leaves_the_current_release() {
        let host = host();
        host.deploy::<Release>().unwrap();
        let host = host.with_version("2").with_options(OPTIONS.replace("greeting", "greetings"));
        let error = host.deploy::<Release>().unwrap_err();
        assert!(error.contains("app.tmpl`: line 1: `greeting` has no value"), "{error}");
        assert_eq!(host.text(&format!("{BASE}/current/.cerebro-artifact")), "aa");
        assert!(!host.calls().contains(&format!("activate {BASE}/releases/2")));
        for (from, to, why) in [
            (r#""aa""#, r#""bb""#, "upload it first"),
            ("/srv/{{ job }}/", "/", "expected an absolute path"),
            ("/srv/{{ job }}/", "/{{ jbo }}", "`release_dir`: line 1: `jbo`"),
        ] {
            let host = FakeHost::new().with_options(OPTIONS.replace(from, to));
            let error = host.deploy::<Release>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
