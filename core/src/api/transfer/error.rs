//! Why an export or an import did not come to its end.

use super::ExportFileError;
use crate::driver::transfer::NotOpen;
use crate::name::NameError;
use crate::space::SpaceError;
use crate::transfer::TransferFault;
use std::path::PathBuf;

/// Why an export, an import or a comparison did not come to its end. What was written stays: run again with
/// the same file, it goes on there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// A name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The namespace cannot be opened, or cannot be used any more.
    #[error(transparent)]
    Space(SpaceError),
    /// There is no such namespace.
    #[error(
        "there is no namespace {namespace} here, or not all of it: is the name right, and the server?"
    )]
    NoNamespace {
        /// Its name.
        namespace: String,
    },
    /// What was selected is not in the namespace. The file is empty.
    #[error("there is nothing to export of {wanted}: are the names right?")]
    Nothing {
        /// What was to be exported.
        wanted: String,
    },
    /// The file cannot be used.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ExportFileError,
    },
    /// The file is that of another export.
    #[error("{}: it is an export of {found}, not of {wanted}: choose another file", .path.display())]
    OtherExport {
        /// The file.
        path: PathBuf,
        /// What it is an export of.
        found: String,
        /// What was to be exported.
        wanted: String,
    },
    /// The export is in the file already.
    #[error("{}: it is a whole export already: choose another file, or remove it", .path.display())]
    Whole {
        /// The file.
        path: PathBuf,
    },
    /// It could not go on.
    #[error(transparent)]
    Fault(#[from] TransferFault),
    /// A machine found its own state wrong, or the connection's shell has ended.
    #[error("the transfer halted: {reason}")]
    Halted {
        /// Why.
        reason: String,
    },
}

impl From<NotOpen> for TransferError {
    fn from(not_open: NotOpen) -> Self {
        match not_open {
            NotOpen::Space(error) => Self::Space(error),
            NotOpen::Halted(reason) => Self::Halted { reason },
        }
    }
}
