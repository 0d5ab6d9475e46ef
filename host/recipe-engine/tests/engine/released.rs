//! Components that were built when a release of the interfaces was made, of all that it had. They are
//! kept beside it.

use crate::support::{Machine, engine};
use cerebro_model::Digest;
use cerebro_recipe_engine::{Failure, RunError};
use std::fs;
use std::path::Path;

const ALL: &str =
    r#"{"write": ["/opt/app"], "commands": ["/bin/true"], "secrets": ["db.password"]}"#;

/// It was linked and called; that it does nothing but trap is its own.
fn was_called(ended: Result<(), RunError>) {
    let failure = ended.unwrap_err().failure;
    let is_its_own =
        matches!(&failure, Failure::Trapped { message, .. } if message.contains("unreachable"));
    assert!(is_its_own, "{failure}");
}

#[tokio::test]
async fn what_was_built_for_any_release_still_links() {
    let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/released");
    let releases = fs::read_dir(released).unwrap().map(|entry| entry.unwrap().path());
    let releases: Vec<_> = releases.filter(|path| path.is_dir()).collect();
    assert!(!releases.is_empty());
    for release in releases {
        for (name, imports) in [("recipe", 17), ("health-check", 10)] {
            let bytes = fs::read(release.join(format!("{name}.wasm"))).unwrap();
            let component = engine().compile(Digest::of(&bytes), bytes).await.unwrap();
            let found = &component.inspection().imports;
            assert!(found.len() >= imports, "{}: {found:?}", release.display());
            let call = Machine::granting(ALL).call("{}");
            was_called(match name {
                "recipe" => engine().deploy(&component, call).await,
                _ => engine().check(&component, call).await.map(drop),
            });
        }
    }
}
