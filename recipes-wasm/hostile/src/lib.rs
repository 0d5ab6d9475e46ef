//! A recipe that does what its option `do` says: it asks the host for what it must not do, or for
//! too much of it. What the host says to that is what it fails with.

use cerebro_recipe::error::Doing;
use cerebro_recipe::host::archive::{self, UnpackOptions};
use cerebro_recipe::host::command::{self, Spec};
use cerebro_recipe::host::files::{self, Attributes, Content, Node};
use cerebro_recipe::host::log::{self, Level};
use cerebro_recipe::host::net::{self, HttpProbe, TcpProbe};
use cerebro_recipe::host::notify::{self, Action};
use cerebro_recipe::host::{artifact, kv, secret};
use cerebro_recipe::{Host, Recipe};
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};

#[derive(serde::Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum What {
    Read {
        path: String,
    },
    Write {
        path: String,
    },
    List {
        path: String,
    },
    Copy {
        path: String,
        to: String,
    },
    Remove {
        path: String,
    },
    /// Reads again and again; fails once it sees this text.
    Watch {
        path: String,
        text: String,
        times: u32,
    },
    /// Writes again and again, whatever comes of it.
    Hammer {
        path: String,
        text: String,
        times: u32,
    },
    Tree {
        path: String,
        nodes: u32,
        name: String,
    },
    Unpack {
        artifact: String,
        path: String,
    },
    Download {
        url: String,
        sha256: String,
    },
    Tcp {
        host: String,
        port: u16,
        timeout: u32,
    },
    Http {
        host: String,
        port: u16,
        timeout: u32,
        path: String,
    },
    Run {
        argv: Vec<String>,
        #[serde(default)]
        arguments: u32,
        #[serde(default)]
        timeout: Option<u32>,
    },
    /// Keeps what each command left.
    Handles {
        argv: Vec<String>,
    },
    Kv {
        keys: u32,
        size: usize,
    },
    Notify {
        commands: u32,
    },
    Secret {
        name: String,
    },
    /// Writes a line of so many bytes to the log.
    Line {
        size: usize,
    },
    /// Writes bytes to stdout.
    Stdout {
        bytes: Vec<u8>,
        times: u32,
    },
    /// Returns an error of so many bytes.
    Error {
        size: usize,
    },
    Panic {
        size: usize,
    },
    Exit {
        code: i32,
    },
    Bind,
    Udp,
    Connect {
        address: String,
    },
    /// Makes sockets until there are no more.
    Sockets,
    /// Asks for a name twice, and connects to it.
    Rebind {
        host: String,
        port: u16,
    },
    /// Puts a secret on the command line of this script, by its placeholder or as it is.
    Argue {
        secret: String,
        script: String,
        reveal: bool,
    },
    Divide {
        by: u32,
    },
    Allocate {
        bytes: usize,
    },
}

const AF_INET: i32 = 1;
const SOCK_STREAM: i32 = 6;

unsafe extern "C" {
    /// socket(2), as the C library of WASI has it.
    fn socket(domain: i32, kind: i32, protocol: i32) -> i32;
}

struct Hostile;

cerebro_recipe::recipe!(Hostile);

const PLAIN: Attributes = Attributes { mode: None, owner: None };

impl Recipe for Hostile {
    type Options = What;

    fn deploy(_: &impl Host, what: What) -> Result<(), String> {
        match what {
            What::Read { path } => drop(files::read(&path, 1 << 20).doing(|| "read".to_owned())?),
            What::Write { path } => {
                files::write(&path, b"mine", &PLAIN).doing(|| "write".to_owned())?;
            }
            What::List { path } => drop(files::list(&path).doing(|| "list".to_owned())?),
            What::Copy { path, to } => {
                files::copy(&path, &to, &PLAIN).doing(|| "copy".to_owned())?;
            }
            What::Remove { path } => {
                files::remove(&path).doing(|| "remove".to_owned())?;
            }
            What::Watch { path, text, times } => {
                for _ in 0..times {
                    if files::read(&path, 4096).is_ok_and(|found| found == text.as_bytes()) {
                        return Err("it was read".to_owned());
                    }
                }
            }
            What::Hammer { path, text, times } => {
                for _ in 0..times {
                    let _ = files::write(&path, text.as_bytes(), &PLAIN);
                }
            }
            What::Tree { path, nodes, name } => {
                let node = |number: u32| Node {
                    path: name.replace('#', &number.to_string()),
                    content: Content::Bytes(b"x".to_vec()),
                    attributes: PLAIN,
                };
                let nodes: Vec<_> = (0..nodes).map(node).collect();
                files::tree(&path, &nodes, false).doing(|| "tree".to_owned())?;
            }
            What::Unpack { artifact, path } => {
                let artifact = artifact::fetch(&artifact).doing(|| "fetch".to_owned())?;
                let how = UnpackOptions { strip: 0, owner: None };
                archive::unpack(&artifact, &path, &how).doing(|| "unpack".to_owned())?;
            }
            What::Download { url, sha256 } => {
                artifact::download(&url, &sha256).doing(|| "download".to_owned())?;
            }
            What::Tcp { host, port, timeout } => {
                let expect = Some(b"never said".to_vec());
                let probe = TcpProbe { host, port, timeout, send: None, expect };
                let answer = net::tcp(&probe).doing(|| "tcp".to_owned())?;
                if !answer.matched {
                    return Err("nothing was said".to_owned());
                }
            }
            What::Http { host, port, timeout, path } => {
                let headers = Vec::new();
                let probe = HttpProbe { host, port, path, headers, timeout, limit: 1 << 20 };
                let answer = net::http(&probe).doing(|| "http".to_owned())?;
                return Err(format!("status {}, {} bytes", answer.status, answer.body.len()));
            }
            What::Run { mut argv, arguments, timeout } => {
                argv.extend((0..arguments).map(|number| number.to_string()));
                let ran = command::run(&spec(argv, timeout)).doing(|| "run".to_owned())?;
                ran.ensure_success().doing(|| "run".to_owned())?;
                if ran.truncated() {
                    return Err(format!("cut off after {} bytes", ran.stdout().len()));
                }
            }
            What::Handles { argv } => {
                let mut kept = Vec::new();
                loop {
                    let mut spec = spec(argv.clone(), None);
                    spec.guards.push(command::Guard::Creates("/".to_owned()));
                    kept.push(command::run(&spec).doing(|| format!("handle {}", kept.len()))?);
                }
            }
            What::Kv { keys, size } => {
                let value = vec![b'x'; size];
                for number in 0..keys {
                    kv::set(&format!("key-{number}"), &value).doing(|| format!("key {number}"))?;
                }
            }
            What::Notify { commands } => {
                for number in 0..commands {
                    let argv = vec!["/bin/true".to_owned(), number.to_string()];
                    let action = Action::Run(argv);
                    notify::at_end(&action).doing(|| format!("notification {number}"))?;
                }
            }
            What::Secret { name } => drop(secret::get(&name).doing(|| "secret".to_owned())?),
            What::Line { size } => log::write(Level::Info, &"x".repeat(size)),
            What::Stdout { bytes, times } => {
                let mut out = std::io::stdout();
                for _ in 0..times {
                    out.write_all(&bytes).map_err(|error| error.to_string())?;
                }
                out.flush().map_err(|error| error.to_string())?;
            }
            What::Error { size } => return Err("e".repeat(size)),
            What::Panic { size } => panic!("{}", "p".repeat(size)),
            What::Exit { code } => std::process::exit(code),
            What::Bind => {
                TcpListener::bind("0.0.0.0:12345").map_err(|error| format!("bind: {error}"))?;
            }
            What::Udp => {
                UdpSocket::bind("0.0.0.0:12345").map_err(|error| format!("udp: {error}"))?;
            }
            What::Connect { address } => {
                TcpStream::connect(&address).map_err(|error| format!("connect: {error}"))?;
            }
            What::Sockets => {
                let mut made = 0;
                // SAFETY: the C library's own; it takes numbers and answers one.
                while unsafe { socket(AF_INET, SOCK_STREAM, 0) } >= 0 {
                    made += 1;
                }
                let why = std::io::Error::last_os_error();
                return Err(format!("behind {made} sockets: {why}"));
            }
            What::Rebind { host, port } => {
                let look = || net::resolve(&host).doing(|| "look up".to_owned());
                let (first, second) = (look()?, look()?);
                let probe = TcpProbe { host, port, timeout: 300, send: None, expect: None };
                let connected = net::tcp(&probe).map(|_| ()).doing(|| "connect".to_owned());
                let end = connected.err().unwrap_or("connected".to_owned());
                return Err(format!("{first:?}, then {second:?}: {end}"));
            }
            What::Argue { secret, script, reveal } => {
                let secret = secret::get(&secret).doing(|| "secret".to_owned())?;
                let word = match reveal {
                    true => String::from_utf8_lossy(&secret.reveal()).into_owned(),
                    false => secret.placeholder(),
                };
                let argv = ["/bin/sh", "-c", &script, "sh", &format!("--password={word}")];
                let argv = argv.map(str::to_owned).to_vec();
                let ran = command::run(&spec(argv, None)).doing(|| "run".to_owned())?;
                ran.ensure_success().doing(|| "run".to_owned())?;
            }
            What::Divide { by } => log::write(Level::Info, &(1 / by).to_string()),
            What::Allocate { bytes } => drop(std::hint::black_box(vec![1_u8; bytes])),
        }
        Ok(())
    }

    fn undeploy(_: &impl Host, _: What) -> Result<(), String> {
        Ok(())
    }
}

fn spec(argv: Vec<String>, timeout: Option<u32>) -> Spec {
    Spec {
        argv,
        env: Vec::new(),
        cwd: None,
        user: None,
        group: None,
        umask: None,
        stdin: None,
        timeout,
        guards: Vec::new(),
        success: Vec::new(),
        semantics: None,
    }
}
