//! Compiling in a process of its own. A component is small beside what its compiler may take for it,
//! in time and memory: neither is to be an agent's.

use crate::pool;
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

/// Bytes of memory that a compiler may write to. A Python runtime, the largest that we know, takes
/// 0.4 GB.
const MEMORY: u64 = 3 << 30;
/// Seconds of CPU that it may use; that runtime takes 25.
const CPU: u64 = 600;
/// How long it may take.
const WALL: Duration = Duration::from_secs(1200);
/// Bytes of what it makes; that runtime makes 35 MB.
const MOST_COMPILED: u64 = 512 << 20;
/// Bytes of what it complains.
const MOST_WORDS: u64 = 16 << 10;
/// How far it stands back behind everything else on the machine.
const NICE: i32 = 10;

/// Who compiles components.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// This process.
    Here,
    /// A program for each of them, which does what [`compile_as_child`] does.
    Child {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<OsString>,
    },
}

impl Compiler {
    /// This program, started again with an argument by which it knows what to do.
    pub fn this_program(argument: &str) -> Self {
        // By this name it is the same one even after its file was replaced by an upgrade.
        let program = PathBuf::from("/proc/self/exe");
        Self::Child { program, arguments: vec![argument.into()] }
    }

    /// The compiled form of a component, or why there is none.
    pub(crate) async fn compile(
        &self,
        engine: &wasmtime::Engine,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, String> {
        match self {
            Self::Here => {
                let engine = engine.clone();
                let compiling = move || engine.precompile_component(&bytes);
                let done = tokio::task::spawn_blocking(compiling).await;
                let done = done.map_err(|error| error.to_string())?;
                done.map_err(|error| format!("{error:#}"))
            }
            Self::Child { program, arguments } => {
                let mut command = Command::new(program);
                command.args(arguments);
                in_child(command, &bytes).await
            }
        }
    }
}

async fn in_child(mut command: Command, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let broken = |error: io::Error| format!("the compiler cannot be run: {error}");
    command.env_clear().kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(broken)?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(broken(Errno::EPIPE.into()));
    };
    let send = async move {
        // It may end before it has read all: then its end says why.
        let _ = stdin.write_all(bytes).await;
    };
    let all = async { tokio::join!(send, up_to(MOST_COMPILED, stdout), up_to(MOST_WORDS, stderr)) };
    let ended = timeout(WALL, async {
        let ((), compiled, words) = all.await;
        Ok::<_, io::Error>((compiled?, words?, child.wait().await?))
    });
    let (compiled, words, status) = match ended.await {
        Err(_) => return Err(format!("the compiler was ended after {WALL:?}")),
        Ok(ended) => ended.map_err(broken)?,
    };
    if compiled.len() as u64 == MOST_COMPILED {
        return Err(format!("it compiles to more than {} MiB", MOST_COMPILED >> 20));
    }
    match status.success() {
        true => Ok(compiled),
        false => Err(complaint(status, &String::from_utf8_lossy(&words))),
    }
}

async fn up_to(most: u64, from: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(most).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

fn complaint(status: ExitStatus, words: &str) -> String {
    let words = words.trim();
    match status.signal() {
        Some(libc::SIGXCPU) => format!("it takes more than {CPU} s of CPU time to compile"),
        Some(_) if words.contains("memory allocation") => {
            format!("it takes more than {} MiB of memory to compile", MEMORY >> 20)
        }
        Some(libc::SIGKILL) => {
            "the compiler was killed, most likely since the machine is short of memory".to_owned()
        }
        _ if words.is_empty() => format!("the compiler failed ({status})"),
        Some(_) => format!("the compiler failed ({status}): {words}"),
        None => words.to_owned(),
    }
}

/// What a child of [`Compiler::Child`] does: reads a component from stdin, compiles it within limits
/// that it sets itself, and writes the outcome to stdout.
pub fn compile_as_child() -> Result<(), Box<dyn std::error::Error>> {
    setrlimit(Resource::RLIMIT_DATA, MEMORY, MEMORY)?;
    // At the first of them it is told, which ends it.
    setrlimit(Resource::RLIMIT_CPU, CPU, CPU + 10)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // If the machine runs out of memory, then nothing is lost by ending this.
    std::fs::write("/proc/self/oom_score_adj", "1000")?;
    // SAFETY: it takes plain numbers.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) })?;
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let compiled = pool::engine()?.precompile_component(&bytes);
    let compiled = compiled.map_err(|error| format!("{error:#}"))?;
    io::stdout().lock().write_all(&compiled)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Result<Vec<u8>, String> {
        let arguments = vec!["-c".into(), script.into()];
        let compiler = Compiler::Child { program: "/bin/sh".into(), arguments };
        let engine = wasmtime::Engine::default();
        compiler.compile(&engine, vec![b'x'; 1 << 20]).await
    }

    #[tokio::test]
    async fn the_end_of_a_compiler_is_told_in_words() {
        assert_eq!(shell("cat").await.unwrap().len(), 1 << 20);
        assert_eq!(shell("echo 'no component' >&2; exit 1").await.unwrap_err(), "no component");
        let told = [
            ("kill -XCPU $$", "CPU time"),
            ("kill -KILL $$", "short of memory"),
            ("echo 'memory allocation of 8 bytes failed' >&2; kill -ABRT $$", "3072 MiB of memory"),
            ("kill -SEGV $$", "the compiler failed (signal: 11"),
            ("cat /dev/zero", "compiles to more than 512 MiB"),
            ("exit 3", "the compiler failed (exit status: 3)"),
        ];
        for (script, part) in told {
            let error = shell(script).await.unwrap_err();
            assert!(error.contains(part), "{script}: {error}");
        }
        let missing = Compiler::Child { program: "/nowhere".into(), arguments: Vec::new() };
        let error = missing.compile(&wasmtime::Engine::default(), Vec::new()).await.unwrap_err();
        assert!(error.contains("cannot be run"), "{error}");
    }
}
