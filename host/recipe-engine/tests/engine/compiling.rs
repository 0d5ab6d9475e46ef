//! Compiling, and keeping what was compiled.

use crate::support::{Machine, component, engine, guest};
use cerebro_model::{ComponentKind, Digest};
use cerebro_recipe_engine::{CheckStatus, CompileError, Compiler, Engine, EngineError, Failure};
use nix::sys::resource::{Resource, setrlimit};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

fn here(cache: &Path) -> Result<Engine, EngineError> {
    Engine::new(cache.to_owned(), Compiler::Here)
}

#[tokio::test]
async fn what_is_compiled_is_kept_loaded_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("compiled");
    let bytes = guest("misbehave");
    let digest = Digest::of(&bytes);
    let first = here(&cache).unwrap();
    assert!(first.compiled(digest).is_none());
    first.compile(digest, bytes.clone()).await.unwrap();
    assert_eq!(first.compiled(digest).unwrap().digest(), digest);
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);

    let mut files = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
    let compiled = files.find(|path| path.extension().is_some_and(|e| e == "cwasm")).unwrap();
    let inode = || fs::metadata(&compiled).unwrap().ino();
    let kept = inode();
    // Another engine stands for the next process.
    here(&cache).unwrap().compile(digest, bytes.clone()).await.unwrap();
    assert_eq!(inode(), kept, "it is loaded, not compiled again");

    let mut code = fs::read(&compiled).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 0xff;
    fs::write(&compiled, &code).unwrap();
    here(&cache).unwrap().compile(digest, bytes).await.unwrap();
    assert!(fs::read(&compiled).unwrap() != code, "what is damaged is compiled again");
}

/// What tells the next test that its address space is small.
const SMALL: &str = "CEREBRO_TEST_SMALL";

#[tokio::test]
async fn where_there_is_no_room_for_a_pool_each_instance_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    if std::env::var_os(SMALL).is_some() {
        let engine = here(&dir.path().join("compiled")).unwrap();
        let bytes = guest("pass");
        let check = engine.compile(Digest::of(&bytes), bytes).await.unwrap();
        let machine = Machine::new();
        for _ in 0..3 {
            let report = engine.check(&check, machine.call("{}")).await.unwrap();
            assert_eq!(report.status, CheckStatus::Passing);
        }
        return;
    }
    // Room for some instances, and not for the 256 that a pool has.
    let room = 100 << 30;
    let name = "compiling::where_there_is_no_room_for_a_pool_each_instance_is_made_anew";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(SMALL, "yes");
    // SAFETY: setrlimit is async-signal-safe.
    unsafe { command.pre_exec(move || Ok(setrlimit(Resource::RLIMIT_AS, room, room)?)) };
    let ran = command.output().unwrap();
    let said = [ran.stdout, ran.stderr].map(|words| String::from_utf8_lossy(&words).into_owned());
    assert!(ran.status.success() && said[0].contains("1 passed"), "{}", said.concat());
}

#[tokio::test]
async fn what_is_no_component_of_ours_is_not_compiled() {
    let wrong = engine().compile(Digest::of(b"a"), b"b".to_vec()).await.unwrap_err();
    assert!(matches!(wrong, CompileError::WrongDigest { .. }), "{wrong}");
    let other = engine().compile(Digest::of(b"b"), b"b".to_vec()).await.unwrap_err();
    assert!(other.to_string().contains("not WebAssembly"), "{other}");
    let bytes = guest("nothing");
    let nothing = engine().compile(Digest::of(&bytes), bytes).await.unwrap_err().to_string();
    assert!(nothing.contains("exports nothing") && nothing.contains("`undeploy`"), "{nothing}");
}

#[tokio::test]
async fn a_check_is_no_recipe() {
    let check = component("tcp_check").await;
    assert_eq!(check.kind(), ComponentKind::HealthCheck);
    let error = engine().deploy(&check, Machine::new().call("{}")).await.unwrap_err();
    assert!(matches!(error.failure, Failure::WrongKind { .. }), "{error}");
}
