//! PostgreSQL: makes its cluster where there is none yet, and writes its configuration. The job's
//! command starts the server that the machine has, as the same user:
//! `/usr/lib/postgresql/17/bin/postgres -D $CEREBRO_ROOT/<dir>/data`.
//!
//! An existing cluster's data are never touched, only its `postgresql.conf` and `pg_hba.conf`.

mod config;

use cerebro_recipe::error::Doing;
use cerebro_recipe::host::files::Kind;
use cerebro_recipe::{Command, Directory, File, Host, Recipe, values};
use config::Options;
use serde_json::json;
use std::collections::BTreeMap;

struct Postgres;

cerebro_recipe::recipe!(Postgres);
cerebro_recipe::wants!("../wants.json");

impl Recipe for Postgres {
    type Options = Options;

    fn deploy(host: &impl Host, options: Options) -> Result<(), String> {
        config::check(&options)?;
        let (instance, dir) = (host.instance(), host.render(&options.dir)?);
        let (data, run) = (format!("{dir}/data"), format!("{dir}/run"));
        let (user, bin) = (options.user.as_deref(), host.render(&options.bin)?);
        let port = values::port(&instance, options.port.as_ref())?;

        for path in [&dir, &run] {
            Directory::new(path.as_str()).mode(0o755).owner_if(user).make(host)?;
        }
        if has_cluster(host, &data)? {
            same_version(host, &data, &bin)?;
        } else {
            make_cluster(host, &options, &data, &bin)?;
        }

        let mut settings = BTreeMap::from([
            ("port".to_owned(), json!(port)),
            ("listen_addresses".to_owned(), json!(options.listen.unwrap_or(instance.address))),
            ("unix_socket_directories".to_owned(), json!(format!("{}{run}", instance.root))),
        ]);
        settings.extend(options.settings);
        let file = |name: &str| File::new(format!("{data}/{name}")).mode(0o600).owner_if(user);
        file("postgresql.conf").edit(host, |text| config::settings(text, &settings))?;
        file("pg_hba.conf").edit(host, |text| config::hba(text, &options.hba))?;
        Ok(())
    }

    fn undeploy(host: &impl Host, options: Options) -> Result<(), String> {
        let dir = host.render(&options.dir)?;
        if options.remove_data {
            host.remove(&dir)?;
        } else {
            host.remove(&format!("{dir}/run"))?;
            host.say(&format!("`{dir}/data` is kept; `remove_data` would remove it"));
        }
        Ok(())
    }
}

/// Whether a cluster is there. What is neither one nor empty is not ours to judge.
fn has_cluster(host: &impl Host, data: &str) -> Result<bool, String> {
    let Some(there) = host.stat(data)? else { return Ok(false) };
    if host.stat(&format!("{data}/PG_VERSION"))?.is_some() {
        return Ok(true);
    }
    if there.kind != Kind::Directory || !host.list(data)?.is_empty() {
        return Err(format!("`{data}` is there and holds no cluster: move it away"));
    }
    host.remove(data).doing(|| format!("make way for a cluster at `{data}`"))?;
    Ok(false)
}

/// Refuses data of another major version: the server would not start on them.
fn same_version(host: &impl Host, data: &str, bin: &str) -> Result<(), String> {
    let file = format!("{data}/PG_VERSION");
    let is = host.read(&file, 64).doing(|| format!("read `{file}`"))?;
    let is = String::from_utf8_lossy(&is).trim().to_owned();
    let program = format!("{bin}/postgres");
    let told = Command::new(&program).arg("--version").run(host)?;
    told.success.clone()?;
    let told = told.text();
    match config::major(&told) {
        Some(major) if major == is => Ok(()),
        Some(major) => Err(format!(
            "`{data}` is of PostgreSQL {is}, and `{bin}` of {major}: pg_upgrade it, or set `bin` to \
             the programs of {is}"
        )),
        None => Err(format!("`{program} --version` says `{told}`, which is no version")),
    }
}

/// Makes a cluster beside the place, and puts it there whole: one that was interrupted in the
/// making would look like one that is there.
fn make_cluster(host: &impl Host, options: &Options, data: &str, bin: &str) -> Result<(), String> {
    let new = format!("{data}.new");
    host.remove(&new).doing(|| format!("remove `{new}`, which was not finished"))?;
    Directory::new(&new).mode(0o700).owner_if(options.user.as_deref()).make(host)?;
    let mut initdb = Command::new(format!("{bin}/initdb"))
        .args(["--no-instructions", "--auth-local=peer", "--auth-host=scram-sha-256"])
        .args(&options.initdb)
        .arg(format!("--pgdata={}{new}", host.instance().root));
    if let Some(user) = &options.user {
        initdb = initdb.user(user);
    }
    initdb.ensure(host)?;
    host.rename(&new, data).doing(|| format!("put the cluster to `{data}`"))?;
    host.say(&format!("`{data}`: a new cluster"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cerebro_recipe::host::types::Error;
    use cerebro_recipe::{Answer, FakeHost};

    const OPTIONS: &str = r#"{
        "dir": "/srv/{{ job }}", "bin": "/usr/lib/postgresql/17/bin", "user": "postgres",
        "settings": {"max_connections": 20}, "hba": ["host all all 10.0.0.0/8 scram-sha-256"]
    }"#;
    const DIR: &str = "/srv/app.example.com";
    const BIN: &str = "/usr/lib/postgresql/17/bin";

    fn host() -> FakeHost {
        FakeHost::new()
            .with_port("db", 5432)
            .with_user("postgres", 101)
            .with_options(OPTIONS)
            .with_program(&format!("{BIN}/postgres"), |_, _| {
                Answer::ok("postgres (PostgreSQL) 17.5 (Debian 17.5-1)\n")
            })
            .with_program(&format!("{BIN}/initdb"), |spec, files| {
                assert_eq!(spec.user.as_deref(), Some("postgres"));
                let to = spec.argv.iter().find_map(|arg| arg.strip_prefix("--pgdata=")).unwrap();
                files.put(&format!("{to}/PG_VERSION"), "17\n");
                files
                    .put(&format!("{to}/postgresql.conf"), "#port = 5432\nmax_connections = 100\n");
                files.put(&format!("{to}/pg_hba.conf"), "local all all peer\n");
                files.put(&format!("{to}/base/1"), "data");
                Answer::ok("")
            })
    }

    #[test]
    fn a_cluster_is_made_once_and_configured() {
        let host = host();
        host.deploy::<Postgres>().unwrap();
        let conf = host.text(&format!("{DIR}/data/postgresql.conf"));
        let socket = format!("unix_socket_directories = '{DIR}/run'");
        let lines =
            ["port = 5432", "listen_addresses = '10.0.0.5'", "max_connections = 20", &socket];
        for line in lines {
            assert!(conf.lines().any(|l| l == line), "{line} in {conf}");
        }
        assert!(host.text(&format!("{DIR}/data/pg_hba.conf")).contains("10.0.0.0/8"));
        assert_eq!(
            (host.mode(&format!("{DIR}/data")), host.owner(DIR).as_str()),
            (0o700, "postgres")
        );
        assert!(!host.has(&format!("{DIR}/data.new")));

        host.take_calls();
        host.deploy::<Postgres>().unwrap();
        assert_eq!(host.calls(), [format!("run {BIN}/postgres --version")]);
        host.undeploy::<Postgres>().unwrap();
        assert_eq!(host.text(&format!("{DIR}/data/base/1")), "data");
        let host = host.with_options(OPTIONS.replacen('{', r#"{"remove_data": true,"#, 1));
        host.undeploy::<Postgres>().unwrap();
        assert!(!host.has(DIR));
    }

    #[test]
    fn one_that_was_not_finished_is_made_again() {
        let initdb = format!("{BIN}/initdb");
        let host = host().with_program(&initdb, |_, files| {
            files.put(&format!("{DIR}/data.new/PG_VERSION"), "17\n");
            Answer::failed(1, "no space left")
        });
        let error = host.deploy::<Postgres>().unwrap_err();
        assert!(error.contains("no space left"), "{error}");
        assert!(!host.has(&format!("{DIR}/data")));
        let host = host.with_program(&initdb, |_, files| {
            assert!(!files.has(&format!("{DIR}/data.new/PG_VERSION")));
            files.put(&format!("{DIR}/data.new/PG_VERSION"), "17\n");
            Answer::ok("")
        });
        host.deploy::<Postgres>().unwrap();
        assert!(host.has(&format!("{DIR}/data/PG_VERSION")));
    }

    #[test]
    fn data_that_are_there_are_left_alone() {
        let version = format!("{DIR}/data/PG_VERSION");
        let old = host().with_file(&version, "15\n");
        let error = old.deploy::<Postgres>().unwrap_err();
        assert!(error.contains("of PostgreSQL 15, and") && error.contains("of 17"), "{error}");
        let photos = host().with_file(&format!("{DIR}/data/photos"), "");
        let error = photos.deploy::<Postgres>().unwrap_err();
        assert!(error.contains("holds no cluster: move it away"), "{error}");
        for host in [old, photos] {
            assert!(
                !host.calls().iter().any(|call| call.contains("data") || call.contains("initdb"))
            );
        }
        let empty = host().with_directory(&format!("{DIR}/data"));
        empty.deploy::<Postgres>().unwrap();
        assert!(empty.has(&version));
    }

    #[test]
    fn a_mistake_is_named_before_anything_is_made() {
        for (from, to, why) in [
            ("max_connections", "port", "`settings.port`: use the recipe's option `port`"),
            ("scram-sha-256", "x\\ny", "`hba`: expected one line each"),
            ("{{ job }}", "{{ jbo }}", "`jbo` has no value"),
            (r#""user""#, r#""usr""#, "unknown field `usr`"),
        ] {
            let host = host().with_options(OPTIONS.replace(from, to));
            let error = host.deploy::<Postgres>().unwrap_err();
            assert!(error.contains(why) && host.calls().is_empty(), "{error}");
        }
        let denied = Error::Denied("not granted".to_owned());
        let host = host().with_failure(&format!("rename {DIR}/data.new to {DIR}/data"), denied);
        let error = host.deploy::<Postgres>().unwrap_err();
        assert_eq!(error, format!("put the cluster to `{DIR}/data`: not granted"));
    }
}
