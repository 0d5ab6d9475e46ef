#![allow(clippy::unwrap_used, reason = "tests")]

use super::ledger::{OpenMedium, Writer};
use super::{Begin, End, Journal, Ledger, Medium, Moment, Record};
use cerebro_model::{Action, Effect};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What reached a disk: writes, and where all before was on it.
#[derive(Default, Clone)]
struct Disk(Arc<Mutex<Vec<Written>>>);

#[derive(Clone, PartialEq)]
enum Written {
    Bytes(Vec<u8>),
    Synced,
}

impl Medium for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().push(Written::Bytes(bytes.to_vec()));
        Ok(())
    }

    fn reserve(&mut self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().push(Written::Synced);
        Ok(())
    }
}

fn begin() -> Begin {
    let text = |text: &str| text.to_owned();
    Begin {
        id: text("1"),
        component: text("aa"),
        function: text("deploy"),
        job: text("job"),
        instance: text("0.zone.job"),
        version: text("1"),
        at: 0,
        boot: text("boot"),
    }
}

/// A journal of some effects, and what reached its disk.
fn written(directory: &Path) -> Vec<Written> {
    let disk = Disk::default();
    let medium = disk.clone();
    let open: OpenMedium = Arc::new(move |_, _| Ok(Box::new(medium.clone())));
    let ledger = Ledger::journal(Writer::new(directory.to_owned(), begin(), open));
    let write = |path: &str| {
        let action = Action::Write { path: path.to_owned(), secrets: Vec::new() };
        let open = ledger.begin(Effect::of(action), Moment::default()).unwrap();
        ledger.done(open, vec![(1, 2)], None, None).unwrap();
    };
    write("/a");
    write("/b");
    let argv = vec!["/bin/true".to_owned()];
    let (user, undo, irreversible, contained) = (None, None, false, false);
    let run = Action::Run { argv, user, undo, irreversible, contained };
    let open = ledger.begin(Effect::of(run), Moment::default()).unwrap();
    ledger.done(open, Vec::new(), None, None).unwrap();
    write("/c");
    write("/d");
    ledger.barrier().unwrap();
    write("/e");
    ledger.writer().unwrap().close(&Record::End { at: 0, error: None }).unwrap();
    std::mem::take(&mut disk.0.lock().unwrap())
}

fn whole(written: &[Written]) -> Vec<u8> {
    let bytes = written.iter().filter_map(|written| match written {
        Written::Bytes(bytes) => Some(bytes.clone()),
        Written::Synced => None,
    });
    bytes.flatten().collect()
}

#[test]
fn what_was_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = whole(&written(dir.path()));
    let journal = Journal::parse(&bytes);
    assert_eq!((journal.end.clone(), journal.begin()), (End::Whole, Some(&begin())));
    let effects = journal.effects();
    assert_eq!(effects.len(), 6);
    assert!(effects.iter().all(|entry| entry.done.is_some()) && journal.is_closed());
    // Space that was reserved is none of it.
    let reserved = [&bytes[..], &[0; 5000]].concat();
    assert_eq!(Journal::parse(&reserved).end, End::Whole);
}

/// After a loss of power, any of the writes since the last barrier may have been lost.
#[test]
fn any_subset_of_unsynced_writes_may_be_lost_and_nothing_is_made_up() {
    let dir = tempfile::tempdir().unwrap();
    let written = written(dir.path());
    let all = Journal::parse(&whole(&written)).records;
    let mut images = 0;
    for cut in 0..=written.len() {
        let synced = written[..cut].iter().rposition(|w| *w == Written::Synced).unwrap_or(0);
        let safe = Journal::parse(&whole(&written[..synced])).records.len();
        let open: Vec<usize> = (synced..cut).filter(|at| written[*at] != Written::Synced).collect();
        for subset in 0..1u32 << open.len() {
            let lost = |at: usize| {
                open.iter().position(|open| *open == at).is_some_and(|bit| subset >> bit & 1 == 1)
            };
            let mut image = Vec::new();
            for (at, written) in written[..cut].iter().enumerate() {
                match written {
                    Written::Bytes(bytes) if lost(at) => image.resize(image.len() + bytes.len(), 0),
                    Written::Bytes(bytes) => image.extend(bytes),
                    Written::Synced => {}
                }
            }
            let journal = Journal::parse(&image);
            // What is read is how it began, at least to the barrier, and no word more.
            assert!(journal.records.len() >= safe, "cut {cut}, subset {subset:b}");
            assert_eq!(journal.records[..], all[..journal.records.len()]);
            // Whatever is behind a hole is told of.
            let behind = open.iter().skip_while(|at| !lost(**at)).any(|at| !lost(*at));
            assert_eq!(matches!(journal.end, End::Torn { .. }), behind, "{cut} {subset:b}");
            images += 1;
        }
    }
    assert!(images > 200, "{images}");
}

#[test]
fn a_journal_that_breaks_off_or_is_changed_anywhere_is_read_up_to_there() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = whole(&written(dir.path()));
    let all = Journal::parse(&bytes).records;
    for cut in 0..bytes.len() {
        let journal = Journal::parse(&bytes[..cut]);
        assert_eq!(journal.records[..], all[..journal.records.len()]);
        assert!(journal.records.len() < all.len());
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        let journal = Journal::parse(&changed);
        assert!(matches!(journal.end, End::Torn { .. }), "{at}");
        assert_eq!(journal.records[..], all[..journal.records.len()]);
    }
}

#[test]
fn a_call_without_an_effect_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("call");
    let ledger = Ledger::journal(Writer::new(directory.clone(), begin(), super::files()));
    ledger.barrier().unwrap();
    ledger.writer().unwrap().close(&Record::End { at: 0, error: None }).unwrap();
    assert!(!directory.exists());
}
