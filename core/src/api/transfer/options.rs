//! What is exported and imported, and what is told of it.

use super::ExportFormat;
use crate::format::{ExportTotals, Selection};
use crate::name::{EntityId, KindName, NameError};
use crate::step::Limits;
use crate::transfer::PATIENCE;
use std::fmt;
use std::time::Duration;

/// What an export takes of a namespace, and how.
///
/// ```
/// use tenure_core::api::transfer::{ExportFormat, ExportOptions};
///
/// let all = ExportOptions::new("bank").format(ExportFormat::CborSequence);
/// let some = ExportOptions::new("bank").kind("account")?.entity("person", "alice")?;
/// # Ok::<_, tenure_core::name::NameError>(())
/// ```
#[derive(Debug)]
#[must_use = "an export runs when it is handed to a function that exports"]
pub struct ExportOptions {
    pub(super) namespace: String,
    pub(super) selection: Selection,
    pub(super) format: ExportFormat,
    pub(super) common: Common,
}

/// What namespace an import makes, and how.
///
/// ```
/// use tenure_core::api::transfer::ImportOptions;
///
/// let import = ImportOptions::new("bank-2").shards(1_024).streams(8);
/// # drop(import);
/// ```
#[derive(Debug)]
#[must_use = "an import runs when it is handed to a function that imports"]
pub struct ImportOptions {
    pub(super) namespace: String,
    pub(super) shards: Option<u16>,
    pub(super) streams: Option<u16>,
    pub(super) replicas: Option<u32>,
    pub(super) window: usize,
    pub(super) common: Common,
}

/// What namespace is compared with a file.
#[derive(Debug)]
#[must_use = "a comparison runs when it is handed to the function that compares"]
pub struct VerifyOptions {
    pub(super) namespace: String,
    pub(super) common: Common,
}

/// What all of them have.
pub(super) struct Common {
    pub(super) limits: Limits,
    pub(super) patience: Duration,
    pub(super) progress: Box<dyn FnMut(TransferProgress) + Send>,
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl Common {
    fn new() -> Self {
        Self {
            limits: Limits::default(),
            patience: PATIENCE.into(),
            progress: Box::new(|_| ()),
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferProgress {
    /// What is being done.
    pub stage: TransferStage,
    /// How much of [`of`](Self::of) is done: of the sequences of all event streams, the bytes of the file, or
    /// the commits that are read back.
    pub done: u64,
    /// How much there is.
    pub of: u64,
    /// Commits so far.
    pub commits: u64,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferStage {
    /// What is in the file already is read.
    Resuming,
    /// Commits are read from the namespace: in sequences of its streams.
    Exporting,
    /// Commits are stored in the namespace: in bytes of the file.
    Importing,
    /// What is stored is read back and compared: in commits, or sequences.
    Verifying,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferReport {
    /// How much the file holds, and its hash.
    pub totals: ExportTotals,
    /// Commits that this run wrote; the others were there before.
    pub written: u64,
}

impl TransferReport {
    pub(super) fn new(totals: ExportTotals, written: u64) -> Self {
        Self { totals, written }
    }
}

impl ExportOptions {
    /// All of a namespace, as JSON lines.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            selection: Selection::default(),
            format: ExportFormat::JsonLines,
            common: Common::new(),
        }
    }

    /// The entities of this kind, and what else is named.
    ///
    /// # Errors
    ///
    /// When the name cannot be one.
    pub fn kind(mut self, kind: &str) -> Result<Self, NameError> {
        self.selection.kinds.push(KindName::new(kind)?);
        Ok(self)
    }

    /// This entity, and what else is named.
    ///
    /// # Errors
    ///
    /// When a name cannot be one.
    pub fn entity(mut self, kind: &str, id: &str) -> Result<Self, NameError> {
        let entity = (KindName::new(kind)?, EntityId::new(id)?);
        self.selection.entities.push(entity);
        Ok(self)
    }

    /// How the file is written. An export that goes on keeps the format of its file.
    pub fn format(mut self, format: ExportFormat) -> Self {
        self.format = format;
        self
    }
}

impl ImportOptions {
    /// A new namespace of this name, or one that this export began to fill. It gets as many shards as the
    /// exported one, and as many streams as a new one has here.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            shards: None,
            streams: None,
            replicas: None,
            window: 1_024,
            common: Common::new(),
        }
    }

    /// How many shards it gets; fixed for good.
    pub fn shards(mut self, shards: u16) -> Self {
        self.shards = Some(shards);
        self
    }

    /// How many event streams it gets; fixed for good.
    pub fn streams(mut self, streams: u16) -> Self {
        self.streams = Some(streams);
        self
    }

    /// How many servers hold each stream at least.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = Some(replicas);
        self
    }

    /// How many commits are on their way at once, each of another entity; 1,024 when it is not set, and 1 at
    /// least.
    pub fn window(mut self, commits: usize) -> Self {
        self.window = commits.max(1);
        self
    }
}

impl VerifyOptions {
    /// A namespace that was imported, and not written to since.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            common: Common::new(),
        }
    }
}

macro_rules! common {
    ($($name:ident),*) => { $(
        impl $name {
            /// What is told how far it is, after each page and now and then between. It must not block.
            pub fn progress(mut self, tell: impl FnMut(TransferProgress) + Send + 'static) -> Self {
                self.common.progress = Box::new(tell);
                self
            }

            /// How long it waits while nothing goes on, as when the server is away, before it gives up; a
            /// minute when it is not set.
            pub fn patience(mut self, patience: Duration) -> Self {
                self.common.patience = patience;
                self
            }

            /// The machines' limits.
            pub fn limits(mut self, limits: Limits) -> Self {
                self.common.limits = limits;
                self
            }
        }
    )* };
}
common!(ExportOptions, ImportOptions, VerifyOptions);
