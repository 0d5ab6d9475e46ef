//! The types of `wit/` that the engine's code for files uses, as the engine's own bindings have them.

pub mod interfaces {
    pub mod types {
        #[derive(Debug)]
        pub enum Error {
            Denied(String),
            NotFound(String),
            Invalid(String),
            TimedOut(String),
            TooLarge(String),
            Unsupported(String),
            Failed(String),
            Other(String),
        }

        #[derive(Debug, Clone)]
        pub enum Change {
            Unchanged,
            Created,
            Updated,
            Removed,
            Done,
            Other(String),
        }
    }

    pub mod files {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            File,
            Directory,
            Symlink,
            Special,
        }

        #[derive(Debug, Clone)]
        pub struct Metadata {
            pub kind: Kind,
            pub size: u64,
            pub mode: u32,
            pub uid: u32,
            pub gid: u32,
            pub modified: i64,
            pub target: Option<String>,
        }

        #[derive(Debug, Clone)]
        pub struct Entry {
            pub name: String,
            pub metadata: Metadata,
        }
    }
}
