//! Which interfaces need a grant.

use crate::interfaces::interface_of;
use cerebro_model::Grants;

/// A component imports an interface that its job does not grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it imports `{import}`, which is not granted; to allow it, say in `grants.{key}` of the job \
     what it may {}",
    verb(.key)
)]
pub struct NotGranted {
    /// The interface.
    pub import: String,
    /// The key below `grants` that would allow it.
    pub key: &'static str,
}

fn verb(key: &str) -> &'static str {
    match key {
        "commands" => "run",
        "write" => "write",
        "secrets" => "know",
        _ => "read or write",
    }
}

/// The key below `grants` without which `import` is not linked. None if it always is: what it does
/// is then harmless, or checked at each call.
pub fn needs_grant(import: &str) -> Option<&'static str> {
    let interface = interface_of(import).filter(|interface| interface.gated)?;
    interface.grants.first().copied()
}

/// Whether `grants` holds all that `imports` need.
pub fn check_grants(imports: &[String], grants: &Grants) -> Result<(), NotGranted> {
    let may_write = !grants.write.is_empty();
    for import in imports {
        let Some(key) = needs_grant(import) else { continue };
        let granted = match key {
            "commands" => !grants.commands.is_empty(),
            "secrets" => !grants.secrets.is_empty(),
            "write" => may_write,
            _ => may_write || !grants.read.is_empty(),
        };
        if !granted {
            return Err(NotGranted { import: import.clone(), key });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_granted_is_named_with_its_key() {
        let imports = ["wasi:io/poll@0.2.6", "cerebro:recipe/command@0.1.0"].map(str::to_owned);
        let error = check_grants(&imports, &Grants::default()).unwrap_err().to_string();
        assert!(error.contains("recipe/command@0.1.0`") && error.contains("grants.commands"));
        let mut grants = Grants::default();
        grants.commands.push("/bin/true".to_owned().try_into().unwrap());
        assert_eq!(check_grants(&imports, &grants), Ok(()));
    }

    #[test]
    fn files_need_a_path_to_read_or_write_and_probes_need_nothing() {
        let files = ["cerebro:recipe/files@0.1.3".to_owned()];
        let mut grants = Grants::default();
        assert!(check_grants(&files, &grants).is_err());
        grants.write.push("/opt".to_owned().try_into().unwrap());
        assert_eq!(check_grants(&files, &grants), Ok(()));
        for free in ["net", "packages", "services", "users", "task", "notify", "facts", "kv"] {
            assert_eq!(needs_grant(&format!("cerebro:recipe/{free}@0.1.0")), None);
        }
        for (gated, key) in [("release", "write"), ("archive", "write"), ("secret", "secrets")] {
            let import = format!("cerebro:recipe/{gated}@0.1.0");
            assert_eq!(needs_grant(&import), Some(key));
            assert!(check_grants(&[import], &Grants::default()).is_err());
        }
        assert_eq!(needs_grant("wasi:http/types@0.2.6"), None);
    }
}
