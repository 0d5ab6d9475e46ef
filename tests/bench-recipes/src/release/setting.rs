//! What is released: small files, an archive, and where they go.

use anyhow::{Context, Result, bail, ensure};
use cerebro_model::Digest;
use flate2::{Compression, GzBuilder};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The release's version.
pub const VERSION: &str = "2024.11.1";
/// Whom it belongs to: a user that each Debian has.
pub const OWNER: &str = "www-data";
const CONFIGURATION: [(&str, &str); 4] = [
    ("NAME", "shop"),
    ("PORT", "8080"),
    ("WORKERS", "4"),
    ("DATABASE", "postgres://db.internal/shop"),
];
const MIGRATE: &str = "#!/bin/sh\nset -e\ncd \"$1\"\ndate +%s > .migrated\necho migrated\n";
/// Files in the archive.
const BLOBS: usize = 300;

/// A directory with all that a release needs, and the place where it is made.
pub struct Setting {
    dir: TempDir,
    archive: Vec<u8>,
    digest: Digest,
}

impl Setting {
    /// Makes the same files each time.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("cerebro-bench-release-").tempdir()?;
        // Who owns the release must be able to reach it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let mut random = Random(2013);
        fs::create_dir(dir.path().join("files"))?;
        for number in 0..18 {
            let size = 1024 + random.below(9216);
            let text: Vec<u8> = (0..size).map(|_| b"abcdefgh ijkl=\n"[random.below(15)]).collect();
            keep(&dir.path().join(format!("files/conf{number:02}.txt")), &text, 0o644)?;
        }
        keep(&dir.path().join("files/migrate.sh"), MIGRATE.as_bytes(), 0o755)?;
        keep(&dir.path().join("files/healthcheck.sh"), b"#!/bin/sh\nexit 0\n", 0o755)?;
        fs::create_dir(dir.path().join("state"))?;
        let archive = archive(&mut random)?;
        let digest = Digest::of(&archive);
        Ok(Self { dir, archive, digest })
    }

    /// The archive that is fetched.
    pub fn archive(&self) -> &[u8] {
        &self.archive
    }

    /// Where the release is made.
    fn app(&self) -> PathBuf {
        self.dir.path().join("root/opt/app")
    }

    /// Where the small files are.
    fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    /// Where a contender keeps what is its own.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// What a contender is told, by its environment.
    pub fn environment(&self, port: u16) -> Vec<(String, String)> {
        let app = self.app();
        let path = |path: PathBuf| path.display().to_string();
        let mut known = vec![
            ("RELEASE", path(app.join("releases").join(VERSION))),
            ("ARCHIVE", path(self.kept_archive())),
            ("APP", path(app)),
            ("VERSION", VERSION.to_owned()),
            ("OWNER", OWNER.to_owned()),
            ("GROUP", OWNER.to_owned()),
            ("FILES", path(self.files())),
            ("STATE", path(self.state())),
            ("ARCHIVE_URL", format!("http://127.0.0.1:{port}/app.tar.gz")),
            ("ARCHIVE_SHA256", self.digest.to_string()),
            ("LC_ALL", "C.UTF-8".to_owned()),
        ];
        known.extend(CONFIGURATION.map(|(name, value)| (name, value.to_owned())));
        known.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn kept_archive(&self) -> PathBuf {
        self.app().join(format!("cache/app-{VERSION}.tar.gz"))
    }

    /// Nothing is there any more but the directory above it.
    pub fn clear(&self) -> Result<()> {
        for name in ["root", "state/artifacts", "state/memory"] {
            let path = self.dir.path().join(name);
            if path.exists() {
                fs::remove_dir_all(path)?;
            }
        }
        fs::create_dir_all(self.dir.path().join("root/opt"))?;
        Ok(fs::create_dir(self.dir.path().join("state/artifacts"))?)
    }

    /// Whether the release is there, whole, and as it should be.
    pub fn verify(&self) -> Result<()> {
        let app = self.app();
        let release = app.join("releases").join(VERSION);
        let link = fs::read_link(app.join("current")).context("the link `current`")?;
        ensure!(
            link == release || link == Path::new("releases").join(VERSION),
            "`current` leads to {}",
            link.display()
        );
        let owner = fs::metadata(release.join("files")).context("the release")?.uid();
        let (uid, _) = numbers(OWNER)?;
        ensure!(owner == uid, "the release belongs to {owner}, not {uid}");
        let mut count = 0;
        for entry in fs::read_dir(self.files())? {
            let entry = entry?;
            let made = release.join("files").join(entry.file_name());
            let as_it_is = fs::read(&made).with_context(|| made.display().to_string())?;
            ensure!(as_it_is == fs::read(entry.path())?, "{} differs", made.display());
            let (is, should) = (fs::metadata(&made)?, entry.metadata()?);
            ensure!(is.mode() == should.mode(), "{} has mode {:o}", made.display(), is.mode());
            ensure!(is.uid() == uid, "{} belongs to {}", made.display(), is.uid());
            count += 1;
        }
        ensure!(count == 20, "there are {count} files");
        let blobs = self.blobs(&release.join("vendor"), uid)?;
        ensure!(blobs == BLOBS, "there are {blobs} unpacked files");
        let configuration = release.join("app.conf");
        let text = fs::read_to_string(&configuration).context("app.conf")?;
        ensure!(text == configured(), "app.conf is {text:?}");
        ensure!(fs::metadata(&configuration)?.mode() & 0o7777 == 0o640, "the mode of app.conf");
        ensure!(fs::metadata(release.join(".migrated"))?.len() > 0, "the command did not run");
        let marker = fs::read_to_string(release.join("DEPLOYED")).context("the marker")?;
        ensure!(marker.trim() == VERSION, "the marker is {marker:?}");
        // An agent keeps archives under their digests, for all jobs of the machine.
        let kept =
            [self.kept_archive(), self.state().join("artifacts").join(self.digest.to_string())];
        let Some(kept) = kept.iter().find(|path| path.is_file()) else {
            bail!("the archive was not kept");
        };
        ensure!(Digest::of(&fs::read(kept)?) == self.digest, "the archive is damaged");
        Ok(())
    }

    fn blobs(&self, dir: &Path, uid: u32) -> Result<usize> {
        let mut count = 0;
        for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            let found = fs::symlink_metadata(&path)?;
            ensure!(found.uid() == uid, "{} belongs to {}", path.display(), found.uid());
            if found.is_dir() {
                count += self.blobs(&path, uid)?;
            } else if path.extension().is_some_and(|extension| extension == "bin") {
                ensure!(found.len() > 60_000, "{} is cut off", path.display());
                count += 1;
            }
        }
        Ok(count)
    }
}

/// The text of app.conf.
fn configured() -> String {
    let value = |key| CONFIGURATION.iter().find(|(name, _)| *name == key).map_or("", |(_, v)| v);
    format!(
        "name    = {}\nport    = {}\nworkers = {}\ndb      = {}\nversion = {VERSION}\n",
        value("NAME"),
        value("PORT"),
        value("WORKERS"),
        value("DATABASE")
    )
}

/// The numbers of a user and its group.
fn numbers(name: &str) -> Result<(u32, u32)> {
    let user = nix::unistd::User::from_name(name)?.with_context(|| format!("no user {name}"))?;
    Ok((user.uid.as_raw(), user.gid.as_raw()))
}

fn keep(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    fs::write(path, content)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

/// About 20 MB, packed: files of which half cannot be made smaller, as programs and images cannot.
fn archive(random: &mut Random) -> Result<Vec<u8>> {
    let packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    let mut archive = tar::Builder::new(packed);
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(1_700_000_000);
        archive.append_data(&mut header, path, content)
    };
    add("lib", tar::EntryType::Directory, 0o755, &[])?;
    for number in 0..30 {
        add(&format!("lib/mod{number:02}"), tar::EntryType::Directory, 0o755, &[])?;
    }
    for number in 0..BLOBS {
        let size = 60_000 + random.below(148_000);
        let mut content: Vec<u8> = (0..size / 2).map(|_| random.below(256) as u8).collect();
        let line = format!("lorem ipsum dolor {number} ");
        content.extend(line.bytes().cycle().take(size / 2 + 1));
        let path = format!("lib/mod{:02}/blob{number:03}.bin", number % 30);
        add(&path, tar::EntryType::Regular, 0o644, &content)?;
    }
    Ok(archive.into_inner()?.finish()?)
}

/// Numbers that are the same each time: xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % most
    }
}
