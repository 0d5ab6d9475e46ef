//! The floor: the release by the system calls that it takes, and nothing else. `full` looks at the
//! whole content of what is there already; `stat` trusts what the last run wrote down of it.

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use nix::unistd::User;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::env::var;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Floor {
    uid: u32,
    gid: u32,
    /// What the last run wrote down, if it is trusted.
    known: Option<HashMap<String, String>>,
    journal: String,
    changed: bool,
}

fn main() -> Result<()> {
    let trusts = std::env::args().nth(1).as_deref() == Some("stat");
    let user = User::from_name(&var("OWNER")?)?.context("no such user")?;
    let (app, release) = (PathBuf::from(var("APP")?), PathBuf::from(var("RELEASE")?));
    let written = app.join(".journal");
    let known = trusts.then(|| {
        let text = fs::read_to_string(&written).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.split_once('\t'));
        pairs.map(|(path, is)| (path.to_owned(), is.to_owned())).collect()
    });
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    let mut floor = Floor { uid, gid, known, journal: String::new(), changed: false };
    floor.release(&app, &release)?;
    if trusts && floor.changed {
        fs::write(written, floor.journal)?;
    }
    Ok(())
}

impl Floor {
    fn release(&mut self, app: &Path, release: &Path) -> Result<()> {
        let version = var("VERSION")?;
        let vendor = release.join("vendor");
        let parents = [app.join("releases"), app.join("cache"), release.join("files")];
        for dir in [app, &parents[0], &parents[1], release, &parents[2], &vendor] {
            if !dir.is_dir() {
                fs::create_dir(dir)?;
            }
            self.attributes(dir, 0o755)?;
        }
        for entry in fs::read_dir(var("FILES")?)? {
            let entry = entry?;
            let mode = entry.metadata()?.mode() & 0o777;
            let path = release.join("files").join(entry.file_name());
            self.file(&path, &fs::read(entry.path())?, mode)?;
        }
        let (archive, digest) = (PathBuf::from(var("ARCHIVE")?), var("ARCHIVE_SHA256")?);
        if !self.holds(&archive, &digest) {
            fetch(&var("ARCHIVE_URL")?, &archive, &digest)?;
            self.changed = true;
        }
        self.attributes(&archive, 0o644)?;
        self.note(&archive, &digest);
        let unpacked = vendor.join(".unpacked");
        if !unpacked.exists() {
            self.unpack(&archive, &vendor)?;
            File::create(&unpacked)?;
            lchown(&unpacked, Some(self.uid), Some(self.gid))?;
        }
        let text = format!(
            "name    = {}\nport    = {}\nworkers = {}\ndb      = {}\nversion = {version}\n",
            var("NAME")?,
            var("PORT")?,
            var("WORKERS")?,
            var("DATABASE")?
        );
        self.file(&release.join("app.conf"), text.as_bytes(), 0o640)?;
        if !release.join(".migrated").exists() {
            let mut command = Command::new("/bin/sh");
            command.arg(release.join("files/migrate.sh")).arg(release).stdout(Stdio::null());
            ensure!(command.status()?.success(), "the command failed");
        }
        self.file(&release.join("DEPLOYED"), format!("{version}\n").as_bytes(), 0o644)?;
        let (current, target) = (app.join("current"), Path::new("releases").join(version));
        if fs::read_link(&current).ok().as_ref() != Some(&target) {
            let new = app.join(".current.new");
            symlink(&target, &new)?;
            fs::rename(new, current)?;
        }
        Ok(())
    }

    fn attributes(&mut self, path: &Path, mode: u32) -> Result<()> {
        let is = fs::symlink_metadata(path)?;
        if is.uid() != self.uid || is.gid() != self.gid {
            lchown(path, Some(self.uid), Some(self.gid))?;
            self.changed = true;
        }
        if is.mode() & 0o7777 != mode {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            self.changed = true;
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        let digest = hex(&Sha256::digest(content));
        if !self.holds(path, &digest) {
            let new = path.with_extension("new");
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(mode & 0o700);
            options.open(&new)?.write_all(content)?;
            fs::rename(new, path)?;
            self.changed = true;
        }
        self.attributes(path, mode)?;
        self.note(path, &digest);
        Ok(())
    }

    fn holds(&self, path: &Path, digest: &str) -> bool {
        let Ok(is) = fs::symlink_metadata(path) else { return false };
        let known = self.known.as_ref().and_then(|known| known.get(&path.display().to_string()));
        if known.is_some_and(|known| *known == signature(&is, digest)) {
            return true;
        }
        digest_of(path).is_ok_and(|found| found == digest)
    }

    fn note(&mut self, path: &Path, digest: &str) {
        if let Ok(is) = fs::symlink_metadata(path) {
            self.journal += &format!("{}\t{}\n", path.display(), signature(&is, digest));
        }
    }

    fn unpack(&mut self, archive: &Path, into: &Path) -> Result<()> {
        let mut archive = tar::Archive::new(GzDecoder::new(File::open(archive)?));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = into.join(entry.path()?);
            if entry.header().entry_type().is_dir() {
                fs::create_dir_all(&path)?;
                lchown(&path, Some(self.uid), Some(self.gid))?;
                continue;
            }
            let mut file = BufWriter::with_capacity(1 << 17, File::create(&path)?);
            std::io::copy(&mut entry, &mut file)?;
            file.flush()?;
            fchown(file.get_ref(), Some(self.uid), Some(self.gid))?;
        }
        self.changed = true;
        Ok(())
    }
}

fn signature(is: &Metadata, digest: &str) -> String {
    let (modified, changed) = ((is.mtime(), is.mtime_nsec()), (is.ctime(), is.ctime_nsec()));
    format!("{}.{modified:?}.{changed:?}.{} {digest}", is.len(), is.ino())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest_of(path: &Path) -> Result<String> {
    let (mut file, mut hasher, mut piece) = (File::open(path)?, Sha256::new(), vec![0; 1 << 17]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&piece[..read]),
        }
    }
}

fn fetch(url: &str, to: &Path, digest: &str) -> Result<()> {
    let (host, path) =
        url.strip_prefix("http://").and_then(|url| url.split_once('/')).context("URL")?;
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let (part, mut reader) = (to.with_extension("part"), BufReader::with_capacity(1 << 18, stream));
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (mut file, mut hasher) = (File::create(&part)?, Sha256::new());
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        hasher.update(piece);
        file.write_all(piece)?;
        let read = piece.len();
        reader.consume(read);
    }
    ensure!(hex(&hasher.finalize()) == digest, "the archive is damaged");
    Ok(fs::rename(part, to)?)
}
