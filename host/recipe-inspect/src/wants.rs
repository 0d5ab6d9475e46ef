//! What a component declares that it wants: a custom section with the JSON of grants.

use cerebro_model::Grants;

/// The name of the custom section.
pub const WANTS: &str = "cerebro:wants";

/// Why a component's wants cannot be read or put in.
#[derive(Debug, thiserror::Error)]
pub enum WantsError {
    /// The section does not hold grants.
    #[error(
        "the component's section `cerebro:wants` is not what it wants, as JSON like a job's `grants`: {0}"
    )]
    NotGrants(#[source] serde_json::Error),
    /// There are several sections that differ.
    #[error(
        "the component declares what it wants twice, in different words: one section `cerebro:wants` is enough"
    )]
    Twice,
    /// It has such a section already.
    #[error(
        "the component declares what it wants already: leave out the sidecar, or build it without the section `cerebro:wants`"
    )]
    Already,
    /// It is none that could be added to.
    #[error("this is not WebAssembly")]
    NotWasm,
}

/// Reads sections of that name, wherever they stand in the component.
pub(crate) fn read(sections: &[&[u8]]) -> Result<Option<Grants>, WantsError> {
    let mut wants = None;
    for section in sections {
        let found: Grants = serde_json::from_slice(section).map_err(WantsError::NotGrants)?;
        if wants.as_ref().is_some_and(|wants| *wants != found) {
            return Err(WantsError::Twice);
        }
        wants = Some(found);
    }
    Ok(wants)
}

/// The component with what it wants put in, so that its digest stands for that too.
pub fn embed_wants(component: &[u8], wants: &Grants) -> Result<Vec<u8>, WantsError> {
    if !component.starts_with(b"\0asm") {
        return Err(WantsError::NotWasm);
    }
    if !crate::sections::of(component, WANTS).is_empty() {
        return Err(WantsError::Already);
    }
    let wants = serde_json::to_vec(wants).map_err(WantsError::NotGrants)?;
    let mut content = Vec::with_capacity(wants.len() + WANTS.len() + 5);
    put_length(&mut content, WANTS.len());
    content.extend_from_slice(WANTS.as_bytes());
    content.extend_from_slice(&wants);
    let mut out = Vec::with_capacity(component.len() + content.len() + 6);
    out.extend_from_slice(component);
    // The id of custom sections, in modules and components alike.
    out.push(0);
    put_length(&mut out, content.len());
    out.extend_from_slice(&content);
    Ok(out)
}

/// A number in LEB128, the format's own.
fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}
