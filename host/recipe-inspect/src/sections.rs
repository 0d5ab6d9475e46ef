//! Custom sections, of the component and of all that it holds.

use wasmparser::{Parser, Payload};

/// The contents of all custom sections of that name, outermost and innermost, up to the first that
/// cannot be read.
pub(crate) fn of<'a>(component: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let payloads = Parser::new(0).parse_all(component).map_while(Result::ok);
    payloads
        .filter_map(|payload| match payload {
            Payload::CustomSection(section) if section.name() == name => Some(section.data()),
            _ => None,
        })
        .collect()
}
