//! Reads a component's world.

use crate::imports::problem;
use crate::language::{self, Language};
use crate::sections;
use crate::wants::{self, WANTS, WantsError};
use cerebro_model::{ComponentKind, Grants};
use std::collections::BTreeSet;
use std::sync::Arc;
use wasmparser::component_types::{ComponentDefinedType, ComponentEntityType, ComponentValType};
use wasmparser::types::Types;
use wasmparser::{
    BinaryReaderError, ComponentTypeRef, Encoding, Parser, Payload, PrimitiveValType, TypeBounds,
    Validator,
};

/// What a component says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The world it was made for.
    pub kind: ComponentKind,
    /// The interfaces that it imports, sorted: the most it could ever use.
    pub imports: Vec<String>,
    /// What it exports, sorted.
    pub exports: Vec<String>,
    /// Its size in bytes.
    pub size: u64,
    /// The language that it was written in.
    pub language: Language,
    /// What it declares that it wants to do, if it declares anything: it may do no more, whatever
    /// its job grants.
    pub wants: Option<Arc<Grants>>,
}

/// Why some bytes are no component that Cerebro can run.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It is something else.
    #[error(
        "this is not WebAssembly: it does not start with `\\0asm`; upload a component, which \
         `cargo build --release --target wasm32-wasip2` makes"
    )]
    NotWasm,
    /// It is WebAssembly, but no component.
    #[error(
        "this is a plain WebAssembly module, not a component; build it for wasm32-wasip2, or make \
         it one with `wasm-tools component new`"
    )]
    Module,
    /// It is damaged, or needs what this Cerebro does not know.
    #[error("this component is not valid")]
    Invalid(#[source] BinaryReaderError),
    /// It is for no world of ours.
    #[error(
        "this component exports {}: a recipe must export `deploy` and `undeploy` (world `recipe` \
         of `cerebro:recipe@0.1.0`), a health check `check` (world `health-check`)",
        listed(.0)
    )]
    NoWorld(Vec<String>),
    /// It is for two worlds.
    #[error(
        "this component is a recipe and a health check at once; make two components, each for one \
         world of `cerebro:recipe`"
    )]
    TwoWorlds,
    /// It is half a recipe.
    #[error(
        "this component exports `{found}` but not `{missing}`: a recipe must export both, as \
         world `recipe` of `cerebro:recipe@0.1.0` says"
    )]
    HalfRecipe {
        /// What it exports.
        found: &'static str,
        /// What it lacks.
        missing: &'static str,
    },
    /// An export has the right name and the wrong type.
    #[error("this component's export `{name}` is not `{expected}`, which its world asks for")]
    WrongExport {
        /// The export.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It asks for what Cerebro does not have.
    #[error("this component imports what it cannot be given here: {}", .0.join("; "))]
    UnknownImports(Vec<String>),
    /// What it says that it wants cannot be read.
    #[error(transparent)]
    Wants(#[from] WantsError),
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

/// What `bytes`, a component, says of itself.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InspectError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(InspectError::NotWasm);
    }
    let (imports, exports) = names(bytes)?;
    let types = Validator::new().validate_all(bytes).map_err(InspectError::Invalid)?;
    let kind = kind(&exports)?;
    check_types(&types, kind)?;
    let unknown: Vec<_> = imports.iter().filter_map(|import| problem(import)).collect();
    if !unknown.is_empty() {
        return Err(InspectError::UnknownImports(unknown));
    }
    let sorted = |names: BTreeSet<String>| names.into_iter().collect();
    let wants = wants::read(&sections::of(bytes, WANTS))?.map(Arc::new);
    Ok(Inspection {
        kind,
        wants,
        language: language::of(bytes),
        imports: sorted(imports),
        exports: sorted(exports),
        size: bytes.len() as u64,
    })
}

type Names = BTreeSet<String>;

/// The names that the outermost component imports and exports.
fn names(bytes: &[u8]) -> Result<(Names, Names), InspectError> {
    let (mut imports, mut exports) = (Names::new(), Names::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(InspectError::Invalid)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(InspectError::Module);
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(InspectError::Invalid)?;
                    // A name for a type that an interface holds brings nothing with it.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        imports.insert(import.name.full_name().into_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(InspectError::Invalid)?;
                    exports.insert(export.name.full_name().into_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

fn kind(exports: &Names) -> Result<ComponentKind, InspectError> {
    let has = |name| exports.contains(name);
    match (has("deploy"), has("undeploy"), has("check")) {
        (true, true, false) => Ok(ComponentKind::Recipe),
        (false, false, true) => Ok(ComponentKind::HealthCheck),
        (true, false, false) => {
            Err(InspectError::HalfRecipe { found: "deploy", missing: "undeploy" })
        }
        (false, true, false) => {
            Err(InspectError::HalfRecipe { found: "undeploy", missing: "deploy" })
        }
        (false, false, false) => Err(InspectError::NoWorld(exports.iter().cloned().collect())),
        (_, _, true) => Err(InspectError::TwoWorlds),
    }
}

/// Whether the world's exports have its types; the inside of a report is left to the linker.
fn check_types(types: &Types, kind: ComponentKind) -> Result<(), InspectError> {
    let (names, expected): (&[_], _) = match kind {
        ComponentKind::Recipe => (&["deploy", "undeploy"], "func() -> result<_, string>"),
        ComponentKind::HealthCheck => (&["check"], "func() -> result<report, string>"),
    };
    for name in names.iter().copied() {
        if !returns_result(types, name, kind) {
            return Err(InspectError::WrongExport { name, expected });
        }
    }
    Ok(())
}

fn returns_result(types: &Types, export: &str, kind: ComponentKind) -> bool {
    let types = types.as_ref();
    let Some(item) = types.component_item_for_export(export) else { return false };
    let ComponentEntityType::Func(id) = item.ty else { return false };
    let function = &types[id];
    let Some(ComponentValType::Type(id)) = function.result else { return false };
    let ComponentDefinedType::Result { ok, err, .. } = &types[id] else { return false };
    function.params.is_empty()
        && matches!(err, Some(ComponentValType::Primitive(PrimitiveValType::String)))
        && ok.is_some() == (kind == ComponentKind::HealthCheck)
}
