//! A query's answer, for a person or for a program.

use super::StoreCommandError;
use cerebro_store::{Cell, Reader};
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Prints it: a line for each row, with tabs between the columns, below their names.
pub(super) fn answer(store: &Path, query: &str, json: bool) -> Result<(), StoreCommandError> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut written: io::Result<()> = Ok(());
    let mut is_first = true;
    Reader::open(store)?.query(query, |columns, cells| {
        // Whoever has read enough has closed the pipe.
        if written.is_err() {
            return;
        }
        written = match json {
            true => writeln!(out, "{}", object(columns, cells)),
            false => {
                let head = is_first.then(|| columns.join("\t"));
                let line = cells.iter().map(plain).collect::<Vec<_>>().join("\t");
                head.map_or(Ok(()), |head| writeln!(out, "{head}"))
                    .and_then(|()| writeln!(out, "{line}"))
            }
        };
        is_first = false;
    })?;
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let (doing, path) = ("write to", PathBuf::from("standard output"));
            Err(StoreCommandError::File { doing, path, source: error })
        }
        _ => Ok(()),
    }
}

fn object(columns: &[String], cells: Vec<Cell>) -> Value {
    let values = cells.into_iter().map(|cell| match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => number.into(),
        Cell::Real(number) => number.into(),
        // What the store keeps is JSON, mostly.
        Cell::Text(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Cell::Bytes(bytes) => hexadecimal(&bytes).into(),
    });
    Value::Object(columns.iter().cloned().zip(values).collect::<Map<_, _>>())
}

fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        // A line is a row, and commands nothing to a terminal.
        Cell::Text(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Cell::Bytes(bytes) => hexadecimal(bytes),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
