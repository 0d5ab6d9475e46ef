//! Releases side by side in one directory, and a link `current` to the one in use:
//!
//! ```text
//! <release_dir>/1.4.1/     unpacked from an artifact, with its templates filled in
//! <release_dir>/1.4.2/
//! <release_dir>/current -> 1.4.2
//! <release_dir>/.cerebro/  one file per instance: the releases that it needs
//! ```
//!
//! Several instances on a machine may share a release directory: the last one to leave cleans up.

mod layout;

use cerebro_recipe::error::Doing;
use cerebro_recipe::host::archive::{self, UnpackOptions};
use cerebro_recipe::host::artifact;
use cerebro_recipe::host::context::{self, Instance};
use cerebro_recipe::host::files::{self, Attributes, Kind};
use cerebro_recipe::host::log::{self, Level};
use cerebro_recipe::{options, template, values};
use layout::{Layout, Options, Release};

const AS_IT_IS: Attributes = Attributes { mode: None, owner: None };

struct Recipe;

cerebro_recipe::recipe!(Recipe);

impl Guest for Recipe {
    fn deploy() -> Result<(), String> {
        let (instance, options) = (context::get(), options::get::<Options>()?);
        let layout = Layout::new(&options, &values::of(&instance))?;
        let release = layout.release(&instance.version)?;

        for path in [layout.dir.clone(), layout.instances()] {
            files::directory(&path, &AS_IT_IS).doing(|| format!("make `{path}`"))?;
        }
        claim(&layout, &instance)?;
        unpack(&options, &release)?;
        fill_templates(&layout, &options, &instance, &release)?;
        let link = layout.current();
        let change = files::symlink(&link, &instance.version)
            .doing(|| format!("flip `{link}` to `{}`", instance.version))?;
        say(&format!("`{link}` leads to `{}`: {}", instance.version, change));
        prune(&layout, &options)
    }

    fn undeploy() -> Result<(), String> {
        let (instance, options) = (context::get(), options::get::<Options>()?);
        let known = values::of(&instance);
        let layout = Layout::new(&options, &known)?;
        remove(&layout.instance(&instance.id))?;
        if files::stat(&layout.dir).doing(|| format!("look at `{}`", layout.dir))?.is_none() {
            return Ok(());
        }
        if !claims(&layout)?.is_empty() {
            say("other instances use these releases: they stay");
            return Ok(());
        }
        for release in releases(&layout)? {
            remove(&layout.release(&release.version)?)?;
        }
        for destination in options.templates.values().filter(|to| to.starts_with('/')) {
            remove(&template::render(destination, &known)?)?;
        }
        remove(&layout.current())?;
        remove(&layout.instances())?;
        // What else is there is not ours.
        match list(&layout.dir)?.is_empty() {
            true => remove(&layout.dir),
            false => Ok(()),
        }
    }
}

/// Writes down which releases this instance needs: the one that it gets and the one that it runs.
fn claim(layout: &Layout, instance: &Instance) -> Result<(), String> {
    let path = layout.instance(&instance.id);
    let previous = instance.previous_version.as_deref().unwrap_or_default();
    let text = format!("{}\n{previous}\n", instance.version);
    files::write(&path, text.as_bytes(), &AS_IT_IS).doing(|| format!("write `{path}`"))?;
    Ok(())
}

fn unpack(options: &Options, release: &str) -> Result<(), String> {
    let artifact = artifact::fetch(&options.artifact)
        .doing(|| format!("fetch the artifact `{}`", options.artifact))?;
    let how = UnpackOptions { strip: options.strip, owner: None };
    let change = archive::unpack(&artifact, release, &how)
        .doing(|| format!("unpack the artifact to `{release}`"))?;
    say(&format!("`{release}`, {} bytes packed: {}", artifact.size(), change));
    Ok(())
}

fn fill_templates(
    layout: &Layout,
    options: &Options,
    instance: &Instance,
    release: &str,
) -> Result<(), String> {
    let mut known = values::of(instance);
    known.insert("release".to_owned(), release.to_owned());
    known.insert("current".to_owned(), layout.current());
    known.extend(options.variables.clone());
    for (from, to) in &options.templates {
        let (from, to) = layout::template(release, from, &template::render(to, &known)?)?;
        let text = files::read(&from, 1 << 20).doing(|| format!("read the template `{from}`"))?;
        let text = String::from_utf8(text)
            .map_err(|_| format!("the template `{from}` is not UTF-8 text"))?;
        let text = template::render(&text, &known)
            .map_err(|why| format!("the template `{from}`: {why}"))?;
        let change = files::write(&to, text.as_bytes(), &AS_IT_IS)
            .doing(|| format!("write `{to}` from the template `{from}`"))?;
        say(&format!("`{to}`: {}", change));
    }
    Ok(())
}

fn prune(layout: &Layout, options: &Options) -> Result<(), String> {
    let needed = claims(layout)?;
    for version in layout::superfluous(releases(layout)?, &needed, options.keep) {
        remove(&layout.release(&version)?)?;
        say(&format!("release `{version}` is old: removed"));
    }
    Ok(())
}

/// The versions that instances on this machine need.
fn claims(layout: &Layout) -> Result<Vec<String>, String> {
    let mut versions = Vec::new();
    let dir = layout.instances();
    if files::stat(&dir).doing(|| format!("look at `{dir}`"))?.is_none() {
        return Ok(versions);
    }
    for entry in list(&dir)? {
        let path = layout.instance(&entry.name);
        let text = files::read(&path, 4096).doing(|| format!("read `{path}`"))?;
        let text = String::from_utf8_lossy(&text);
        versions.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    }
    Ok(versions)
}

/// The releases that are there: directories which the host unpacked.
fn releases(layout: &Layout) -> Result<Vec<Release>, String> {
    let mut found = Vec::new();
    for entry in list(&layout.dir)? {
        if !matches!(entry.metadata.kind, Kind::Directory) {
            continue;
        }
        let Ok(path) = layout.release(&entry.name) else { continue };
        let mark = format!("{path}/.cerebro-artifact");
        if files::stat(&mark).doing(|| format!("look at `{mark}`"))?.is_some() {
            found.push(Release { version: entry.name, modified: entry.metadata.modified });
        }
    }
    Ok(found)
}

fn list(path: &str) -> Result<Vec<files::Entry>, String> {
    files::list(path).doing(|| format!("list `{path}`"))
}

fn remove(path: &str) -> Result<(), String> {
    files::remove(path).doing(|| format!("remove `{path}`")).map(drop)
}

fn say(message: &str) {
    log::write(Level::Info, message);
}
