//! The example service: a small HTTP server that says which release of it runs.
//!
//! It reads the configuration that its recipe wrote beside it (`portal.conf`, `key = value`
//! lines), and listens where Cerebro told it to, by its environment. With `database = HOST:PORT` it
//! needs one to start.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portal: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    let file =
        std::env::args_os().nth(1).map_or_else(|| own.with_file_name("portal.conf"), Into::into);
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let settings = Arc::new(parse(&text));
    // A release that needs what is not there ends here, and is not what serves tomorrow.
    if let Some(database) = settings.get("database") {
        TcpStream::connect(database)
            .map_err(|error| format!("the database at {database} is not there: {error}"))?;
    }
    let from = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let address = format!("{}:{}", from("CEREBRO_ADDRESS")?, from("CEREBRO_PORT_HTTP")?);
    let listener = TcpListener::bind(&address)
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("portal {} listens on {address}", value(&settings, "version"));
    for connection in listener.incoming().flatten() {
        let settings = settings.clone();
        std::thread::spawn(move || {
            // Whoever asked has gone: nobody is left to tell.
            let _ = answer(&connection, &settings);
        });
    }
    Ok(())
}

fn parse(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

fn value<'a>(settings: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    settings.get(key).map_or("unknown", String::as_str)
}

fn answer(mut connection: &TcpStream, settings: &BTreeMap<String, String>) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = String::new();
    BufReader::new(connection).read_line(&mut request)?;
    let (status, body) = match request.split(' ').nth(1) {
        Some("/healthz") => ("200 OK", format!("ok {}\n", value(settings, "version"))),
        Some("/") => {
            let instance = std::env::var("CEREBRO_INSTANCE").unwrap_or_default();
            let (version, greeting) = (value(settings, "version"), value(settings, "greeting"));
            ("200 OK", format!("portal {version} instance {instance}: {greeting}\n"))
        }
        _ => ("404 Not Found", "there is / and /healthz\n".to_owned()),
    };
    println!("{} -> {status}", request.trim_end());
    let length = body.len();
    write!(
        connection,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}
