//! What `cargo xtask bench release` measures: one release with all that belongs to it, in the fewest
//! words to the host.

use cerebro_recipe::error::Doing;
use cerebro_recipe::host::archive::{self, UnpackOptions};
use cerebro_recipe::host::artifact;
use cerebro_recipe::host::command::{self, Guard, Spec};
use cerebro_recipe::host::files::{self, Attributes, Content, Node, Owner};
use cerebro_recipe::{Host, Recipe};

#[derive(serde::Deserialize)]
struct Options {
    app: String,
    release: String,
    version: String,
    owner: String,
    group: String,
    files: String,
    archive_url: String,
    archive_sha256: String,
    name: String,
    port: String,
    workers: String,
    database: String,
}

struct Ship;

cerebro_recipe::recipe!(Ship);

impl Recipe for Ship {
    type Options = Options;

    fn deploy(_: &impl Host, options: Options) -> Result<(), String> {
        let Options { app, release, version, .. } = &options;
        let own = || Owner { user: options.owner.clone(), group: Some(options.group.clone()) };
        let node = |path: String, content: Content, mode: u32| Node {
            path,
            content,
            attributes: Attributes { mode: Some(mode), owner: Some(own()) },
        };
        let directory = |path: String| node(path, Content::Directory, 0o755);

        let all = Attributes { mode: Some(0o755), owner: Some(own()) };
        files::directory(app, &all).doing(|| format!("make `{app}`"))?;
        let top = format!("releases/{version}");
        let mut nodes = ["releases", "cache", &top].map(|path| directory(path.to_owned())).to_vec();
        nodes.push(directory(format!("{top}/files")));
        let listed = files::list(&options.files).doing(|| format!("list `{}`", options.files))?;
        for entry in listed {
            let path = format!("{}/{}", options.files, entry.name);
            let bytes = files::read(&path, 1 << 20).doing(|| format!("read `{path}`"))?;
            let mode = entry.metadata.mode & 0o777;
            nodes.push(node(format!("{top}/files/{}", entry.name), Content::Bytes(bytes), mode));
        }
        let text = format!(
            "name    = {}\nport    = {}\nworkers = {}\ndb      = {}\nversion = {version}\n",
            options.name, options.port, options.workers, options.database
        );
        nodes.push(node(format!("{top}/app.conf"), Content::Bytes(text.into_bytes()), 0o640));
        let marker = Content::Bytes(format!("{version}\n").into_bytes());
        nodes.push(node(format!("{top}/DEPLOYED"), marker, 0o644));
        files::tree(app, &nodes, false).doing(|| format!("write below `{app}`"))?;

        let archive = artifact::download(&options.archive_url, &options.archive_sha256)
            .doing(|| format!("fetch `{}`", options.archive_url))?;
        let vendor = format!("{release}/vendor");
        archive::unpack(&archive, &vendor, &UnpackOptions { strip: 0, owner: Some(own()) })
            .doing(|| format!("unpack to `{vendor}`"))?;

        let migrate = Spec {
            argv: vec![
                "/bin/sh".to_owned(),
                format!("{release}/files/migrate.sh"),
                release.clone(),
            ],
            env: Vec::new(),
            cwd: None,
            user: None,
            group: None,
            umask: None,
            stdin: None,
            timeout: None,
            guards: vec![Guard::Creates(format!("{release}/.migrated"))],
            success: Vec::new(),
            semantics: None,
        };
        let ran = command::run(&migrate).doing(|| "migrate".to_owned())?;
        ran.ensure_success().doing(|| "migrate".to_owned())?;

        let current = format!("{app}/current");
        files::symlink(&current, &format!("releases/{version}"))
            .doing(|| format!("flip `{current}`"))?;
        Ok(())
    }

    fn undeploy(_: &impl Host, options: Options) -> Result<(), String> {
        files::remove(&options.app).doing(|| format!("remove `{}`", options.app))?;
        Ok(())
    }
}
