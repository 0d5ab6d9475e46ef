//! Archives that unpack to more than they say, or to elsewhere.

use crate::ground::{Case, Ground};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;
use tar::EntryType::{self, Block, Directory, Fifo, Link, Regular, Symlink};

/// An archive with headers as a tar program would refuse to write them.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, path: &[u8], kind: EntryType, content: &[u8]) -> Self {
        self.header(path, kind, content, content.len() as u64, 0o644);
        let regular = kind == Regular;
        if regular {
            self.0.extend_from_slice(content);
            self.0.resize(self.0.len().next_multiple_of(512), 0);
        }
        self
    }

    /// The content is the target of a link.
    fn header(&mut self, path: &[u8], kind: EntryType, content: &[u8], size: u64, mode: u32) {
        let mut header = tar::Header::new_gnu();
        let raw = header.as_old_mut();
        raw.name[..path.len().min(100)].copy_from_slice(&path[..path.len().min(100)]);
        if kind != Regular {
            raw.linkname[..content.len()].copy_from_slice(content);
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(if kind == Regular { size } else { 0 });
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn one(path: &str, kind: EntryType, content: &str) -> Vec<u8> {
    Tar::default().entry(path.as_bytes(), kind, content.as_bytes()).end()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A file that says it is so large, and zeros for as long as it takes.
fn zeros(says: u64, holds: u64) -> Vec<u8> {
    let mut tar = Tar::default();
    tar.header(b"zeros", Regular, b"", says, 0o644);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&tar.0).unwrap();
    let piece = vec![0; 1 << 20];
    for _ in 0..holds >> 20 {
        encoder.write_all(&piece).unwrap();
    }
    encoder.finish().unwrap()
}

fn unpack(ground: &mut Ground, archive: &[u8]) -> Value {
    ground.machine.limits.wall = std::time::Duration::from_secs(50);
    let artifact = ground.machine.upload(archive);
    json!({"do": "unpack", "artifact": artifact, "path": "/opt/app/r"})
}

pub fn cases() -> Vec<Case> {
    let tidy: fn(&Ground) -> Option<String> = |ground| {
        let left = ground.machine.names("/opt/app");
        let nothing =
            left.iter().all(|name| name == "r" && !ground.machine.path("/opt/app/r").exists());
        let left = (!nothing).then(|| format!("it left {left:?}"));
        left.or_else(|| ground.untouched())
    };
    let all = vec![
        Case::hostile("10 GB of zeros", "more than 67108864 bytes", |ground| {
            unpack(ground, &zeros(10_000_000_000, 300 << 20))
        }),
        Case::hostile("zeros in many small files", "more than 67108864 bytes", |ground| {
            let content = vec![0; 100_000];
            let tar = (0..1000).fold(Tar::default(), |tar, number| {
                tar.entry(format!("f{number}").as_bytes(), Regular, &content)
            });
            unpack(ground, &packed(&tar.end()))
        }),
        Case::hostile("a size beyond counting", "more than 67108864 bytes", |ground| {
            unpack(ground, &zeros(u64::MAX >> 2, 1 << 20))
        }),
        Case::hostile("20,000 entries", "5000 entries", |ground| {
            let tar = (0..20_000).fold(Tar::default(), |tar, number| {
                tar.entry(format!("f{number}").as_bytes(), Regular, b"")
            });
            unpack(ground, &packed(&tar.end()))
        }),
        Case::hostile("an absolute entry", "leads out", |ground| {
            unpack(ground, &one("/etc/evil", Regular, "x"))
        }),
        Case::hostile("an entry that leads up", "leads out", |ground| {
            unpack(ground, &one("../../etc/evil", Regular, "x"))
        }),
        Case::hostile("an entry that leads down and up", "leads out", |ground| {
            unpack(ground, &one("a/b/../../../e", Regular, "x"))
        }),
        Case::hostile("a link that leads out", "leads out", |ground| {
            unpack(ground, &one("l", Symlink, "../../../etc"))
        }),
        Case::hostile("an absolute link", "leads out", |ground| {
            unpack(ground, &one("l", Symlink, "/etc/shadow"))
        }),
        Case::hostile("an entry behind a link", "no directory there", |ground| {
            let tar = Tar::default().entry(b"l", Symlink, b".").entry(b"l/evil", Regular, b"x");
            unpack(ground, &tar.end())
        }),
        Case::hostile("a link in place of a directory", "d", |ground| {
            let tar = Tar::default()
                .entry(b"d/", Directory, b"")
                .entry(b"d", Symlink, b"../..")
                .entry(b"d/evil", Regular, b"x");
            unpack(ground, &tar.end())
        }),
        Case::hostile("another name of a file outside", "leads out", |ground| {
            unpack(ground, &one("h", Link, "../../../etc/shadow"))
        }),
        Case::hostile("a name of 2 MB", "headers are longer", |ground| {
            let mut archive = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_mode(0o644);
            archive.append_data(&mut header, "n".repeat(2 << 20), &b"x"[..]).unwrap();
            unpack(ground, &archive.into_inner().unwrap())
        }),
        Case::hostile("another name of nothing", "does not come before it", |ground| {
            unpack(ground, &one("h", Link, "gone"))
        }),
        Case::hostile("a device", "neither a file", |ground| {
            unpack(ground, &one("sda", Block, ""))
        }),
        Case::hostile("a pipe in an archive", "neither a file", |ground| {
            unpack(ground, &one("p", Fifo, ""))
        }),
        Case::hostile("an archive that is cut off", "is not a whole", |ground| {
            let mut bytes = packed(&one("f", Regular, &"content ".repeat(1000)));
            bytes.truncate(bytes.len() / 2);
            unpack(ground, &bytes)
        }),
        Case::hostile("an entry that is cut off", "is not a whole", |ground| {
            let mut bytes = one("f", Regular, &"content ".repeat(1000));
            bytes.truncate(2000);
            unpack(ground, &bytes)
        }),
        Case::hostile("an archive with a bit turned", "is not a whole", |ground| {
            let mut bytes = packed(&one("f", Regular, &"content ".repeat(1000)));
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            unpack(ground, &bytes)
        }),
        Case::hostile("no archive", "is not a whole", |ground| {
            unpack(ground, &vec![b'x'; 100_000])
        }),
        Case::hostile("an empty file as an archive", "it is empty", |ground| unpack(ground, b"")),
        Case::hostile("a name that is no text", "UTF-8", |ground| {
            unpack(ground, &Tar::default().entry(b"\xff\xfe\xc0", Regular, b"x").end())
        }),
        Case::hostile("a file below a file", "no directory there", |ground| {
            let tar = Tar::default().entry(b"f", Regular, b"1").entry(b"f/g", Regular, b"2");
            unpack(ground, &tar.end())
        }),
    ];
    let mut all: Vec<_> = all.into_iter().map(|case| case.then(tidy)).collect();
    all.push(
        Case::hostile("a program that lends privileges", "", |ground| {
            let mut tar = Tar::default();
            tar.header(b"su", Regular, b"", 0, 0o6777);
            unpack(ground, &tar.end())
        })
        .goes_well()
        .then(|ground| {
            use std::os::unix::fs::PermissionsExt;
            let found = std::fs::metadata(ground.machine.path("/opt/app/r/su")).unwrap();
            let mode = found.permissions().mode() & 0o7777;
            (mode & 0o7000 != 0).then(|| format!("its mode is {mode:o}"))
        }),
    );
    all.push(
        Case::hostile("one name twice", "", |ground| {
            let tar = Tar::default().entry(b"f", Regular, b"1").entry(b"f", Regular, b"2");
            unpack(ground, &tar.end())
        })
        .goes_well()
        .then(|ground| {
            let text = ground.machine.text("/opt/app/r/f");
            (text != "2").then(|| format!("the later one does not win: {text}"))
        }),
    );
    all.push(
        Case::hostile("a thousand directories deep", "", |ground| {
            let mut archive = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_mode(0o644);
            let path = "directory/".repeat(1000) + "f";
            archive.append_data(&mut header, path, &b"x"[..]).unwrap();
            unpack(ground, &archive.into_inner().unwrap())
        })
        .goes_well()
        .then(Ground::untouched),
    );
    all.push(
        Case::hostile("rubbish after the end", "", |ground| {
            let mut bytes = packed(&one("f", Regular, "content"));
            bytes.extend_from_slice(&[b'x'; 100_000]);
            unpack(ground, &bytes)
        })
        .goes_well()
        .then(|ground| {
            let names = ground.machine.names("/opt/app/r");
            (names != [".cerebro-artifact", "f"]).then(|| format!("it made {names:?}"))
        }),
    );
    all
}
